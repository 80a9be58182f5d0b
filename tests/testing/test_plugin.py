"""The pytest plugin, as a user's own tests have it."""

import importlib.metadata
import re
from pathlib import Path

import pytest

from tests.docs.test_snippets import blocks

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def users_tests(pytester, monkeypatch):
    """Run a user's test file with the plugin, installed or not; return the result."""
    monkeypatch.setenv("TMPDIR", str(pytester.path))
    installed = any(
        point.value == "raft_actors.testing.pytest_plugin"
        for point in importlib.metadata.entry_points(group="pytest11")
    )
    plugin = [] if installed else ["-p", "raft_actors.testing.pytest_plugin"]

    def run(text: str, *options: str):
        pytester.makepyfile(text)
        pytester.syspathinsert(ROOT)
        return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *options)

    return run


def test_the_package_offers_the_plugin() -> None:
    assert "raft_actors = raft_actors.testing.pytest_plugin" in (ROOT / "setup.cfg").read_text()


def test_a_simulation_in_a_users_test(users_tests) -> None:
    result = users_tests(
        """
        import random
        from raft_actors import StateMachine
        from raft_actors.kv_store import KVStore

        class Lottery(StateMachine):
            def init(self, name):
                return None
            def handle_write(self, command, state):
                return "drawn", random.random()
            def handle_read(self, query, state):
                return state

        def test_lottery(raft_simulation):
            raft_simulation.run(Lottery, commands=["draw"])

        def test_store(raft_simulation):
            assert raft_simulation.run(KVStore, commands=[("set", "x", 1)]).acknowledged
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*Lottery, seed *: replicas differ after command 'draw'*", "*raft_simulation.run(Lottery*"]
    )


def test_real_peers_in_a_users_test(users_tests) -> None:
    result = users_tests(
        """
        from raft_actors.kv_store import KVStore

        def test_a_leader_is_replaced(raft_cluster):
            cluster = raft_cluster(KVStore, peers=3)
            assert cluster.write(("set", "x", 1)) == ("ok", "x", 1)
            old = cluster.leader
            cluster.stop_peer(old)
            assert cluster.leader != old
            assert cluster.read(("get", "x")) == ("ok", 1)
            cluster.start_peer(old)
            assert cluster.write(("set", "x", 2)) == ("ok", "x", 2)

        def test_each_test_has_its_own(raft_cluster):
            cluster = raft_cluster()
            assert cluster.read(("get", "x")) == ("error", "key_not_found")
            assert len(cluster.members) == 3
            assert len(raft_cluster(KVStore, peers=1).members) == 1

        def test_nothing_is_left_running():
            import threading
            from raft_actors.peer.peers import peers_here
            assert peers_here().running == {}
        """,
        "-p", "no:randomly",
    )  # fmt: skip
    result.assert_outcomes(passed=3)


def test_the_page_tells_what_a_reader_who_follows_it_sees(users_tests) -> None:
    """Numbers are not compared: they change with what the simulation draws.

    Planted: another word in the page's report; `run` shows its own code in the traceback.
    """
    page = ROOT / "docs" / "testing_your_machine.md"
    result = users_tests("\n\n".join(blocks(page, "python")))
    result.assert_outcomes(passed=1, failed=1)
    shown = " ".join(result.stdout.str().replace("\nE  ", "\n").split())
    (report,) = blocks(page, "text")
    expected = re.sub(r"\d+", r"\\d+", re.escape(" ".join(report.split())))
    assert re.search(expected.replace(r"\.\.\.", ".*"), shown), result.stdout.str()
    assert "def run(" not in shown


def test_the_plugin_loads_nothing_by_itself(users_tests) -> None:
    result = users_tests(
        """
        def test_nothing():
            import sys
            assert "raft_actors.testing.simulation.runner" not in sys.modules
            assert "rocksdict" not in sys.modules
            assert "raft_actors.testing.local_cluster" not in sys.modules
        """
    )
    result.assert_outcomes(passed=1)
