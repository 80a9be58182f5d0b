"""Recovery to its end: what was rescued goes on as a group of three, and survives its leader.

Each way of docs/recovery.md that ends in a directory to start from, for logs that fit into one
message and for those that don't, with and without a snapshot before them.
"""

import pytest
from typer.testing import CliRunner

from raft_actors import OnDiskStateMachine, Raft
from raft_actors.kv_store import KVStore
from raft_actors.node.node import Node
from raft_actors.tools.commands import app
from raft_actors.tools.trace_check import check
from tests.helpers import eventually

NAMES = ("one", "two", "three")
SMALL, LARGE = 10, 200_000
COUNT = 20


class Ledger(OnDiskStateMachine):
    """A state on disk that understands the commands of a KVStore, for keys that are str."""

    def handle_write(self, command, state):
        _set, key, value = command
        state[str(key)] = value
        return ("ok", key, value), state

    def handle_read(self, query, state):
        return ("ok", state.get(str(query[1])))


def here(name):
    return (name, Node.self())


def run(*arguments):
    result = CliRunner().invoke(app, ["recover", *map(str, arguments)])
    assert result.exit_code == 0, result.output


class Lost:
    """A group of NAMES with COUNT values of `size` characters, all of whose peers have stopped.

    backup  taken of the running group
    traces  of all peers, before and after: the rules are kept throughout
    """

    def __init__(
        self, make_peer, tmp_path, *, machine=KVStore, size=SMALL, witnesses=(), **options
    ):
        self.make_peer, self.machine, self.size = make_peer, machine, size
        self.directory, self.backup = tmp_path, tmp_path / "backup"
        self.traces = tmp_path / "traces"
        for name in NAMES:
            self.start(name, self.of(name), **options)
        assert Raft.set_configuration("one", NAMES, witnesses=witnesses)[0] == "ok"
        leader = Raft.leader("one")
        for number in range(COUNT):
            written = Raft.write(leader, ("set", number, self.value(number)), timeout=10)
            assert written[0] == "ok", written
        applied = Raft.status(leader)[1]["last_applied"]
        eventually(lambda: min(map(applied_at, NAMES)) >= applied)
        assert Raft.backup(leader, self.backup)[0] == "ok"
        for name in NAMES:
            Raft.stop(name)

    def start(self, name, path, **options):
        options = {"data_dir": path, "trace": self.traces, **options}
        assert self.make_peer(self.machine, name=name, **options)[1][0] == "ok"

    def of(self, name):
        return self.directory / "lost" / name

    def value(self, number):
        return str(number) * self.size

    def goes_on(self, name, path, **options):
        """Start `name` from `path`, let two others join, stop whoever leads, and look."""
        self.start(name, path, **options)
        eventually(lambda: Raft.leader(name) == here(name))
        others = ("two", "three")  # with names of before, and disks of their own
        for other in others:
            answer = Raft.join(
                self.machine, name=other, via=name, data_dir=self.directory / "new" / other,
                timeout=20, trace=self.traces,
            )  # fmt: skip
            assert answer[0] == "ok", answer
        assert answer[1]["members"] == sorted(map(here, (name, *others)))
        self.is_whole_at(name)
        assert Raft.stop(name) == "ok"
        eventually(lambda: Raft.leader("two") in map(here, others))
        leader = Raft.leader("two")
        eventually(lambda: Raft.write(leader, ("set", "after", 1))[0] == "ok")
        self.is_whole_at(leader)
        for other in others:
            self.is_whole_at(other, consistency="stale")
            assert "troubles" not in Raft.status(other)[1]
            Raft.stop(other)
            run("verify", self.directory / "new" / other)
        assert [str(violation) for violation in check(self.traces).violations] == []

    def is_whole_at(self, peer, **options):
        """Ask `peer`, or, without options, its leader: a slow disk may make that another one."""
        for number in range(COUNT):

            def answer(number=number):
                asked = peer if options else Raft.leader(peer) or peer
                found = Raft.read(asked, ("get", number), timeout=10, **options)
                return found if options or found[0] == "ok" else None

            assert eventually(answer) == ("ok", self.value(number))


