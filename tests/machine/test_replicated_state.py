"""What a machine's exceptions do: nothing to the cluster, and the same on every replica."""

import builtins
import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from raft_actors import OnDiskStateMachine, StateMachine, UndoDict, encoding
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import HostError, RaftError, StoreError, UpgradeFailed
from raft_actors.machine.contract import reply_of
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.replica.requests import WRITE, event_of

HOSTS_OWN = ["out of memory", "too deep", "no such file", "no such module", "told otherwise",
             "another cause", "in a group"]  # fmt: skip


def too_deep():
    return [too_deep()]


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
            case "too deep":
                return too_deep(), state
            case "no such file":
                return Path("/no/such/file").read_bytes(), state
            case "no such module":
                import no_such_module

                return no_such_module, state
            case "told otherwise":
                try:
                    too_deep()
                except RecursionError:
                    raise ValueError("cannot do that") from None
            case "another cause":
                try:
                    too_deep()
                except RecursionError:
                    raise ValueError("cannot do that") from KeyError("an account")
            case "in a group":
                raise ExceptionGroup("two", [KeyError("an account"), MemoryError()])
            case "too many digits":
                return int("9" * 5_000), state
            case "no digits for it":
                return str(10**5_000), state
            case "its own cause":
                error = ValueError("cannot do that")
                raise error from error
            case ("raise", name):
                raise getattr(builtins, name)("the account's owner alone")
            case ("as text", value):
                return str(value), state
            case "ugly":
                raise ValueError("\udcff")
        raise AssertionError(command)

    def handle_read(self, query, state):
        if query == "raise":
            return 1 / 0
        if query == "too deep":
            return too_deep(), state
        if query[0] == "as text":
            return str(query[1]), state
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
    return encoding.loads(applied.write(encoding.dumps(command)))


def read(applied, query):
    return encoding.loads(applied.read(encoding.dumps(query)))


@pytest.fixture
def accounts():
    applied = ReplicatedState(Accounts(), "peer")
    assert write(applied, ("set", "a", 1)) == ("ok", "a")
    return applied


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        ("raise", "ValueError", "no such account"),
        ("odd reply", "TypeError", "reply"),
        ("no pair", "TypeError", "(reply, state)"),
        ("ugly", "ValueError", "udcff"),
        ("its own cause", "ValueError", "cannot do that"),
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
    applied = ReplicatedState(InPlace(), "peer")
    assert write(applied, "one") == "ok"
    assert write(applied, "raise")[0] == "error"
    assert applied.state == {"touched": "one"}


class Filled(InPlace):
    """Fills its states key by key, not by UndoDict's constructor, and changes them in a read."""

    def init(self, name):
        state = UndoDict()
        state["first"] = name
        return state

    def handle_read(self, query, state):
        state["read"] = query
        del state["first"]
        return "read"

    def restore(self, data):
        state = UndoDict()
        for key, value in data.items():
            state[key] = value
        return state


def test_a_command_that_raises_takes_nothing_back_of_the_first_state():
    applied = ReplicatedState(Filled(), "peer")
    assert write(applied, "raise")[0] == "error"
    assert applied.state == {"first": "peer"}


def test_a_command_that_raises_takes_nothing_back_of_a_snapshot(tmp_path):
    """Planted: the state of `restore` as it is. The replica that has it from a snapshot parts."""
    applied = ReplicatedState(Filled(), "peer")
    applied.state = applied.restored({"first": 1, "second": 2}, Snapshot(1, 1, 0, 0))
    assert write(applied, "raise")[0] == "error"
    assert applied.state == {"first": 1, "second": 2}


def test_what_a_read_changes_in_a_state_that_can_take_it_back_is_taken_back():
    applied = ReplicatedState(Filled(), "peer")
    assert read(applied, "any") == "read"
    assert applied.state == {"first": "peer"}
    write(applied, "fine")
    assert applied.state == {"first": "peer", "touched": "fine"}


@pytest.mark.parametrize("what", HOSTS_OWN)
def test_what_depends_on_the_host_is_this_peers_trouble_and_no_answer(accounts, what):
    """Another replica may have done otherwise; answered like other exceptions, they part."""
    with pytest.raises(HostError, match=r"peer: entry 1: Accounts.handle_write raised .* host"):
        write(accounts, what)
    assert accounts.state == {"a": 1}


