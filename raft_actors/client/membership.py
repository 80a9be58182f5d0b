"""Membership: changes of a group's members, and transfers of leadership, asked of the leader."""

import logging
import time
from collections.abc import Iterable

from raft_actors.client.answers import Answer, Failure
from raft_actors.client.leader_finder import find_leader
from raft_actors.client.leader_search import no_group
from raft_actors.client.rpc import (
    CALL_TIMEOUT,
    PeerRef,
    address_of,
    ask,
    follow_referral,
    status_of,
)
from raft_actors.client.views import ConfigurationView, Status, viewed
from raft_actors.core.replies import TIMEOUT, redirect
from raft_actors.names import Address, listed
from raft_actors.replica.requests import CONFIGURE, TRANSFER

__all__ = [
    "CHANGE_TIMEOUT",
    "LEARNER",
    "VOTER",
    "WITNESS",
    "add",
    "cancel_change",
    "demote",
    "part_of",
    "promote",
    "remove",
    "replace",
    "set_configuration",
    "transfer_leadership",
]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

CHANGE_TIMEOUT = 60.0
"""The timeout of changes of members, in seconds: newcomers must catch up first."""
VOTER, LEARNER, WITNESS = "member", "learner", "witness"
ROLES = {VOTER: "vote", LEARNER: "learn", WITNESS: "witness"}
"""For each part of a member, the argument of `change` that gives a peer this part."""


def set_configuration(
    peer: PeerRef,
    members: Iterable[PeerRef],
    learners: Iterable[PeerRef],
    witnesses: Iterable[PeerRef],
    dry_run: bool,
    timeout: float,
) -> Answer[ConfigurationView]:
    answer = configure(peer, members, learners, timeout, witnesses=witnesses, dry_run=dry_run)
    if answer[0] == "ok" and not dry_run:
        warn_of_silent_members(peer)
    return answer


def add(
    leader: PeerRef,
    peer: PeerRef,
    part: str = VOTER,
    *,
    dry_run: bool = False,
    timeout: float = CHANGE_TIMEOUT,
) -> Answer[ConfigurationView]:
    """Give a peer this part; it may have had another one before."""
    return change(leader, dry_run, timeout=timeout, **{ROLES[part]: (address_of(peer),)})


def remove(
    leader: PeerRef, peer: PeerRef, *, dry_run: bool = False, timeout: float = CHANGE_TIMEOUT
) -> Answer[ConfigurationView]:
    return change(leader, dry_run, remove=(address_of(peer),), timeout=timeout)


def replace(
    leader: PeerRef, old: PeerRef, new: PeerRef, *, dry_run: bool = False
) -> Answer[ConfigurationView]:
    """Put `new` in the place of `old`; a peer in its own place is removed and added again."""
    if address_of(old) == address_of(new):
        removed = remove(leader, old, dry_run=dry_run)
        return removed if dry_run or removed[0] != "ok" else add(leader, new)
    return change(leader, dry_run, remove=(address_of(old),), vote=(address_of(new),))


def promote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Answer[ConfigurationView]:
    return change(leader, dry_run, vote=(address_of(peer),), known=(address_of(peer),))


def demote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Answer[ConfigurationView]:
    return change(leader, dry_run, learn=(address_of(peer),), known=(address_of(peer),))


def cancel_change(leader: PeerRef) -> Answer[ConfigurationView]:
    """Ask for the present members again: this cancels a change whose newcomers still catch up."""
    answer = status_of(leader)
    if answer[0] != "ok":
        return answer
    if refusal := refuse_without_a_group(leader, answer):
        return refusal
    now = answer[1]["configuration"]
    return configure(
        leader, now["members"], now.get("learners", ()), CALL_TIMEOUT,
        witnesses=now.get("witnesses", ()), dry_run=False, expected=now["index"],
    )  # fmt: skip


def transfer_leadership(leader: PeerRef, to: PeerRef | None = None) -> Answer[Address]:
    wanted = None if to is None else address_of(to)
    match follow_referral(ask(leader, TRANSFER, wanted, CALL_TIMEOUT)):
        case ("ok", target) if target == address_of(leader):
            return ("ok", target)
        case ("ok", target):
            deadline = time.monotonic() + CALL_TIMEOUT
            new = find_leader([target], deadline, other_than=address_of(leader))
            if new is None:
                return TIMEOUT
            return ("ok", new) if wanted in (None, new) else redirect(new)
        case ("error", ("redirect", None)) as answer:
            return refuse_without_a_group(leader, status_of(leader)) or answer
        case answer:
            other: Answer[Address] = answer
            return other


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
) -> Answer[ConfigurationView]:
    """Change the present configuration of the leader. If another change came in between, return its
    error, so that no change of others is lost.

    The change is tried again if the new configuration has the same members and only another index:
    then the leader has recorded the data directory of a member.

    known  peers that must be in the configuration, besides those of `remove`
    """
    deadline = time.monotonic() + timeout
    before: list[set[Address]] | None = None
    changed: Answer[ConfigurationView] = TIMEOUT
    while True:
        answer = status_of(leader)
        if answer[0] != "ok":
            return answer
        if refusal := refuse_without_a_group(leader, answer):
            return refusal
        now = answer[1]["configuration"]
        parts = [
            set(part)
            for part in (now["members"], now.get("learners", ()), now.get("witnesses", ()))
        ]
        if before is not None and (parts != before or time.monotonic() > deadline):
            return changed
        members, learners, witnesses = parts
        voting = {*members, *vote, *witness}.difference(remove, learn)
        learning = {*learners, *learn}.difference(remove, vote, witness)
        stateless = {*witnesses, *witness}.difference(remove, learn, vote)
        unknown = {*remove, *known}.difference(members, learners)
        # If nothing is to be changed, a dry run: a real one would cancel a change of others.
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


def refuse_without_a_group(peer: PeerRef, status: Answer[Status]) -> Failure | None:
    """Return the error if `status` is that of a peer in no group, else None."""
    match status:
        case ("ok", view) if not view["configuration"]["members"]:
            return no_group(address_of(peer))
    return None


def warn_of_silent_members(peer: PeerRef) -> None:
    """Log the members from which the leader has received nothing. A majority is enough to form a
    group, so a wrong name would not be noticed without this warning.
    """
    match status_of(peer):
        case ("ok", status):
            for name, node in status["configuration"]["members"]:
                if (name, node) not in status["incarnations"]:
                    logger.warning(
                        "the group works, but nothing was received from %s on %s yet: start it, or "
                        "correct its name by Raft.set_configuration",
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
) -> Answer[ConfigurationView]:
    without_state = tuple(address_of(witness) for witness in listed(witnesses))
    voters = {*(address_of(member) for member in listed(members)), *without_state}
    wanted = (
        tuple(voters),
        tuple(address_of(learner) for learner in listed(learners)),
        expected,
        dry_run,
        without_state,
    )
    answer: Answer[ConfigurationView] = viewed(
        follow_referral(ask(peer, CONFIGURE, wanted, timeout)), ConfigurationView
    )
    return answer


def part_of(learner: bool, witness: bool) -> str:
    """Return the part of a member that these two flags ask for."""
    if learner and witness:
        raise ValueError("a learner has no vote and a witness has one: choose one of the two")
    return LEARNER if learner else WITNESS if witness else VOTER
