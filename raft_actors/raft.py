"""Raft: the calls of Elixir's `raft`, tuples and all."""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pykka

from raft_actors import encoding
from raft_actors.client.backup import download
from raft_actors.client.views import Configuration, Entry, Status, viewed
from raft_actors.config import Config
from raft_actors.core.messages import FOLLOWER
from raft_actors.core.replies import (
    ELECTION_IN_PROGRESS,
    NO_NODE,
    NO_PEER,
    OUTCOME_UNKNOWN,
    TIMEOUT,
    redirect,
)
from raft_actors.errors import FrameTooLarge, NoConnection, NoProcess, RaftError
from raft_actors.kv_store import KVStore
from raft_actors.machine.sessions import REPLY, reply_in
from raft_actors.names import Address, check_node_name, check_peer_name, listed
from raft_actors.node.remote_ref import RemoteRef
from raft_actors.paths import absolute
from raft_actors.peer.peers import directories_of_tests, peers_here
from raft_actors.replica.requests import (
    CONFIGURE,
    ENTRY,
    LEADER,
    PART,
    SNAPSHOT,
    STATUS,
    STOP,
    TRANSFER,
    WRITE,
    next_request,
    read_request,
)  # fmt: skip
from raft_actors.state_machine import StateMachine
from raft_actors.timeouts import seconds
from supervision import ProcessRef

__all__ = ["Raft"]

logger = logging.getLogger("raft_actors.peer")

CALL_TIMEOUT = 5.0
"""For calls that have no timeout of their own; seconds, as everywhere here."""
CHANGE_TIMEOUT = 60.0
"""For changes of members: newcomers must catch up first."""
SNAPSHOT_TIMEOUT = 60.0
LOOK_AROUND_S = 0.1
PeerRef = str | Address | pykka.ActorRef[Any] | pykka.ActorProxy[Any]