@pytest.mark.parametrize("what", ["too many digits", "no digits for it"])
def test_more_digits_than_python_shows_are_an_answer_like_any_other(accounts, what):
    """Planted: they are the host's trouble; then one such command ends every replica for good."""
    error, (kind, name, text) = write(accounts, what)
    assert (error, kind, name) == ("error", "exception", "ValueError")
    assert "Exceeds the limit (4300 digits)" in text
    assert accounts.state == {"a": 1}


@pytest.fixture
def digits_max():
    """Sets the bound, and sets it back in the end."""
    before = sys.get_int_max_str_digits()
    yield sys.set_int_max_str_digits
    sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("bound", [0, 5_000])
def test_no_replica_runs_in_a_process_that_allows_another_number_of_digits(
    accounts, digits_max, bound
):
    """It would do what the others can't, and part from them without a word."""
    digits_max(bound)
    with pytest.raises(HostError, match=rf"peer: .*digits\(\) is {bound} in .* Keep Python's 4300"):
        ReplicatedState(Accounts(), "peer")
    with pytest.raises(HostError, match="Keep Python's 4300"):
        accounts.begin_batch()


class Nameless(type):
    @property
    def __name__(cls):
        raise ValueError("no name")


def odd_property(name):
    def look(_error):
        raise ValueError(f"no {name}")

    return property(look)


class Uncut(str):
    """A text no part of which can be had."""

    __slots__ = ()

    def __getitem__(self, _part):
        return 404


NAMES = ("__class__", "__cause__", "__context__", "__traceback__", "__str__", "__eq__", "__hash__")
ODD = {
    "Nameless": Nameless("Nameless", (Exception,), {}),
    "Odd": type("Odd", (Exception,), {name: odd_property(name) for name in NAMES}),
    "OddSystem": type("OddSystem", (OSError,), {"errno": odd_property("errno")}),
    "OddText": type("OddText", (Exception,), {"__str__": lambda _: Uncut("text")}),
    "OddGroup": type("OddGroup", (ExceptionGroup,), {"exceptions": odd_property("exceptions")}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_exception_whose_class_raises_too_is_an_answer_like_any_other(accounts, name, caplog):
    """What looks at it must not end every replica."""
    caplog.set_level("INFO")
    arguments = ("two", [ValueError()]) if name == "OddGroup" else ()

    def raise_it(_command, _state):
        raise ODD[name](*arguments)

    accounts.machine.handle_write = accounts.machine.handle_read = raise_it
    answers = []
    for ask in (write, read):
        with contextlib.suppress(BaseException):  # over which pytest would stumble
            answers.append(ask(accounts, "anything")[1][:2])
    assert answers == [("exception", name)] * 2


@pytest.mark.parametrize("name", ["PermissionError", "FileExistsError", "TimeoutError"])
def test_a_machine_may_raise_errors_of_the_system_for_reasons_of_its_own(accounts, name):
    assert write(accounts, ("raise", name))[1][:2] == ("exception", name)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\xff\xff", b"\x91" * 101 + b"\x01", b"\x91" * 100_000 + b"\x01",
        b"\x81\xc7\x09\x00" + bytes([1] * 9) + b"\x01", b"\xc1\x92\xc7\x00\x09\xa2..",
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_a_command_that_is_no_term_has_one_reply_whatever_read_it(accounts, data):
    """The words of msgpack, and of Python, differ from version to version."""
    assert encoding.loads(accounts.write(data)) == (
        "error", ("exception", "ValueError", "the command is no term"),
    )  # fmt: skip


def test_a_command_with_a_time_zone_that_is_not_known_here_is_applied_as_everywhere(accounts):
    data = dumps_with_zone("Mars/Base")
    assert encoding.loads(accounts.write(data)) == ("ok", "when")
    again = encoding.loads_stored(encoding.dumps_stored(accounts.state))
    assert repr(again["when"].tzinfo) == "UnknownZone('Mars/Base')"
    with pytest.raises(HostError, match="Mars/Base"):
        accounts.write(encoding.dumps(("as text", encoding.loads(data)[2])))


def dumps_with_zone(key):
    when = datetime(2026, 1, 1, tzinfo=encoding.UnknownZone.of(key))
    return encoding.dumps(("set", "when", when))


def test_a_reader_that_asks_too_much_of_the_host_gets_an_error_and_ends_nobody(accounts):
    assert read(accounts, "too deep")[1][:2] == ("exception", "RecursionError")
    query = encoding.loads(dumps_with_zone("Mars/Base"))[2]
    assert read(accounts, ("as text", query))[1][:2] == ("exception", "HostError")


def test_a_read_that_raises_is_its_readers_answer(accounts):
    assert read(accounts, "raise") == (
        "error", ("exception", "ZeroDivisionError", "division by zero"),
    )  # fmt: skip
    assert read(accounts, "a") == 1


def test_a_read_changes_nothing(accounts):
    assert read(accounts, "changed") == (("ok", 1), {"changed": True})
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


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ({"ann": {"age": 30}}, ("ann", {"age": 30})),
        ([1, 2], (7, [1])),
        ({"a": 1}, ("a", {"a": 1})),
        ((1, 2), (1, 2)),
    ],
)
def test_a_pair_whose_second_part_is_not_the_state_itself_comes_back_whole(state, answer):
    """However much it looks like the state: it was taken for (reply, state), and cut in half."""
    assert reply_of(answer, state) == answer


