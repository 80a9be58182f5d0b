"""What a machine's exceptions do: nothing to the cluster, and the same on every replica."""

import pytest

from raft_actors import OnDiskStateMachine, StateMachine, UndoDict, terms
from raft_actors.applied import Applied, reply_of
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import RaftError, StoreError, UpgradeFailed


class Accounts(StateMachine):
    """Breaks in every way that a machine may."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        match command:
            case ("set", key, value):
                return ("ok", key), {**state, key: value}
            case "raise":
                raise ValueError("no such account")
            case "odd reply":
                return object(), {**state, "odd": 1}
            case "no pair":
                return "ok"
            case "out of memory":
                raise MemoryError
            case "ugly":
                raise ValueError("\udcff")
        raise AssertionError(command)

    def handle_read(self, query, state):
        if query == "raise":
            return 1 / 0
        if query == "changed":
            return ("ok", 1), {"changed": True}
        if query == "bare":
            return ("ok", {"a": "dict"})
        return state.get(query), state


class InPlace(Accounts):
    """Changes its state before it raises."""

    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        state["touched"] = command
        if command == "raise":
            raise ValueError("too late")
        return "ok", state


def write(applied, command):
    return terms.loads(applied.write(terms.dumps(command)))


def read(applied, query):
    return terms.loads(applied.read(terms.dumps(query)))


@pytest.fixture
def accounts():
    applied = Applied(Accounts(), "peer")
    assert write(applied, ("set", "a", 1)) == ("ok", "a")
    return applied


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        ("raise", "ValueError", "no such account"),
        ("odd reply", "TypeError", "reply"),
        ("no pair", "TypeError", "(reply, state)"),
        ("ugly", "ValueError", "udcff"),
    ],
)
def test_a_command_that_raises_is_its_writers_answer_and_changes_nothing(
    accounts, command, error, text
):
    """Defect 17 of the original: one such command brought every replica down for good."""
    tag, (kind, name, said) = write(accounts, command)
    assert (tag, kind, name) == ("error", "exception", error)
    assert text in said
    assert accounts.state == {"a": 1}
    assert write(accounts, ("set", "b", 2)) == ("ok", "b")


def test_a_machine_that_changes_its_state_in_place_is_undone():
    applied = Applied(InPlace(), "peer")
    assert write(applied, "one") == "ok"
    assert write(applied, "raise")[0] == "error"
    assert applied.state == {"touched": "one"}


def test_running_out_of_memory_is_this_peers_trouble_and_no_answer(accounts):
    with pytest.raises(MemoryError):
        write(accounts, "out of memory")


def test_a_read_that_raises_is_its_readers_answer(accounts):
    assert read(accounts, "raise") == (
        "error", ("exception", "ZeroDivisionError", "division by zero"),
    )  # fmt: skip
    assert read(accounts, "a") == 1


def test_a_read_changes_nothing(accounts):
    assert read(accounts, "changed") == ("ok", 1)
    assert accounts.state == {"a": 1}


def test_a_bare_reply_that_looks_like_a_pair_is_a_reply(accounts):
    assert read(accounts, "bare") == ("ok", {"a": "dict"})


def test_a_reply_and_the_state_are_told_apart_by_the_state():
    state = {"k": 1}
    assert reply_of((("ok", 1), state), state) == ("ok", 1)
    assert reply_of(("ok", 1), state) == ("ok", 1)
    assert reply_of("plain", state) == "plain"
    assert reply_of(("ok", state), state) == ("ok", state)
    assert reply_of((("ok", state), state), state) == ("ok", state)


def test_a_reply_shares_nothing_with_the_state(accounts):
    class Shares(Accounts):
        def handle_read(self, query, state):
            return state, state

    applied = Applied(Shares(), "peer")
    write(applied, ("set", "list", [1]))
    read(applied, None)["list"].append(2)
    assert read(applied, None) == {"list": [1]}


def test_a_state_moves_on_one_version_at_a_time_and_what_that_did_in_place_is_kept():
    class Third(InPlace):
        version = 3

        def upgrade(self, state, from_version):
            state[from_version] = self.current_version
            return state

    applied = Applied(Third(), "peer")
    applied.upgrade(3)
    applied.state.rollback()
    assert dict(applied.state) == {1: 1, 2: 2}
    applied.upgrade(2)
    assert applied.version == 3, "never back"


class Tally(OnDiskStateMachine):
    """Counts on disk; as "careless" it catches all that reading can raise."""

    def handle_write(self, command, state):
        try:
            number = state.get("n", 0) + 1
        except Exception:
            if command == "careful":
                raise ValueError("in other words") from None
            if command != "careless":
                raise
            number = 1
        state["n"] = number
        return number, state

    def handle_read(self, query, state):
        return state.get("n")


class BadDisk:
    """A database of which a read fails: EIO, no file descriptor left, a damaged block."""

    def get(self, key):
        raise Exception("IO error: While pread: 000012.sst: Input/output error")  # noqa: TRY002

    def close(self):
        pass


@pytest.fixture
def tally(tmp_path):
    applied = Applied(Tally(), "peer", tmp_path)
    yield applied
    applied.close()


@pytest.mark.parametrize("command", ["plain", "careful", "careless"])
def test_a_disk_that_does_not_answer_is_this_peers_trouble_and_no_answer(tally, command):
    """The other replicas read their own disks, and run the command. So it may not count as applied
    here, whatever the machine makes of the failure.
    """
    assert write(tally, "plain") == 1
    tally.end_batch()
    good, tally.on_disk.db = tally.on_disk.db, BadDisk()
    with pytest.raises(StoreError, match="Input/output error"):
        write(tally, command)
    with pytest.raises(StoreError):
        tally.end_batch()
    tally.on_disk.db = good


def test_a_disk_that_does_not_answer_a_read_is_the_peers_trouble_too(tally):
    write(tally, "plain")
    tally.end_batch()
    good, tally.on_disk.db = tally.on_disk.db, BadDisk()
    with pytest.raises(StoreError):
        read(tally, None)
    tally.on_disk.db = good


class Careless(Tally):
    """Forgets which state it was given."""

    version = 2
    another = None

    def handle_write(self, command, state):
        number, state = super().handle_write(command, state)
        return number, self.another if command == "forget" else state

    def upgrade(self, state, _version):
        state["n"] = 100
        return self.another

    def restore(self, data):
        super().restore(data)
        return self.another


@pytest.mark.parametrize("another", [None, {"n": 7}])
def test_a_state_on_disk_is_never_left_for_another(tmp_path, another):
    """Such a replica would go on from one state, and from that on its disk after a restart.

    Planted: it goes on from what the machine returned.
    """
    careless = type("Careless", (Careless,), {"another": another})
    applied = Applied(careless(), "peer", tmp_path)
    assert write(applied, "plain") == 1
    error, (_, kind, text) = write(applied, "forget")
    assert (error, kind) == ("error", "TypeError")
    assert "return the state that was given" in text
    assert write(applied, "plain") == 2
    with pytest.raises(UpgradeFailed, match="return the state that was given"):
        applied.upgrade(2)
    with pytest.raises(RaftError, match="return the state that was given"):
        applied.restored(iter(()), Snapshot(1, 1))
    applied.close()


def test_a_disk_that_fails_in_an_upgrade_is_not_the_machines_fault(tmp_path):
    applied = Applied(Careless(), "peer", tmp_path)
    good, applied.on_disk.db = applied.on_disk.db, BadDisk()
    applied.machine.upgrade = lambda state, _version: state["n"]
    with pytest.raises(StoreError, match="Input/output error"):
        applied.upgrade(2)
    applied.on_disk.db = good
    applied.close()
