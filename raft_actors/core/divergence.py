"""Divergence: what a peer makes of the digests that it learns of, see `core.digests`.

A peer whose state differs from that of more than half of all replicas has a wrong state: it answers
nobody, as a witness does. If there is no such majority, nobody can know which state is right: the
peers whose digests differ report it, and go on.
"""

from dataclasses import replace

from raft_actors.core.configuration import named
from raft_actors.core.digests import Comparison, Difference, differ
from raft_actors.core.effects import Trouble
from raft_actors.core.messages import DigestMade
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["note_comparison", "note_digest"]


def note_digest(state: State, event: DigestMade) -> None:
    """Note a digest of this peer's state. The comparison that has it may be here already, because
    the others were quicker.
    """
    state.digests.made(event.index, event.digest)
    judge(state)


def note_comparison(state: State, comparison: Comparison) -> None:
    """Judge by a comparison that was applied; older ones are ignored."""
    if comparison.index >= state.digests.compared.index:
        state.digests.compared = comparison
        judge(state)


def judge(state: State) -> None:
    digests = state.digests
    compared = digests.compared
    digests.settle(state.peer)
    report_others(state, compared)
    mine = digests.known_as(state.peer)
    right = compared.right
    if mine is None:
        return
    if mine == right:
        digests.equal_at = compared.index
        digests.differs = None
        for what in ("diverged", "digests_differ"):
            state.troubles.pop(what, None)
    elif right is not None and differ(mine, right):
        note_difference(state, decided=True)
    elif compared.is_disputed(mine):
        note_difference(state, decided=False)


def note_difference(state: State, *, decided: bool) -> None:
    """Report the first comparison that shows a difference; later ones only if they decide it."""
    digests, compared = state.digests, state.digests.compared
    first = digests.differs
    if first is None:
        first = Difference(digests.equal_at or compared.equal_at, compared.index, decided)
    elif first.decided or not decided:
        return
    digests.differs = replace(first, decided=decided)
    where = f"not later than entry {first.index}"
    if first.after:
        where = f"after entry {first.after} and {where}"
    if decided:
        state.troubles.pop("digests_differ", None)
        state.report(Trouble("diverged", state.peer, where))
    else:
        state.report(Trouble("digests_differ", state.peer, f"{where}: {in_words(compared)}"))


def report_others(state: State, compared: Comparison) -> None:
    wrong = [peer for peer in compared.wrong() if peer != state.peer]
    reported = state.troubles.get("other_diverged")
    if reported is not None and (not wrong or reported.detail != named(wrong)):
        del state.troubles["other_diverged"]
    if wrong:
        state.report(Trouble("other_diverged", wrong[0], named(wrong)))


def in_words(compared: Comparison) -> str:
    """Return a text with each digest and the peers that have it."""
    having: dict[str, list[Address]] = {}
    for peer, digest in compared.digests:
        having.setdefault(digest, []).append(peer)
    return "; ".join(f"{named(peers)}: {digest}" for digest, peers in having.items())
