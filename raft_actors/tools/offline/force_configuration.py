"""Force: another configuration for a group whose majority is gone for good, written by hand.

Raft never does this: what the lost majority acknowledged may be missing here, and nothing can tell.
So it makes another group. The entry is of a new term and gives the group a new id, by which the
members of the old one, should any come back, are no longer listened to, and don't listen. It tells
who forced it, when, and who the members were.
"""

import getpass
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration, in_order
from raft_actors.core.effects import NOTHING_OWED, Ballot
from raft_actors.core.entry import CONFIG, command_of, encode
from raft_actors.errors import BadName, RaftError
from raft_actors.machine.replicated_state import WITNESS
from raft_actors.names import Address, check_node_name, check_peer_name
from raft_actors.node.host_name import short_host_name
from raft_actors.replica.recovery import Recovered, recover
from raft_actors.stores.durable import DurableStore

__all__ = [
    "CannotForce",
    "Forcing",
    "force",
    "forcing",
    "parse_address",
    "plan",
    "refuse_stateless",
]


class CannotForce(RaftError):
    """The configuration that was asked for can't be that of this peer's group."""


@dataclass(frozen=True, slots=True)
class Forcing:
    """What is to be written: `entry`, at `index`, and with it `ballot`."""

    peer: Address
    before: Configuration
    after: Configuration
    index: int
    entry: bytes
    ballot: Ballot


def parse_address(text: str) -> Address:
    """Return the address that is written NAME:NODE. Raises BadName."""
    name, colon, node = text.partition(":")
    if not colon:
        raise BadName(f"a member is written NAME:NODE, like peer1:a@myhost, not {text!r}")
    return check_peer_name(name), check_node_name(node)


def plan(store: DurableStore[Any], members: Iterable[Address]) -> Forcing:
    """Say what would be written. Raises CannotForce, saying why."""
    record = store.directory.record()
    if record["owner"] is None:
        raise CannotForce(f"{store.path} was never a peer's: nothing is there to rescue")
    peer: Address = tuple(record["owner"])
    voters = in_order(members)
    if peer not in voters:
        raise CannotForce(
            f"{store.path} is the directory of {':'.join(peer)}, which must be a member"
        )
    found = recover(store, Config())
    before = found.configuration
    if not before.members:
        raise CannotForce(f"{':'.join(peer)} is in no group: start it, and found one")
    refuse_stateless(store, found)
    return forcing(peer, found, before, voters)


def refuse_stateless(store: DurableStore[Any], found: Recovered) -> None:
    """A witness keeps its log, and a snapshot that stands for entries and holds no state."""
    if found.snapshot.index and store.snapshots.header(found.snapshot).kind == WITNESS:
        raise CannotForce(
            f"{store.path} is a witness's: up to entry {found.snapshot.index} it keeps no state, "
            "so nothing can go on from it. Take another survivor, or a backup"
        )


def forcing(
    peer: Address,
    found: Recovered,
    before: Configuration,
    voters: tuple[Address, ...],
    **record: str,
) -> Forcing:
    """Return what makes `voters` the members after all that was `found`; `record` goes with it."""
    log, index = found.log, found.log.last_index + 1
    now_ms = max(int(datetime.now(UTC).timestamp() * 1000), 0)
    if log.last_index > log.base:  # the time of a log never falls
        now_ms = max(now_ms, command_of(log.between(log.last_index, log.last_index)[0])[2])
    after = replace(  # without incarnations: whoever comes to it counts, until they are learned
        before, members=voters, learners=(), old=(), witnesses=(), incarnations=(),
        group=secrets.token_hex(8), index=index, previous=before.index,
    )  # fmt: skip
    ballot = replace(
        found.ballot, term=found.ballot.term + 1, voted_for=peer, configuration=index,
        group=after.group, owed=NOTHING_OWED,
    )  # fmt: skip
    forced = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": f"{user()}@{short_host_name()}",
        "group": before.group,
        "members": before.members,
        "learners": before.learners,
        "witnesses": before.witnesses,
        "old": before.old,
        **record,
    }
    payload = json.dumps(json.loads(after.encode()) | {"forced": forced}).encode()
    return Forcing(
        peer, before, after, index,
        encode(ballot.term, CONFIG, payload, time_ms=now_ms, index=index), ballot,
    )  # fmt: skip


def user() -> str:
    """Name who runs this. In a container the user may have a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        return f"uid {os.getuid()}"


def force(store: DurableStore[Any], forcing: Forcing) -> None:
    """Write it: all or nothing, durable on return."""
    store.save(forcing.ballot.stored(), forcing.index, [forcing.entry])