class Slips(StateMachine):
    """Returns something else as its state, as the command says."""

    def init(self, name):
        return {"precious": 1}

    def handle_write(self, command, state):
        match command:
            case "update":
                return "ok", state.update(a=1)
            case "swapped":
                return state, "ok"
            case "keys":
                return "ok", state.keys()
            case "copy":
                return "ok", dict(state)


@pytest.mark.parametrize(
    ("command", "became"), [("update", "None"), ("swapped", "a str"), ("keys", "a dict_keys")]
)
def test_a_state_that_becomes_another_type_is_warned_of_once(command, became, caplog):
    """On every replica alike it is gone: `return "ok", state.update(...)` says None."""
    applied = ReplicatedState(Slips(), "peer1")
    write(applied, "copy")
    assert not caplog.records
    for _ in range(2):
        applied.state = {"precious": 1}
        write(applied, command)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"peer1: Slips.handle_write made {became} of the state, a dict, at" in record.message
    assert "Return (reply, state)" in record.message


def test_a_state_that_begins_as_none_may_become_something(caplog):
    class Begins(Slips):
        def init(self, name):
            return None

        def handle_write(self, command, state):
            return "ok", {"begun": command}

    assert write(ReplicatedState(Begins(), "peer1"), 1) == "ok"
    assert not caplog.records


