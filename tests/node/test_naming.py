"""Names, and how nodes of one user on one host find each other by them."""

import errno
import gc
import json
import os
import shutil
import signal
import stat
import sys
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from raft_actors.config import Config
from raft_actors.errors import BadName, NameTaken, RaftError
from raft_actors.node.host_name import node_name, short_host_name
from raft_actors.node.local_node import LocalNode
from raft_actors.node.node import Node
from raft_actors.node.port_files import PortFiles, runtime_dir, start_time
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import NODE, interrupted_at


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


def test_the_longest_name_has_a_port_file_too(make_node):
    """Planted: a draft that is called like the node and then some."""
    node = make_node("a" * 64 + "@" + "h" * 190)
    assert make_node("b").ping(node.name) == "pong"


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


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 4000, '{"node": "a@one"}', '{"node": 1}'])
def test_a_port_file_that_makes_no_sense_is_taken_over(make_node, text):
    files = PortFiles()
    files.claim("b@one", "127.0.0.1", 1)
    (files.directory / "a@one").write_text(text)
    assert make_node("a@one").running


def test_a_pipe_in_the_place_of_a_port_file_is_taken_over(make_node):
    """Planted: it is opened for reading, which waits for ever."""
    files = PortFiles()
    files.claim("b@one", "127.0.0.1", 1)
    os.mkfifo(files.directory / "a@one")
    assert make_node("a@one").running


@pytest.mark.parametrize("place", [("127.0.0.1", 99_999), ("127.0.0.1", 0), ("nobody.invalid", 1)])
def test_a_port_file_with_a_place_that_is_none_tells_of_nobody(place):
    """Planted: it is dialed, and a name looked up, on the bridge thread."""
    files = PortFiles()
    files.claim("a@one", *place)
    assert files.read("a@one") is None


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
        from raft_actors.node.node import Node
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
        ({"host": "a..b"}, "'a..b' is no host name"),
        ({"host": "x" * 64}, "'x*' is no host name"),
        ({"cookie": 5}, "a cookie is a text, or bytes, not of type int"),
        ({"config": 5}, "a config is a Config or a mapping of its fields, not 5"),
    ],
)
def test_a_node_that_can_not_be_is_refused_in_words(options, words):
    """And `cookie=5` was a cookie of five zero bytes."""
    with pytest.raises((TypeError, ValueError, OSError), match=words):
        LocalNode("a", **options).start()


# What sweeps a runtime directory: a logout, a cleaner of /tmp.


NEVER = replace(QUICK, port_file_s=600.0)
"""It looks after its port file when it is told to."""


def sweep():
    shutil.rmtree(runtime_dir())


def test_a_port_file_that_was_swept_is_written_again(make_node, make_script):
    """Planted: it is written at the start only."""
    node = make_node("a")
    sweep()
    eventually(lambda: PortFiles().read(node.name) is not None)
    asking = make_script(NODE, "b")
    asking.line()
    assert asking.say(f"Node.ping({node.name!r})") == "pong"
    with pytest.raises(NameTaken):
        make_node("a")


def test_a_port_file_that_makes_no_sense_any_more_is_written_again(make_node):
    node = make_node("a")
    (runtime_dir() / node.name).write_text("{")
    eventually(lambda: PortFiles().read(node.name) is not None)


def test_of_two_nodes_of_one_name_one_says_so_and_is_found_again_in_the_end(make_node, caplog):
    """The second one began while the first one's port file was gone."""
    node = make_node("a", limits=NEVER)
    sweep()
    other = make_node("a", limits=NEVER)
    for _ in range(2):
        node.post(node.access.keep_files)
    eventually(lambda: f"process {os.getpid()} has the name {node.name}, too" in caplog.text)
    assert PortFiles().read(node.name).port == other.port
    other.stop()
    node.post(node.access.keep_files)
    eventually(lambda: PortFiles().read(node.name) is not None)
    assert PortFiles().read(node.name).port == node.port
    assert caplog.text.count("has the name") == 1