class Raft:
    """Start peers, found groups, write and read. Every call answers, and none raises for a
    cluster's troubles: they are `("error", reason)`.

    A peer is given as its name on this node, its address `(name, node)`, its ActorRef or a proxy.
    """

    @staticmethod
    def start_peer(
        machine: type[StateMachine],
        *,
        name: str,
        config: Config | None = None,
        members: Iterable[Address | str] = (),
        **fields: Any,
    ) -> Any:
        """Start a peer of `machine` on this node, under the node's own supervisor.

        members   who is to form a group with it, itself among them; all declare the same. The
                  group forms once, whoever starts first; of one that exists the log counts.
        fields    are Config's and go before those of `config`

        Returns `("ok", proxy)`, `("error", ("already_started", proxy))`, or `("error", reason)`
        if it can't start. Raises ValueError for a bad name or config, and TypeError for a machine
        that is no class.
        """
        check_peer_name(name)
        match peers_here().start(machine, name, Config.of(config, **fields), members):
            case ("ok", ref):
                return ("ok", ref.proxy())
            case ("error", ("already_started", ref)):
                return ("error", ("already_started", ref.proxy()))
            case answer:
                return answer

    @staticmethod
    def stop_peer(peer: PeerRef) -> Any:
        """Stop a peer, here or on another node: `"ok"`, `("error", "no_peer")`.

        It is not started again by itself, whoever supervises it. Its log stays on disk.
        """
        return ask(peer, STOP, (), CALL_TIMEOUT)

    stop = stop_peer

    @staticmethod
    def set_configuration(
        peer: PeerRef,
        members: Iterable[PeerRef],
        *,
        learners: Iterable[PeerRef] = (),
        witnesses: Iterable[PeerRef] = (),
        dry_run: bool = False,
        timeout: float = CHANGE_TIMEOUT,
    ) -> Any:
        """Found a group with these members, or change those of a running one at its leader.

        Any number may change at once (joint consensus, §6). Newcomers, started but of no group,
        get the log before they count; a leader that is no longer a member hands over. Learners
        get the log and never vote; witnesses vote and keep no state. Asking for what is already
        so is fine, and calls off a change whose newcomers have not caught up, as `cancel_change`
        does. `dry_run` answers what would be, at a leader.

        Returns `("ok", configuration)`, or an error: `"must_be_in_consensus_group"` if a founder
        is no member, `("redirect", leader)`, `"election_in_progress"`, `"peers_not_responding"`
        if no majority answers a founder, `("in_another_group", [peer])` if one of them is of a
        group, `"other_incarnation"` if this one's own disk was wiped,
        `("peers_not_responding", newcomers)`, `("newcomers_too_slow", newcomers)` if they get the
        log and don't catch up, `("would_lose_quorum", silent)`, `("remove_first", peers)`,
        `"change_in_progress"`, `"called_off"`, `"no_members"`; `"timeout"` and `"outcome_unknown"`
        if it may still come true.
        """
        answer = configure(peer, members, learners, timeout, witnesses=witnesses, dry_run=dry_run)
        if answer[0] == "ok" and not dry_run:
            tell_of_unheard(peer)
        return answer

    @staticmethod
    def add_peer(
        leader: PeerRef,
        peer: PeerRef,
        *,
        learner: bool = False,
        witness: bool = False,
        dry_run: bool = False,
    ) -> Any:
        """Make `peer`, started but of no group, a member; or a learner, or a witness."""
        address = address_of(peer)
        check_part(learner, witness)
        if learner:
            return change(leader, dry_run, learn=(address,))
        if witness:
            return change(leader, dry_run, witness=(address,))
        return change(leader, dry_run, vote=(address,))

    @staticmethod
    def cancel_change(leader: PeerRef) -> Any:
        """Call off a change of members whose newcomers have not caught up, if one is under way.

        Who waits for that change is answered `("error", "called_off")`. Returns
        `("ok", configuration)`, that of the members as they are;
        `("error", "change_in_progress")` if the change is in the log already: it ends by itself.
        """
        answer = Raft.status(leader)
        if answer[0] != "ok":
            return answer
        now = answer[1]["configuration"]
        return configure(
            leader, now["members"], now.get("learners", ()), CALL_TIMEOUT,
            witnesses=now.get("witnesses", ()), dry_run=False, expected=now["index"],
        )  # fmt: skip

    @staticmethod
    def join(
        machine: type[StateMachine],
        *,
        name: str,
        via: PeerRef | Iterable[PeerRef],
        learner: bool = False,
        witness: bool = False,
        timeout: float = CHANGE_TIMEOUT,
        config: Config | None = None,
        **fields: Any,
    ) -> Any:
        """Start a peer of `machine` here if need be, and make it a member of a running group.

        It becomes a learner, gets the log, and is promoted when it keeps up; with `learner` it
        stays one, with `witness` it votes and keeps no state. One whose disk was wiped or
        exchanged is removed and added again with the disk that it has. It may be asked for
        again at any time; joins that meet take turns.

        via     any member, or some: `("peer1", "a@host")`
        fields  are Config's and go before those of `config`

        Returns `("ok", configuration)`; an error of `start_peer` or `set_configuration`,
        `("no_peer", text)` at once if `via` names peers of this node alone, and none runs;
        `("no_group", text)` if nobody that was asked has one, `("in_another_group", text)` if
        the data directory is of another. Those that may pass were tried again until `timeout`.
        Raises ValueError for a bad name or config.
        """
        from raft_actors.client.membership import join  # it is made of these calls

        seconds(timeout)
        check_part(learner, witness)
        part = "learner" if learner else "witness" if witness else "member"
        asked = several(via)
        if not asked:
            raise ValueError("via names whom to ask for the group: one member at least")
        return join(machine, name, asked, part, Config.of(config, **fields), timeout)

    @staticmethod
    def leave(peer: PeerRef, timeout: float = CHANGE_TIMEOUT) -> Any:
        """Hand the lead over if need be, take `peer` out of its group, and stop it.

        Its data directory stays. Returns `"ok"`, also for a peer of no group;
        `("error", "no_peer")` if it does not run, `("error", ("last_member", text))`, or what
        kept the leader from the change until `timeout`.
        """
        from raft_actors.client.membership import leave

        seconds(timeout)
        return leave(peer, timeout)

    @staticmethod
    def remove_peer(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
        """Take a member or learner out of the group. Its process and its log stay.

        `("error", "no_such_member")` for one that is neither; so too where `replace_peer`,
        `promote` and `demote` are given one.
        """
        return change(leader, dry_run, remove=(address_of(peer),))

    @staticmethod
    def replace_peer(leader: PeerRef, old: PeerRef, new: PeerRef, *, dry_run: bool = False) -> Any:
        """Put `new` in the place of `old`, in one step.

        A peer can also replace itself, after its disk was wiped or exchanged: it is removed and
        added again, in two steps.
        """
        if address_of(old) == address_of(new):
            removed = change(leader, dry_run, remove=(address_of(old),))
            return removed if dry_run or removed[0] != "ok" else Raft.add_peer(leader, new)
        return change(leader, dry_run, remove=(address_of(old),), vote=(address_of(new),))

    @staticmethod
    def promote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
        """Give a learner a vote."""
        return change(leader, dry_run, vote=(address_of(peer),), known=(address_of(peer),))

    @staticmethod
    def demote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
        """Take a member's vote: it becomes a learner."""
        return change(leader, dry_run, learn=(address_of(peer),), known=(address_of(peer),))

    @staticmethod
    def transfer_leadership(leader: PeerRef, to: PeerRef | None = None) -> Any:
        """Have the leader hand over, to `to` or to the follower that is fittest (thesis 3.10).

        It takes no more commands until its successor has them all, so nothing is lost by it.

        Returns `("ok", new_leader)`; an error: `("redirect", leader)` if `leader` does not lead,
        or if another than `to` was elected, `("peers_not_responding", peers)` at once if the
        successor is away, or nobody else is there, `"no_such_member"`, `"transfer_in_progress"`,
        `"timeout"` if the successor does not keep up (the old leader goes on then).
        """
        wanted = None if to is None else address_of(to)
        match found_instead(ask(leader, TRANSFER, wanted, CALL_TIMEOUT)):
            case ("ok", target) if target == address_of(leader):
                return ("ok", target)
            case ("ok", target):
                deadline = time.monotonic() + CALL_TIMEOUT
                new = find_leader([target], deadline, other_than=address_of(leader))
                if new is None:
                    return TIMEOUT
                return ("ok", new) if wanted in (None, new) else redirect(new)
            case answer:
                return answer

    @staticmethod
    def leader(peer: PeerRef) -> Address | None:
        """Whom `peer` takes for the leader, as an address; None if it knows none."""
        answer = ask(peer, LEADER, (), CALL_TIMEOUT)
        if isinstance(answer, Elsewhere):
            answer = found_instead(answer)
            return answer[1][1] if answer != ELECTION_IN_PROGRESS else None
        return None if answer is None or answer[0] == "error" else answer

    @staticmethod
    def status(peer: PeerRef) -> Any:
        """`("ok", status)`, a mapping; `("error", "no_node")`, `"no_peer"`, or `"restarting"` for
        one that has crashed and is started again by its supervisor.
        """
        return viewed(ask(peer, STATUS, (), CALL_TIMEOUT), Status)

    @staticmethod
    def write(leader: PeerRef, command: Any, timeout: float = 3.0) -> Any:
        """Have `command` committed and applied; returns the state machine's reply as it is.

        Errors that say it did not happen: `("redirect", leader)`, `"election_in_progress"`,
        `"overloaded"`, `"no_peer"`, `"restarting"`, `"no_node"`, `"command_too_large"` for the
        leader's own `Config.command_bytes_max`, or for one frame to its node, or from there to a
        member's. It may still happen after `"timeout"` and `"outcome_unknown"` (the leader lost its
        office, or the connection broke).

        Raises TypeError for a command that can't be encoded, naming the part.
        """
        payload = encoding.dumps(command, "command")
        return found_instead(request(leader, WRITE, payload, timeout, OUTCOME_UNKNOWN), timeout)

    @staticmethod
    def read(
        peer: PeerRef,
        query: Any,
        timeout: float = 3.0,
        *,
        consistency: str = "linearizable",
        max_staleness_s: float | None = None,
    ) -> Any:
        """Ask the state machine; linearizable: it sees every write acknowledged before the call.

        consistency  `"linearizable"` and `"lease"` are for the leader; `"follower"` is as good,
                     and any member answers; `"stale"` is answered by any peer from what it has
        max_staleness_s  with `"stale"`: how old the answer may be, in seconds

        Errors as for `write`, and `"too_stale"`; all of them are safe to try again.
        """
        operation, payload = read_request(
            encoding.dumps(query, "query"), consistency, max_staleness_s
        )
        return found_instead(request(peer, operation, payload, timeout, NO_NODE), timeout)

    @staticmethod
    def snapshot(peer: PeerRef, timeout: float = SNAPSHOT_TIMEOUT) -> Any:
        """Have one peer take a snapshot now, so that its log can begin after it.

        Returns `("ok", index)` once it is durable, `index` being that of the last entry it stands
        for; `("error", ("snapshot_failed", reason))`: then the log stays as it is.
        """
        return ask(peer, SNAPSHOT, (), timeout)

    @staticmethod
    def backup(peer: PeerRef, path: str | Path, timeout: float = SNAPSHOT_TIMEOUT) -> Any:
        """Write all that the group knows to a new file here, while it goes on.

        Any member but a witness will do: it has every write that was acknowledged before the
        call. `raft-actors recover import` makes a group of it.

        Returns `("ok", index)`, that of the last entry in it; `("error", ("backup_failed", why))`
        when the file can't be written; errors as of a `read` with `"follower"` (where no majority
        runs, `raft-actors recover export` writes what one stopped peer has), and of `snapshot`.
        `timeout` is for each step: that read, the snapshot, each part of it.
        """

        seconds(timeout)

        def take() -> Any:
            seen = found_instead(
                request(peer, *read_request(REPLY, FOLLOWER), timeout, NO_NODE), timeout
            )
            return Raft.snapshot(peer, timeout) if seen[0] == "ok" else seen

        def read(index: int, offset: int) -> Any:
            return ask(peer, PART, (index, offset), timeout)

        if not isinstance(path, str | PathLike):
            raise TypeError(f"a backup is written to a path, not {path!r}")
        return download(address_of(peer), absolute(path), take, read)

    @staticmethod
    def get_entry(peer: PeerRef, index: int) -> Any:
        """The entry at `index` of one peer's log: `("ok", entry)`, `("error", "not_found")`, or
        `"compacted"` where a snapshot stands for it. Raises TypeError for what is no index.
        """
        if type(index) is not int:
            raise TypeError(f"the index of an entry is a whole number, not {index!r}")
        return viewed(ask(peer, ENTRY, (index,), CALL_TIMEOUT), Entry)

    @staticmethod
    def test_cluster(machine: type[StateMachine] = KVStore) -> tuple[Address, ...]:
        """Start peer1, peer2 and peer3 in this process, on a temporary directory, and elect.

        Returns their addresses. Raises RaftError if they are running already.
        """
        directory = Path(tempfile.mkdtemp(prefix="raft_actors-"))
        directories_of_tests.append(directory)
        names = ("peer1", "peer2", "peer3")
        for place, name in enumerate(names):
            answer = Raft.start_peer(machine, name=name, data_dir=directory / name)
            if answer[0] != "ok":
                for started in names[:place]:
                    Raft.stop(started)
                shutil.rmtree(directory, ignore_errors=True)
                raise RaftError(
                    f"{name} did not start: {answer[1]!r}; if one runs already, use it, or "
                    f'call Raft.stop("{name}") first'
                )
        members = tuple(address_of(name) for name in names)
        answer = Raft.set_configuration(members[0], members)
        if answer[0] != "ok":
            raise RaftError(f"the test cluster did not form: {answer[1]!r}")
        return members


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The peer at `stopped` has stopped; `others` are of its group."""

    stopped: Address
    others: list[Address]


def address_of(peer: PeerRef) -> Address:
    """Return the address that any of the ways to name a peer stands for.

    Raises BadName or TypeError.
    """
    if isinstance(peer, str):
        return check_peer_name(peer), peers_here().node.name
    if isinstance(peer, pykka.ActorProxy):
        peer = peer.actor_ref
    if isinstance(peer, RemoteRef):
        return peer.address
    if isinstance(peer, ProcessRef) and isinstance(peer.name, str):
        return peer.name, peers_here().node.name
    if isinstance(peer, tuple) and len(peer) == 2:
        return check_peer_name(peer[0]), check_node_name(peer[1])
    raise TypeError(
        f"a peer is its name, its address (name, node), its ActorRef or a proxy, not {peer!r}"
    )


def check_part(learner: bool, witness: bool) -> None:
    if learner and witness:
        raise ValueError("a learner has no vote and a witness has one: choose one of the two")


def several(peers: PeerRef | Iterable[PeerRef]) -> list[PeerRef]:
    """Return the peers of a list, or the one that was given without a list."""
    if isinstance(peers, list | set | frozenset):
        return list(peers)
    if isinstance(peers, tuple) and not all(isinstance(part, str) for part in peers):
        return list(peers)
    return [peers]  # type: ignore[list-item]  # a pair of names is an address


def change(
    leader: PeerRef,
    dry_run: bool,
    *,
    remove: tuple[Address, ...] = (),
    vote: tuple[Address, ...] = (),
    learn: tuple[Address, ...] = (),
    witness: tuple[Address, ...] = (),
    known: tuple[Address, ...] = (),
    timeout: float = CHANGE_TIMEOUT,
) -> Any:
    """Change the configuration that the leader has; nobody else's change gets lost by it.

    It is made again where the same members have only got another index: a disk was learned.

    known  who must be in the configuration, besides those of `remove`
    """
    deadline = time.monotonic() + timeout
    before: Any = None
    changed: Any = None
    while True:
        answer = Raft.status(leader)
        if answer[0] != "ok":
            return answer
        now = answer[1]["configuration"]
        parts = [set(now.get(part, ())) for part in ("members", "learners", "witnesses")]
        if before is not None and (parts != before or time.monotonic() > deadline):
            return changed
        members, learners, witnesses = parts
        voting = {*members, *vote, *witness}.difference(remove, learn)
        learning = {*learners, *learn}.difference(remove, vote, witness)
        stateless = {*witnesses, *witness}.difference(remove, learn, vote)
        unknown = {*remove, *known}.difference(members, learners)
        # Where nothing is to be done, a dry run: else it would call somebody's change off.
        done = [voting, learning, stateless] == parts
        changed = configure(
            leader,
            voting,
            learning,
            timeout,
            witnesses=stateless,
            dry_run=dry_run or done or bool(unknown),
            expected=now["index"],
        )
        match changed:
            case ("ok", _) if unknown:
                return ("error", "no_such_member")
            case ("error", ("configuration_changed", _)):
                before = parts
            case _:
                return changed


def tell_of_unheard(peer: PeerRef) -> None:
    """Say which members a leader has not met: a majority founds a group, also with a wrong name."""
    match Raft.status(peer):
        case ("ok", status):
            for name, node in status["configuration"]["members"]:
                if (name, node) not in status["incarnations"]:
                    logger.warning(
                        "%s on %s has not been heard of, and the group goes on without it: start "
                        "it, or correct its name by Raft.set_configuration",
                        name, node,
                    )  # fmt: skip


def configure(
    peer: PeerRef,
    members: Iterable[PeerRef],
    learners: Iterable[PeerRef],
    timeout: float,
    *,
    witnesses: Iterable[PeerRef] = (),
    dry_run: bool,
    expected: int | None = None,
) -> Any:
    without_state = tuple(address_of(witness) for witness in listed(witnesses))
    voters = {*(address_of(member) for member in listed(members)), *without_state}
    wanted = (
        tuple(voters),
        tuple(address_of(learner) for learner in listed(learners)),
        expected,
        dry_run,
        without_state,
    )
    return viewed(found_instead(ask(peer, CONFIGURE, wanted, timeout)), Configuration)


def ask(peer: PeerRef, operation: int, arguments: Any, timeout: float) -> Any:
    return request(peer, operation, encoding.dumps(arguments), timeout, NO_NODE)


def request(peer: PeerRef, operation: int, payload: bytes, timeout: float, if_lost: Any) -> Any:
    """Return the answer, ("ok", index) to the query REPLY; or Elsewhere, if the peer has stopped
    but others may know.

    if_lost  the answer when the connection broke with the request under way
    """
    seconds(timeout)
    peers = peers_here()
    limit = peers.node.config.command_bytes_max
    if len(payload) > limit:
        raise ValueError(
            f"{len(payload)} bytes are more than Config.command_bytes_max ({limit}); "
            "split it, or raise the bound on every node"
        )
    name, node = address_of(peer)
    body = [operation, name, payload, *next_request()]
    try:
        future = peers.request((name, node), body)
        try:
            answer = future.get(timeout)
        finally:
            future.abandon()
    except TimeoutError:
        return TIMEOUT
    except NoConnection as error:
        return if_lost if error.was_sent else NO_NODE
    except NoProcess:  # a node that has not begun to have peers
        return NO_PEER
    except FrameTooLarge:  # its node takes less in one frame than this one
        return ("error", "command_too_large")
    if isinstance(answer, bytes):
        return (
            ("ok", reply_in(answer)[0])
            if answer.startswith(REPLY)
            else encoding.loads_stored(answer)
        )
    return Elsewhere((name, node), [(other, place) for other, place in answer])


def found_instead(answer: Any, timeout: float = CALL_TIMEOUT) -> Any:
    """For a stopped peer, find who leads its group now, and say so."""
    if not isinstance(answer, Elsewhere):
        return answer
    leader = find_leader(answer.others, time.monotonic() + timeout, other_than=answer.stopped)
    return redirect(leader) if leader else ELECTION_IN_PROGRESS


def find_leader(members: list[Address], deadline: float, *, other_than: Address) -> Address | None:
    """Ask `members` until one of them knows a leader that is not the one of old."""
    while True:
        for member in members:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            match ask(member, LEADER, (), min(remaining, 1.0)):
                case (str() as name, str() as node) if (name, node) != other_than and "@" in node:
                    return name, node
        time.sleep(min(LOOK_AROUND_S, max(0.0, deadline - time.monotonic())))
