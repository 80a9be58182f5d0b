"""What a peer believes of messages that no member of its group can have sent.

Whoever holds the cookie can send such a message: one frame must not end a group.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raft_actors.core.entry import COMMAND, CONFIG, encode
from raft_actors.core.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from raft_actors.core.reconfiguration import REMOVED_MAX
from raft_actors.core.server import TERMS_AT_ONCE
from tests.core.world import World, address

ROOT = Path(__file__).parents[2]
LARGEST = (1 << 62) - 1
STRANGER = ("z", "elsewhere@host")


def founded() -> World:
    world = World("abc")
    world.configure("a")
    world.settle()
    world.ring(0.2)  # all know by then that the group's first entry is committed
    assert world.role("a") == "leader"
    return world


def claim(kind: type[Message], world: World, target: str, term: int, **fields: object) -> Message:
    envelope = {"source": STRANGER, "group": world.servers["a"].group, **fields}
    return kind(target=address(target), term=term, **envelope)


FIELDS: dict[type[Message], dict[str, object]] = {
    AppendReply: {"match": 0, "round": 0},
    VoteReply: {"granted": False},
    AppendEntries: {"prev_index": 0, "prev_term": 0, "commit": 0, "round": 0},
    InstallSnapshot: {
        "index": 9, "last_term": 9, "size": 9, "checksum": 9, "offset": 0, "data": b"x", "round": 0,
    },
    RequestVote: {"last_index": 99, "last_term": 99, "forced": True},
    TimeoutNow: {},
}  # fmt: skip


@pytest.mark.parametrize("group", ["", "?0123456789abcdef", "0123456789abcdef"])
@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("name", "ab")
def test_of_another_group_or_none_a_member_believes_nothing(
    kind: type[Message], group: str, name: str
) -> None:
    world = founded()
    before = world.servers[name].ballot, world.role(name)
    message = claim(kind, world, name, LARGEST, group=group, **FIELDS[kind])
    world.step(name, message)
    assert (world.servers[name].ballot, world.role(name)) == before


@pytest.mark.parametrize("kind", [AppendReply, VoteReply])
def test_an_answer_of_one_who_was_not_asked_raises_no_term(kind: type[Message]) -> None:
    world = founded()
    for name in "abc":
        world.step(name, claim(kind, world, name, 1000, **FIELDS[kind]))
    assert [server.term for server in world.servers.values()] == [1, 1, 1]
    assert world.role("a") == "leader"


@pytest.mark.parametrize("kind", [AppendEntries, RequestVote, InstallSnapshot])
def test_one_message_takes_no_group_to_the_end_of_all_terms(kind: type[Message]) -> None:
    world = founded()
    for name, member in ("ab", "bc", "ca"):
        world.step(name, claim(kind, world, name, LARGEST, **FIELDS[kind], source=address(member)))
    assert max(server.term for server in world.servers.values()) == 1 + TERMS_AT_ONCE
    world.ring(3)
    leader = next(name for name, _ in world.leaders())
    done = world.propose(leader, b"after")[0]
    world.settle()
    assert done.answer == ("ok", b"after")


def test_a_member_that_was_away_follows_over_however_many_terms() -> None:
    world = founded()
    world.isolate("c")
    for _ in range(3):
        for name, member in ("ac", "bc"):
            fields = {**FIELDS[AppendEntries], "source": address(member)}
            world.step(name, claim(AppendEntries, world, name, LARGEST, **fields))
    world.ring(3)
    world.heal()
    world.ring(3)
    world.settle()
    assert len({server.term for server in world.servers.values()}) == 1
    assert world.servers["c"].term > 3 * TERMS_AT_ONCE


def world_with_claims() -> tuple[World, list[bytes]]:
    """A world in which a member got other entries for all that are committed, and these as they
    were before.
    """
    world = founded()
    world.propose("a", b"kept")
    world.settle()
    world.ring(0.2)
    server = world.servers["c"]
    index = server.commit_index
    kept = server.log.between(1, index)
    for prev in range(index):
        message = claim(
            AppendEntries, world, "c", server.term + 1, prev_index=prev,
            prev_term=server.log.term_at(prev), commit=index, round=1,
            entries=[encode(server.term + 1, COMMAND, b"other", index=prev + 1)],
            source=address("b"),
        )  # fmt: skip
        world.step("c", message)
    return world, kept


def is_kept(world: World, entries: list[bytes]) -> bool:
    return world.servers["c"].log.between(1, len(entries)) == entries


def test_a_committed_entry_is_never_replaced_whoever_says_it_leads() -> None:
    """In memory neither; and the peer goes on."""
    world, kept = world_with_claims()
    assert is_kept(world, kept)
    assert world.machines["c"].commands == [b"kept"]
    assert [*world.servers["c"].troubles] == ["impossible_entries"]
    world.ring(3)
    leader = next(name for name, _ in world.leaders())
    world.propose(leader, b"after")
    world.settle()
    world.ring(0.2)
    assert world.machines["c"].commands == [b"kept", b"after"]


def test_a_committed_entry_is_not_replaced_where_python_leaves_asserts_out() -> None:
    code = (
        "from tests.core.test_strangers import is_kept, world_with_claims\n"
        "print(__debug__, is_kept(*world_with_claims()))"
    )
    command = [sys.executable, "-O", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.stdout == "False True\n", run.stderr


def test_a_stranger_that_says_it_leads_this_term_does_not_end_its_leader() -> None:
    world = founded()
    world.step("a", claim(AppendEntries, world, "a", 1, **FIELDS[AppendEntries]))
    assert world.role("a") == "leader"


def test_a_stranger_that_asked_for_a_vote_before_does_not_end_a_leader_either() -> None:
    world = founded()
    for kind, term, fields in (
        (RequestPreVote, 1, {"last_index": 9, "last_term": 9}),
        (AppendEntries, 1, FIELDS[AppendEntries]),
        (AppendReply, 1000, FIELDS[AppendReply]),
    ):
        world.step("a", claim(kind, world, "a", term, **fields))
    assert (world.role("a"), world.servers["a"].term) == ("leader", 1)


@pytest.mark.parametrize("previous", [0, 2, 3])
def test_a_configuration_that_follows_on_no_configuration_is_not_taken(previous: int) -> None:
    """Cut off the log again, it had the peer look for a configuration where there is none, in this
    life and in every one after it. Found by a storm of messages."""
    world = founded()
    for value in (b"x", b"y"):
        world.propose("a", value)
        world.settle()
    world.ring(0.2)
    server = world.servers["c"]
    last = server.log.last_index
    odd = replace(server.configuration, previous=previous)
    message = claim(
        AppendEntries, world, "c", server.term + 1, prev_index=last, prev_term=server.term,
        commit=0, round=1,
        entries=[encode(server.term + 1, CONFIG, odd.encode(), index=last + 1)],
        source=address("b"),
    )  # fmt: skip
    world.step("c", message)
    assert server.log.last_index == last
    assert [*server.troubles] == ["impossible_entries"]
    world.crash("c")
    world.start("c")
    world.ring(3)
    world.settle()
    assert len(list(world.leaders())) == 1


def test_strangers_that_ask_a_leader_for_votes_are_not_remembered_without_a_bound() -> None:
    """Any of them may have been a member, and each is sent heartbeats for a while.

    Planted: each_stranger_is_told_that_it_left.
    """
    world = founded()
    leader = world.servers["a"]
    for number in range(10 * REMOVED_MAX):
        leader.step(
            RequestPreVote(
                source=address(f"x{number}"), target=address("a"), group=leader.group,
                term=leader.term, last_index=0, last_term=0,
            )
        )  # fmt: skip
    assert len(leader.role.removed) == REMOVED_MAX
    world.ring(leader.role.timeout + 1)
    assert leader.role.progress.keys() == {address("b"), address("c")}


def test_only_its_leader_orders_a_follower_to_stand() -> None:
    world = founded()
    world.step("b", claim(TimeoutNow, world, "b", 1))
    assert world.role("b") == "follower"


def test_an_answer_to_a_round_that_was_not_begun_confirms_no_later_read() -> None:
    world = founded()
    a, b = world.servers["a"], world.servers["b"]
    world.isolate("a")
    a.step(
        AppendReply(
            source=address("b"), target=address("a"), group=a.group, term=a.term, match=1,
            round=LARGEST, source_incarnation=b.incarnation,
        )
    )  # fmt: skip
    ticket = world.query("a")
    world.step("a")
    assert ticket.answer is None
    assert not world.machines["a"].reads


def test_one_who_founds_a_group_is_told_of_the_group_that_there_is() -> None:
    world = founded()
    question = claim(
        RequestPreVote, world, "b", 0, group="?0123456789abcdef", last_index=0, last_term=0
    )
    server = world.servers["b"]
    server.step(question)
    (answer,) = server.flush().after_save
    assert answer.target == STRANGER
    assert answer.group == world.servers["a"].group


@pytest.mark.parametrize("ahead", [0, 1, 1000])
@pytest.mark.parametrize("kind", [AppendEntries, InstallSnapshot, RequestVote, TimeoutNow])
@pytest.mark.parametrize("name", "ab")
def test_who_is_no_member_claims_nothing_while_there_is_a_leader_and_is_told_of_once(
    kind: type[Message], name: str, ahead: int
) -> None:
    """Although it knows the group's id. Planted: outsiders_are_heard."""
    world = founded()
    server = world.servers[name]
    before = server.ballot, world.role(name), server.role.leader
    for _ in range(2):
        world.step(name, claim(kind, world, name, server.term + ahead, **FIELDS[kind]))
    assert (server.ballot, world.role(name), server.role.leader) == before
    assert server.troubles["outsider"].peer == STRANGER
    world.ring(0.2)
    assert world.role("a") == "leader"


def test_a_member_that_hears_no_leader_follows_one_that_its_log_does_not_know() -> None:
    """The others may have changed the members while it was away (thesis 4.1, 4.2.2)."""
    world = founded()
    world.isolate("c")
    world.ring(2)
    term = world.servers["c"].term
    world.step("c", claim(AppendEntries, world, "c", term + 1, **FIELDS[AppendEntries]))
    assert world.servers["c"].role.leader == STRANGER
    assert not world.servers["c"].troubles.keys() - {"no_leader"}