def applied_at(name):
    return Raft.status(name)[1]["last_applied"]


@pytest.fixture
def lose(make_peer, tmp_path):
    """Make a group and lose it."""
    yield lambda **options: Lost(make_peer, tmp_path, **options)
    for name in NAMES:
        Raft.stop(name)


SHAPES = {
    "small": {},
    "large": {"size": LARGE},
    "behind a snapshot": {"snapshot_entries": 8, "snapshot_trailing": 1},
    "behind a large snapshot": {"size": LARGE, "snapshot_entries": 8, "snapshot_trailing": 1},
    "on disk": {"machine": Ledger},
    "with a witness": {"witnesses": ("three",)},
    "with a witness, behind a snapshot": {
        "witnesses": ("three",),
        "snapshot_entries": 8,
        "snapshot_trailing": 1,
    },
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def lost(request, lose):
    return lose(**request.param)


def test_a_backup_of_a_running_group_goes_on(lost, tmp_path):
    path = tmp_path / "restored"
    run("import", lost.backup, path, "--peer", "restored:nonode@nohost")
    lost.goes_on("restored", path)


def test_what_was_exported_of_a_stopped_peer_goes_on(lost, tmp_path):
    """Its log with it, where a backup of a running group is all snapshot."""
    file, path = tmp_path / "exported", tmp_path / "restored"
    run("export", lost.of("two"), file)
    run("import", file, path, "--peer", "one:nonode@nohost", "--to", "lmdb")
    lost.goes_on("one", path, log_store="lmdb")


def test_a_forced_survivor_goes_on(lost):
    path = lost.of("one")
    run("force-configuration", path, "one:nonode@nohost", "--yes")
    lost.goes_on("one", path)


def test_a_forced_survivor_goes_on_in_the_other_kind_of_store(lose):
    lost = lose(size=LARGE)
    path = lost.of("one")
    run("force-configuration", path, "one:nonode@nohost", "--yes")
    result = CliRunner().invoke(app, ["migrate", str(path), "--to", "lmdb"])
    assert result.exit_code == 0, result.output
    lost.goes_on("one", path, log_store="lmdb")


def test_a_migrated_store_goes_on_when_it_is_forced(lose):
    lost = lose()
    path = lost.of("one")
    result = CliRunner().invoke(app, ["migrate", str(path), "--to", "lmdb"])
    assert result.exit_code == 0, result.output
    run("force-configuration", path, "one:nonode@nohost", "--yes")
    lost.goes_on("one", path, log_store="lmdb")


def test_what_was_restored_is_lost_and_restored_again(lose, tmp_path):
    """Its log has the configurations of two groups before it."""
    lost = lose(size=LARGE)
    file, path = tmp_path / "exported", tmp_path / "again"
    run("export", lost.of("three"), file)
    run("import", file, tmp_path / "restored", "--peer", "two:nonode@nohost")
    run("force-configuration", tmp_path / "restored", "two:nonode@nohost", "--yes")
    run("export", tmp_path / "restored", tmp_path / "exported again")
    run("import", tmp_path / "exported again", path, "--peer", "one:nonode@nohost")
    lost.goes_on("one", path)


def test_a_survivor_that_is_forced_together_with_a_fresh_peer_goes_on(lose, tmp_path):
    lost = lose(size=LARGE)
    path = lost.of("one")
    run("force-configuration", path, "one:nonode@nohost", "fresh:nonode@nohost", "--yes")
    lost.start("fresh", tmp_path / "fresh")
    lost.start("one", path)
    eventually(lambda: Raft.leader("fresh") == here("one"))
    Raft.stop("one")
    lost.start("one", path)
    eventually(lambda: Raft.leader("one") is not None)
    eventually(lambda: Raft.write(Raft.leader("one"), ("set", "after", 1))[0] == "ok")
    assert Raft.remove_peer(Raft.leader("one"), "one")[0] == "ok"
    lost.is_whole_at("fresh")