class Buggy(StateMachine):
    """Raises in many ways."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        match command:
            case "here":
                return state["nobody"], state  # the line of "here"
            case "helper":
                return helper_that_raises(), state
            case "library":
                return int("seven"), state  # the line of "library"
            case "reply":
                return object(), state
        return None

    def handle_read(self, query, state):
        return state["nobody"]  # the line of a read


def helper_that_raises():
    raise RuntimeError("no")  # the line of "helper"


def line_of(comment):
    lines = Path(__file__).read_text().splitlines()
    return 1 + next(n for n, line in enumerate(lines) if line.endswith(f"  # {comment}"))


@pytest.mark.parametrize("command", ["here", "helper", "library"])
def test_the_log_names_the_line_of_the_machine_that_raised(command, caplog):
    caplog.set_level("INFO")
    write(ReplicatedState(Buggy(), "peer1"), command)
    (record,) = caplog.records
    line = line_of(f'the line of "{command}"')
    assert f"{__file__}:{line}, in " in record.message
    assert record.message.startswith("peer1: Buggy.handle_write raised ")


def test_what_is_wrong_with_a_result_names_the_function_that_gave_it(caplog):
    caplog.set_level("INFO")
    applied = ReplicatedState(Buggy(), "peer1")
    first = Buggy.handle_write.__code__.co_firstlineno
    for command in ("reply", "no such command"):
        write(applied, command)
    assert all(f"{__file__}:{first}, in handle_write" in text for text in caplog.messages)
    caplog.clear()
    read(applied, "a")
    assert f"{__file__}:{line_of('the line of a read')}, in handle_read" in caplog.text


def test_a_line_that_raises_for_every_command_is_told_now_and_then(caplog):
    """A log that is replayed has them all once more."""
    caplog.set_level("INFO")
    applied = ReplicatedState(Buggy(), "peer1")
    for _ in range(3):
        write(applied, "here")
        write(applied, "helper")
    assert len(caplog.records) == 2
    applied.exceptions.quiet_until.clear()
    write(applied, "here")
    assert len(caplog.records) == 3


def test_a_snapshot_that_raises_is_told_with_its_line(caplog):
    class NoImage(Slips):
        def snapshot(self, state):
            return state["nobody"]

    ReplicatedState(NoImage(), "peer1")
    assert f"mend NoImage.snapshot ({__file__}:" in caplog.text


def test_an_init_that_raises_is_told_with_its_line(caplog):
    class NoBeginning(Slips):
        def init(self, name):
            return {}["nobody"]  # the line of an init

    with pytest.raises(KeyError):
        ReplicatedState(NoBeginning(), "peer1")
    line = line_of("the line of an init")
    assert caplog.messages == [
        f"peer1: NoBeginning.init raised KeyError: 'nobody' ({__file__}:{line}, in init)"
    ]


@pytest.mark.parametrize("method", ["upgrade", "restore"])
def test_a_state_that_upgrade_or_restore_forgets_to_return_is_not_taken(method):
    class Forgets(Slips):
        version = 2

        def upgrade(self, state, from_version):
            state["new"] = 1

        def restore(self, data):
            data["new"] = 1

    applied = ReplicatedState(Forgets(), "peer1")
    take = {
        "upgrade": lambda: applied.upgrade(2),
        "restore": lambda: applied.restored({"a": 1}, Snapshot(index=5)),
    }
    with pytest.raises(RaftError, match="must return the state"):
        take[method]()
    assert applied.state["precious"] == 1


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("frobnicate", 1, b"x"), "is ('frobnicate', 1, b'x') a command"),
        ({"op": "frobnicate", "on": [None, 2.5]}, "is {'op': 'frobnicate', 'on': [None, 2.5]} a"),
        ("frobnicate \u00e9", r"is 'frobnicate \xe9' a command"),
        (("one",), "is ('one',) a command"),
        (("of", {"a", "b"}, 1 << 70, "x" * 100), "is ('of', <set>, <int>, <str>) a command"),
    ],
)
def test_a_command_that_a_machine_does_not_know_is_named_alike_on_every_replica(command, named):
    """A `match` that knows no such case returns None."""
    _, (_, kind, text) = write(ReplicatedState(Buggy(), "peer1"), command)
    assert (kind, text.partition(" not ")[0]) == (
        "TypeError", "handle_write must return (reply, state),",
    )  # fmt: skip
    assert named in text


def test_a_reply_shares_nothing_with_the_state(accounts):
    class Shares(Accounts):
        def handle_read(self, query, state):
            return state, state

    applied = ReplicatedState(Shares(), "peer")
    write(applied, ("set", "list", [1]))
    read(applied, None)["list"].append(2)
    assert read(applied, None) == {"list": [1]}


def test_a_state_moves_on_one_version_at_a_time_and_what_that_did_in_place_is_kept():
    class Third(InPlace):
        version = 3

        def upgrade(self, state, from_version):
            state[from_version] = self.current_version
            return state

    applied = ReplicatedState(Third(), "peer")
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


class FromTen(Tally):
    """Begins to count at 10."""

    def init(self, name):
        state = super().init(name)
        state["n"] = 10
        return state

    def handle_write(self, command, state):
        if command == "raise":
            raise ValueError("no")
        return super().handle_write(command, state)


def test_what_init_puts_into_a_state_on_disk_is_so_before_the_first_command_and_never_again(
    tmp_path,
):
    """Planted: a restart puts it in again, on one replica alone."""
    applied = ReplicatedState(FromTen(), "peer", tmp_path)
    assert write(applied, "raise")[0] == "error"
    assert write(applied, "plain") == 11
    applied.index = 2
    applied.end_batch()
    applied.close()
    again = ReplicatedState(FromTen(), "peer", tmp_path)
    assert read(again, None) == 11
    assert write(again, "plain") == 12
    again.close()


class BadDisk:
    """A database of which a read fails: EIO, no file descriptor left, a damaged block."""

    def get(self, key):
        raise Exception("IO error: While pread: 000012.sst: Input/output error")  # noqa: TRY002

    def close(self):
        pass


@pytest.fixture
def tally(tmp_path):
    applied = ReplicatedState(Tally(), "peer", tmp_path)
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
    applied = ReplicatedState(careless(), "peer", tmp_path)
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
    applied = ReplicatedState(Careless(), "peer", tmp_path)
    good, applied.on_disk.db = applied.on_disk.db, BadDisk()
    applied.machine.upgrade = lambda state, _version: state["n"]
    with pytest.raises(StoreError, match="Input/output error"):
        applied.upgrade(2)
    applied.on_disk.db = good
    applied.close()


class Keys(StateMachine):
    """Keeps the keys that it is given, and says them again."""

    def init(self, name):
        return frozenset()

    def handle_write(self, command, state):
        return command, frozenset(command)

    def handle_read(self, query, state):
        return len(state)


def of_one_hash_here(count):
    """Return tuples (str, int) of one hash in this process, and of others in each other process.

    They are made as CPython makes the hash of a tuple; see Objects/tupleobject.c.
    """
    prime_1, prime_2, prime_5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    full = (1 << 64) - 1

    def after(text):
        mixed = (prime_5 + hash(text) * prime_2) & full
        return (mixed << 31 | mixed >> 33) * prime_1 & full

    keys, goal = [("", 0)], after("")
    for text in map(str, range(20 * count)):
        number = (goal - after(text)) * pow(prime_2, -1, 1 << 64) & full
        number -= (number >> 63) << 64
        if abs(number) < sys.hash_info.modulus and number != -1:  # it is its own hash
            keys.append((text, number))
    return keys[:count]


def test_whether_a_command_runs_depends_on_no_hashes_of_this_process():
    """Strings have other hashes on another replica, which would run what this one refuses.

    Planted: a_replica_looks_at_hashes.
    """
    keys = of_one_hash_here(3 * encoding.KEYS_UNCHECKED_MAX)
    assert len(set(map(hash, keys))) == 1
    command = encoding.dumps_stored(dict.fromkeys(keys))
    with pytest.raises(ValueError, match="equal hashes"):
        event_of(WRITE, command, (0, 1), None)
    applied = ReplicatedState(Keys(), "peer")
    assert encoding.loads_stored(applied.write(command)) == dict.fromkeys(keys)
    assert applied.state == frozenset(keys)


def test_a_command_with_many_keys_is_taken():
    command = encoding.dumps(dict.fromkeys(range(3 * encoding.KEYS_UNCHECKED_MAX)))
    assert event_of(WRITE, command, (0, 1), None).command == command


class Nothing(StateMachine):
    """Its state is None at first, or after a command; its snapshots say so in a dict."""

    first: Any = None

    def init(self, name):
        return self.first

    def handle_write(self, command, state):
        return "ok", command

    def handle_read(self, query, state):
        return state

    def snapshot(self, state):
        return {"state": state}

    def restore(self, data):
        return data["state"]


def test_a_first_state_of_none_that_restore_would_make_again_is_refused_at_the_start():
    """With a snapshot on its disk, the peer would never start again. Planted: start it."""
    with pytest.raises(ValueError, match=r"Nothing\.init returned None.*Return another state"):
        ReplicatedState(Nothing(), "peer")


class Something(Nothing):
    def restore(self, data):
        return data["state"] or ()


class Plain(Nothing):
    def snapshot(self, state):
        return state

    def restore(self, data):
        return data


@pytest.mark.parametrize("kind", [Something, Plain])
def test_a_first_state_of_none_that_comes_back_is_fine(kind):
    applied = ReplicatedState(kind(), "peer")
    assert list(applied.image().payloads()) == []
    assert not applied.restored(kind().snapshot(None), Snapshot(1, 1, 0, 0))


def test_no_snapshot_is_taken_of_a_state_that_a_command_made_none():
    """The log is kept, from which the peer starts. Planted: take it."""
    machine = Nothing()
    machine.first = ()
    applied = ReplicatedState(machine, "peer")
    applied.image()
    write(applied, None)
    with pytest.raises(TypeError, match="the state is None"):
        applied.image()
    write(applied, {})
    applied.image()
