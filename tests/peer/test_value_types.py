"""Objects of registered classes as commands, replies and states; and members whose program does not
know a class.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import pytest

from raft_actors import Raft, StateMachine, UndoDict, value_type
from raft_actors.encoding import value_types as registry
from raft_actors.errors import UnknownType
from raft_actors.replica import requests
from tests.helpers import eventually


@value_type("peer_test.Kind")
class Kind(Enum):
    SAVINGS = "savings"


@value_type("peer_test.Deposit")
@dataclass(frozen=True)
class Deposit:
    account: str
    amount: Decimal


@value_type("peer_test.Account")
@dataclass
class Account:
    kind: Kind
    balance: Decimal = Decimal(0)


class Bank(StateMachine):
    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        match command:
            case Deposit(account, amount):
                before = state.get(account, Account(Kind.SAVINGS))
                state[account] = Account(before.kind, before.balance + amount)
                return state[account], state
        raise ValueError(command)

    def handle_read(self, query, state):
        return state.get(query), state


def in_group_of_one(make_peer):
    name, _ = make_peer(Bank)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name


def test_objects_are_commands_replies_and_states_and_survive_snapshot_and_restart(make_peer):
    name = in_group_of_one(make_peer)
    account = Account(Kind.SAVINGS, Decimal("1.50"))
    assert Raft.write(name, Deposit("a", Decimal("1.50"))) == account
    assert Raft.snapshot(name)[0] == "ok"
    assert Raft.write(name, Deposit("b", Decimal(2))) == Account(Kind.SAVINGS, Decimal(2))
    assert Raft.stop_peer(name) == "ok"
    make_peer(Bank, name=name)
    eventually(lambda: Raft.read(name, "a") == account)
    assert Raft.read(name, "b") == Account(Kind.SAVINGS, Decimal(2))


def test_a_leader_that_does_not_know_a_class_takes_no_command_with_it(make_peer, monkeypatch):
    name = in_group_of_one(make_peer)
    before = Raft.status(name)[1]["last_index"]
    monkeypatch.delitem(registry.BY_NAME, "peer_test.Deposit")
    with pytest.raises(
        ValueError, match=r"a command with the type 'peer_test\.Deposit', which the"
    ):
        Raft.write(name, Deposit("a", Decimal(1)))
    assert Raft.status(name)[1]["last_index"] == before


def test_a_replica_that_does_not_know_a_class_stops_in_words_and_loses_nothing(
    make_peer, monkeypatch, caplog
):
    name = in_group_of_one(make_peer)
    with monkeypatch.context() as old_program:
        old_program.delitem(registry.BY_NAME, "peer_test.Deposit")
        old_program.setattr(requests, "unknown_here", lambda _: [])  # another member led
        Raft.write(name, Deposit("a", Decimal(1)), timeout=1)
        words = "this program does not know the type 'peer_test.Deposit': import the module that"
        eventually(lambda: any(words in record.getMessage() for record in caplog.records))
    Raft.stop_peer(name)
    make_peer(Bank, name=name)
    eventually(lambda: Raft.read(name, "a") == Account(Kind.SAVINGS, Decimal(1)))


def test_a_snapshot_with_a_class_that_is_not_known_stops_the_peer_in_words(make_peer, monkeypatch):
    name = in_group_of_one(make_peer)
    Raft.write(name, Deposit("a", Decimal(1)))
    assert Raft.snapshot(name)[0] == "ok"
    assert Raft.stop_peer(name) == "ok"
    with monkeypatch.context() as old_program:
        old_program.delitem(registry.BY_NAME, "peer_test.Account")
        _, (error, reason) = make_peer(Bank, name=name)
        assert error == "error"
        assert "does not know the type 'peer_test.Account'" in str(reason)
    make_peer(Bank, name=name)
    eventually(lambda: Raft.read(name, "a") == Account(Kind.SAVINGS, Decimal(1)))


def test_a_client_that_does_not_know_the_class_of_a_reply_is_told_its_name(make_peer, monkeypatch):
    name = in_group_of_one(make_peer)
    Raft.write(name, Deposit("a", Decimal(1)))
    monkeypatch.delitem(registry.BY_NAME, "peer_test.Kind")
    with pytest.raises(UnknownType, match=r"the type 'peer_test\.Kind'"):
        Raft.read(name, "a")


def test_an_entry_with_a_class_that_is_not_known_can_be_looked_at(make_peer, monkeypatch):
    name = in_group_of_one(make_peer)
    Raft.write(name, Deposit("a", Decimal(1)))
    last = Raft.status(name)[1]["last_index"]
    assert Raft.get_entry(name, last)[1]["data"] == Deposit("a", Decimal(1))
    monkeypatch.delitem(registry.BY_NAME, "peer_test.Deposit")
    with pytest.raises(UnknownType, match=r"the type 'peer_test\.Deposit'"):
        Raft.get_entry(name, last)