def test_a_runtime_directory_that_cannot_be_made_again_is_told_once(make_node, caplog):
    node = make_node("a", limits=NEVER)
    sweep()
    runtime_dir().write_text("in the way")
    for _ in range(2):
        node.post(node.access.keep_files)
    eventually(lambda: "no port file, so" in caplog.text)
    runtime_dir().unlink()
    node.post(node.access.keep_files)
    eventually(lambda: PortFiles().read(node.name) is not None)
    assert caplog.text.count("no port file") == 1


def test_no_descriptor_left_does_not_make_a_living_node_a_dead_one(make_node, monkeypatch):
    """Planted: what can't be read is taken for what is not there, and the name is taken over."""
    node = make_node("a")

    for unreadable in (runtime_dir() / node.name, Path(f"/proc/{os.getpid()}/stat")):

        def none_left(opened, unreadable=unreadable):
            def opens(path, *arguments, **options):
                if Path(path) == unreadable:
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                return opened(path, *arguments, **options)

            return opens

        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", none_left(Path.open))
            patched.setattr(os, "open", none_left(os.open))
            with pytest.raises(RaftError, match="Too many open files"):
                PortFiles().claim(node.name, "127.0.0.1", 1)


def test_two_machines_of_one_name_do_not_take_the_connection_from_each_other(
    make_node, monkeypatch, tmp_path, caplog
):
    """Planted: each that dials is taken for the other one restarted, for ever."""
    c = make_node("c@one")
    known = Config(nodes={c.name: f"127.0.0.1:{c.port}"})
    twins = []
    for machine in ("first", "second"):
        monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / machine))
        twins.append(make_node("a@x", config=known))
    connected = []
    c.monitor(lambda news: connected.append(news))
    for twin in twins:
        assert twin.connect(c.name)
    eventually(lambda: "another node that is also called a@x" in caplog.text)
    assert [type(news).__name__ for news in connected] == ["NodeUp", "NodeDown", "NodeUp"]
    dropped, reached = "dropped a@x at 127.0.0.1:", "c@one can't be reached: 127.0.0.1:"
    eventually(lambda: dropped in caplog.text and reached in caplog.text)
    twins[1].stop()
    assert twins[0].connect(c.name) or twins[0].connect(c.name)  # the name is free


def test_ctrl_c_at_any_instant_of_a_start_leaves_the_name_free(monkeypatch):
    """Planted: give the port file back only where the directory of ports refuses it."""
    # It may hit a finalizer, and half-made sockets are garbage, which is to go here and now.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    for turn in count(1):
        with interrupted_at(turn) as seen:
            Node.start("a")
        Node.stop()
        assert Node.start("a").startswith("a@"), seen[-1]
        Node.stop()
        if len(seen) < turn:
            break
    gc.collect()


def test_ctrl_c_at_any_instant_of_a_stop_is_made_good_by_another(monkeypatch):
    """Planted: the node is forgotten first, or is taken for stopped when its links are closed; then
    its name is taken for as long as the process lives.
    """
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    for turn in count(1):
        Node.start("a")
        with interrupted_at(turn) as seen:
            Node.stop()
        Node.stop()
        eventually(lambda: not any("bridge" in thread.name for thread in threading.enumerate()))
        assert Node.start("a").startswith("a@"), seen[-1]
        Node.stop()
        if len(seen) < turn:
            break
    gc.collect()


def test_a_system_without_a_temporary_directory_is_told_what_to_set(monkeypatch):
    def none_there():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    for name in ("RAFT_ACTORS_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.gettempdir", none_there)
    with pytest.raises(RaftError, match=r"set RAFT_ACTORS_RUNTIME_DIR to a directory"):
        LocalNode("a")


def test_a_node_that_demands_what_it_does_not_speak_does_not_start(make_node):
    with pytest.raises(ValueError, match="require_version is 99, and this release supports"):
        make_node("a", config=Config(require_version=99))
