"""Names, and how nodes of one user on one host find each other by them."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from raft_actors.errors import BadName, NameTaken, RaftError
from raft_actors.local_node import LocalNode
from raft_actors.names import node_name, short_host_name
from raft_actors.port_files import PortFiles, runtime_dir, start_time
from tests.nodes.helpers import NODE, eventually


def test_a_short_name_gets_this_hosts_short_name():
    assert node_name("a") == f"a@{short_host_name()}"
    assert "." not in short_host_name()


def test_a_name_with_an_at_is_taken_whole():
    assert node_name("a@some.where") == "a@some.where"


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "../a", "a@b@c", "@b", "a@", "ä", "a\n", None, 7, "x" * 65]
)
def test_a_bad_name_is_refused_in_words(name):
    with pytest.raises(BadName, match="name"):
        node_name(name)


def test_a_bad_name_does_not_start(make_node):
    with pytest.raises(BadName, match=r"letters, digits, '_', '-' or '\.', not 'a b'"):
        make_node("a b")


def test_nodes_of_two_processes_find_each_other(make_script):
    one, two = make_script(NODE, "a"), make_script(NODE, "b")
    a, b = one.line(), two.line()
    assert (a, b) == (f"a@{short_host_name()}", f"b@{short_host_name()}")
    assert one.say(f"Node.ping({b!r})") == "pong"
    assert two.say("Node.list()") == str([a])
    assert two.say(f"Node.ping({a!r})") == "pong"


def test_the_port_file_tells_who_listens_where(make_node):
    node = make_node("a")
    path = runtime_dir() / node.name
    entry = json.loads(path.read_text())
    assert entry == {
        "node": node.name,
        "pid": os.getpid(),
        "started": start_time(os.getpid()),
        "host": "127.0.0.1",
        "port": node.port,
    }
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    node.stop()
    assert not path.exists()


def test_a_name_is_taken_while_its_process_lives(make_node, make_script):
    holder = make_script(NODE, "a")
    holder.line()
    with pytest.raises(NameTaken, match=f"as process {holder.process.pid}"):
        make_node("a")


def test_a_name_is_taken_within_one_process_too(make_node):
    make_node("a")
    with pytest.raises(NameTaken, match=str(os.getpid())):
        make_node("a")


def test_the_port_file_of_a_killed_process_is_taken_over(make_node, make_script):
    """Also before anybody has reaped it: a zombie listens no more."""
    holder = make_script(NODE, "a")
    name = holder.line()
    holder.signal(signal.SIGKILL)
    eventually(lambda: start_time(holder.process.pid) is None)
    assert make_node("a").name == name


def test_a_pid_that_was_given_to_another_process_does_not_hold_the_name(make_node):
    """Planted: compare the pid alone."""
    files = PortFiles()
    entry = files.claim("a@one", "127.0.0.1", 1)
    path = files.directory / "a@one"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": "1"}))
    assert files.read("a@one") is None
    assert make_node("a@one").name == entry.node


@pytest.mark.parametrize("text", ["", "{", "[]", '{"node": "a@one"}', '{"node": 1, "pid": "x"}'])
def test_a_port_file_that_makes_no_sense_is_taken_over(make_node, text):
    files = PortFiles()
    files.claim("b@one", "127.0.0.1", 1)
    (files.directory / "a@one").write_text(text)
    assert make_node("a@one").running


def test_stopping_leaves_a_successors_port_file_alone():
    files = PortFiles()
    old = files.claim("a@one", "127.0.0.1", 1)
    path = files.directory / "a@one"
    path.unlink()
    files.claim("a@one", "127.0.0.1", 2)
    files.release(old)
    assert path.exists()


def test_a_runtime_directory_that_others_may_write_to_is_refused(make_node):
    directory = runtime_dir()
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    with pytest.raises(RaftError, match="RAFT_ACTORS_RUNTIME_DIR"):
        make_node("a")


def test_the_runtime_directory_is_the_sessions_or_a_private_one(monkeypatch, tmp_path):
    assert runtime_dir() == tmp_path / "run"
    monkeypatch.delenv("RAFT_ACTORS_RUNTIME_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert runtime_dir() == Path("/run/user/7/raft_actors")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert runtime_dir().name == f"raft_actors-{os.geteuid()}"


def test_the_mean_command_of_a_process_does_not_confuse_its_start_time(make_script):
    """/proc/<pid>/stat holds the command in brackets, which may hold brackets and blanks."""
    script = make_script(
        """
        import ctypes
        ctypes.CDLL(None).prctl(15, b") Z 1 2", 0, 0, 0)
        print("named")
        input()
        """
    )
    assert script.line() == "named"
    assert start_time(script.process.pid).isdigit()


def test_no_more_than_one_of_many_that_start_at_once_gets_the_name(make_script):
    source = """
        import sys
        from raft_actors.node import Node
        from raft_actors.errors import NameTaken
        print("ready"); sys.stdin.readline()
        try:
            print(Node.start("a"))
        except NameTaken:
            print("taken")
        sys.stdin.readline()
    """
    scripts = [make_script(source) for _ in range(4)]
    for script in scripts:
        script.line()
    for script in scripts:
        script.process.stdin.write("go\n")
        script.process.stdin.flush()
    answers = sorted(script.line() for script in scripts)
    assert answers == [node_name("a"), "taken", "taken", "taken"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": "4000"}, "a port is a number from 0 to 65535, not '4000'"),
        ({"host": 5}, "a host is an address or a name, .* not 5"),
        ({"host": "nobody.invalid"}, "no address of this host is called 'nobody.invalid'"),
        ({"cookie": 5}, "a cookie is a text, or bytes, not of type int"),
        ({"config": 5}, "a config is a Config or a mapping of its fields, not 5"),
    ],
)
def test_a_node_that_can_not_be_is_refused_in_words(options, words):
    """And `cookie=5` was a cookie of five zero bytes."""
    with pytest.raises((TypeError, ValueError, OSError), match=words):
        LocalNode("a", **options).start()
