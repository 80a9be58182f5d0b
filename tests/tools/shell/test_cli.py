"""`raft-actors` as a process: one clear line for what can't be done, clean ends, light starts."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from raft_actors.tools.commands import cookie_asked
from raft_actors.tools.launch import (
    CannotLaunch,
    Launched,
    LaunchPlan,
    end_at_the_next,
    run_until_signal,
)
from raft_actors.wire.cookie import Cookie
from tests.helpers import eventually
from tests.tools.shell.terminal import ROOT, environment

HOST = socket.gethostname().partition(".")[0]
COMMAND = [sys.executable, "-m", "raft_actors"]


class Nodes:
    """Node processes of one test, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = os.environ | environment(directory)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], text=True, cwd=self.directory, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def run_module(self, name: str, text: str) -> tuple[int, str]:
        """Have a node start this module; return its status, and what it said on stderr."""
        (self.directory / f"{name}.py").write_text(text)
        status, _, err = self.run("node", "--sname", "a", "-m", name)
        return status, err

    def start_up(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a node and wait until it says that it is up."""
        process = self.start("node", *arguments)
        line = process.stdout.readline()
        if " is up" not in line:
            process.kill()  # else its stderr has no end
            pytest.fail(f"{line!r} {process.communicate(timeout=20)}")
        return process


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path)
    yield nodes
    for process in nodes.started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=20)


def assert_one_line(err: str, pattern: str) -> None:
    assert re.fullmatch(rf"raft-actors: .*{pattern}.*\n", err), err


def test_version(nodes: Nodes) -> None:
    installed = {dist.metadata["Name"] for dist in metadata.distributions()} & {"raft_actors"}
    version = (
        metadata.version("raft_actors") if installed else "(run from its sources, not installed)"
    )
    assert nodes.run("--version") == (0, f"raft-actors {version}\n", "")


@pytest.mark.parametrize("group", [[], ["recover"], ["trace"]])
def test_what_a_command_does_is_told_whole_in_a_narrow_terminal(
    nodes: Nodes, group: list[str]
) -> None:
    nodes.environment["COLUMNS"] = "80"
    status, out, _ = nodes.run(*group, "--help")
    assert status == 0
    assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize("command", ["node", "shell"])
def test_a_missing_module_is_one_line_and_status_2(nodes: Nodes, command: str) -> None:
    status, _, err = nodes.run(command, "--sname", "a", "-m", "nowhere.to_be_found")
    assert status == 2
    assert_one_line(err, "no module named 'nowhere'")


@pytest.mark.parametrize("command", ["node", "shell"])
def test_a_bad_name_is_one_line_and_status_2(nodes: Nodes, command: str) -> None:
    status, _, err = nodes.run(command, "--sname", "a b")
    assert status == 2
    assert_one_line(err, "'a b'")


def test_a_name_taken_is_one_line_and_status_1(nodes: Nodes) -> None:
    first = nodes.start_up("--sname", "a")
    status, _, err = nodes.run("node", "--sname", "a")
    assert status == 1
    assert_one_line(err, f"a@{HOST}.*{first.pid}")


def test_a_port_taken_is_one_line_and_status_1(nodes: Nodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        status, _, err = nodes.run("node", "--sname", "a", "--port", str(port))
    assert status == 1
    assert_one_line(err, f"can't listen at 127.0.0.1:{port}")


def test_an_unknown_option_is_status_2(nodes: Nodes) -> None:
    status, _, err = nodes.run("node", "--sname", "a", "--colour", "blue")
    assert status == 2
    assert "--colour" in err
    assert "Traceback" not in err


def test_a_start_function_that_is_not_there_is_status_2(nodes: Nodes) -> None:
    status, _, err = nodes.run("node", "--sname", "a", "--start", "examples.kv_store:begin")
    assert status == 2
    assert_one_line(err, "no function 'begin'")


@pytest.mark.parametrize("name", [".there", "there.py", "", "there..too"])
def test_a_module_that_is_not_named_as_in_an_import_is_one_line_and_status_2(
    nodes: Nodes, name: str
) -> None:
    status, _, err = nodes.run("node", "--sname", "a", "-m", name)
    assert status == 2
    assert_one_line(err, f"as in an import.*, not '{re.escape(name)}'")


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_is_none_is_status_2(nodes: Nodes, port: str) -> None:
    status, _, err = nodes.run("node", "--sname", "a", "--port", port)
    assert status == 2
    assert "--port" in err
    assert "Traceback" not in err


def test_a_cookie_that_cant_be_read_is_one_line_and_status_1(nodes: Nodes) -> None:
    nodes.environment.pop("RAFT_ACTORS_COOKIE", None)
    nodes.environment["XDG_CONFIG_HOME"] = str(nodes.directory)
    (nodes.directory / "raft_actors" / "cookie").mkdir(parents=True)
    status, _, err = nodes.run("node", "--sname", "a")
    assert status == 1
    assert_one_line(err, "there is no cookie .*cookie'.*set RAFT_ACTORS_COOKIE")


def test_a_runtime_directory_that_cant_be_made_is_one_line_and_status_1(nodes: Nodes) -> None:
    (nodes.directory / "file").touch()
    nodes.environment["RAFT_ACTORS_RUNTIME_DIR"] = str(nodes.directory / "file" / "run")
    status, _, err = nodes.run("node", "--sname", "a")
    assert status == 1
    assert_one_line(err, "file/run'.*set RAFT_ACTORS_RUNTIME_DIR")


def test_a_mapper_port_that_is_none_is_one_line_and_status_2(nodes: Nodes) -> None:
    nodes.environment["RAFT_ACTORS_MAPPER_PORT"] = "4370x"
    status, _, err = nodes.run("node", "--sname", "a")
    assert status == 2
    assert_one_line(err, "RAFT_ACTORS_MAPPER_PORT must be a port .*'4370x'")


def test_a_torture_that_can_keep_nothing_is_one_line(nodes: Nodes) -> None:
    (nodes.directory / "file").touch()
    status, _, err = nodes.run("torture", "--keep", "file/new")
    assert status == 2
    assert_one_line(err, "name another directory")


def test_a_tree_that_is_a_plain_actor_is_one_line_and_status_2(nodes: Nodes) -> None:
    """And the process ends, though that actor's thread is no daemon."""
    status, err = nodes.run_module(
        "plain",
        "import pykka\n"
        "class Plain(pykka.ThreadingActor):\n"
        "    pass\n"
        "def start():\n"
        "    return 'ok', Plain.start()\n",
    )
    assert status == 2
    assert_one_line(err, "start_link of a Supervisor or a Process")


def test_a_start_that_needs_arguments_is_one_line_and_status_2(nodes: Nodes) -> None:
    status, err = nodes.run_module("needy", "def start(directory, name='x'):\n    pass\n")
    assert status == 2
    assert_one_line(err, r"needy\.start\(directory, name='x'\) is called without arguments")
    assert "'directory'" in err


def test_what_is_called_start_and_is_no_function_starts_nothing(nodes: Nodes) -> None:
    (nodes.directory / "clock.py").write_text("import time\nstart = time.time()\n")
    process = nodes.start_up("--sname", "a", "-m", "clock")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("example", sorted(p.stem for p in (ROOT / "examples").glob("*.py")))
def test_each_example_can_be_the_module_of_a_node(nodes: Nodes, example: str) -> None:
    process = nodes.start_up("--sname", "a", "-m", f"examples.{example}")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_actors_outside_of_the_tree_are_stopped_too(nodes: Nodes) -> None:
    (nodes.directory / "outside.py").write_text(
        "import pykka\n"
        "class Outside(pykka.ThreadingActor):\n"
        "    def on_stop(self):\n"
        "        print('outside too', flush=True)\n"
        "Outside.start()\n"
    )
    process = nodes.start_up("--sname", "a", "-m", "outside")
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"outside too\na@{HOST} stopped\n")


def test_who_cant_launch_leaves_the_signals_as_they_were() -> None:
    """Planted: Ctrl-C does nothing from then on."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(CannotLaunch):
        run_until_signal(LaunchPlan(sname="a b"))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_node_stops_cleanly_when_told(nodes: Nodes, number: signal.Signals) -> None:
    process = nodes.start_up("--sname", "a", "-m", "examples.kv_tree")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"a@{HOST} stopped\n")
    telling = ("can't be reached", "INFO raft_actors.peer: ")  # the tree's other members, its roles
    assert all(any(what in line for what in telling) for line in err.splitlines()), err
    nodes.start_up("--sname", "a", "-m", "examples.kv_tree").terminate()


def test_a_node_under_nohup_outlives_its_terminal(nodes: Nodes) -> None:
    """Planted: SIGHUP is listened to whatever the parent has made of it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = nodes.start_up("--sname", "a")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"a@{HOST} stopped\n")


def test_a_second_hang_up_does_not_cut_the_end_short() -> None:
    """A terminal that closes sends one, and so does the shell in it. Planted: as for SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        end_at_the_next(before)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


LONE_TREE = """
from raft_actors import Node, Supervisor
from raft_actors.kv_store import KVStore

def start():
    children = [(KVStore, {"name": "kv", "members": [("kv", Node.self())]})]
    return Supervisor.start_link(children, strategy="one_for_one")
"""


def test_a_node_without_a_prompt_logs_who_leads_in_which_term(nodes: Nodes) -> None:
    (nodes.directory / "lone.py").write_text(LONE_TREE)
    process = nodes.start_up("--sname", "a", "-m", "lone")
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert re.search(rf"INFO raft_actors.peer: kv: leader in term 1.*a@{HOST}", err), err


WRITES_NONSENSE = (
    LONE_TREE
    + """
import threading
from raft_actors import Cluster

def write():
    print(Cluster("kv").write(("nonsense",)), flush=True)

start_tree = start

def start():
    answer = start_tree()
    threading.Thread(target=write).start()
    return answer
"""
)


@pytest.mark.parametrize(
    ("level", "seen", "unseen"),
    [
        ((), "INFO raft_actors.peer: kv: leader", "state_machine"),
        (
            ("--log-level", "info"),
            r"INFO .*kv: KVStore.handle_write raised .*\.py:\d+",
            "Traceback",
        ),
        (("--log-level", "debug"), r"Traceback[^$]*in handle_write", "no such thing"),
        (("--log-level", "warning"), "", "INFO"),
    ],
)
def test_the_log_is_shown_from_the_level_that_was_asked_for(
    nodes: Nodes, level: tuple[str, ...], seen: str, unseen: str
) -> None:
    (nodes.directory / "lone.py").write_text(WRITES_NONSENSE)
    process = nodes.start("node", "--sname", "a", "-m", "lone", *level)
    told = process.stdout.readline() + process.stdout.readline()  # whichever comes first
    assert " is up" in told
    assert "nonsense" in told
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert re.search(seen, err), err
    assert unseen not in err


def test_a_log_level_that_is_none_is_one_line(nodes: Nodes) -> None:
    status, _, err = nodes.run("node", "--sname", "a", "--log-level", "loud")
    assert status == 2
    assert "'loud' is not one of 'debug', 'info', 'warning', 'error'" in err


def test_a_module_may_arrange_the_log_itself(nodes: Nodes) -> None:
    (nodes.directory / "lone.py").write_text(
        "import logging\n"
        'logging.basicConfig(level="DEBUG", format="mine: %(message)s")\n' + LONE_TREE
    )
    process = nodes.start_up("--sname", "a", "-m", "lone")
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert err.startswith("mine: ")


def test_a_tree_that_refuses_to_start_is_one_line_and_status_1(nodes: Nodes) -> None:
    status, err = nodes.run_module("sulking", 'def start():\n    return ("error", "sulking")\n')
    assert status == 1
    assert_one_line(err, "did not start: 'sulking'")


def test_a_tree_that_gives_up_ends_the_node_with_status_1(nodes: Nodes) -> None:
    status, err = nodes.run_module(
        "frail",
        "from supervision import Process\n"
        "class Frail(Process):\n"
        "    def on_receive(self, message):\n"
        "        self.exit('tired')\n"
        "def start():\n"
        "    ok, ref = Frail.start_link()\n"
        "    ref.tell('end')\n"
        "    return ok, ref\n",
    )
    assert status == 1
    assert "raft-actors: the supervision tree ended: " in err


def test_a_fault_in_the_users_module_shows_where(nodes: Nodes) -> None:
    status, err = nodes.run_module("broken", "import nothing_like_this\n")
    assert status == 1
    assert "broken.py" in err
    assert "No module named 'nothing_like_this'" in err


def test_a_missing_extra_says_what_to_install(nodes: Nodes) -> None:
    (nodes.directory / "IPython.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'IPython'\", name='IPython')\n"
    )
    nodes.environment["PYTHONPATH"] = f"{nodes.directory}:{nodes.environment['PYTHONPATH']}"
    status, _, err = nodes.run("shell", "--sname", "a")
    assert status == 1
    assert_one_line(err, re.escape("pip install 'raft_actors[shell]'"))


def test_a_node_answers_and_finds_its_data_again_after_kill_9(nodes: Nodes) -> None:
    arguments = ("--sname", "a", "-m", "examples.kv_tree", "--data-dir", "kept")
    process = nodes.start_up(*arguments)
    eventually(lambda: any((nodes.directory / "kept").rglob("CURRENT")))
    process.kill()
    process.wait(timeout=20)
    nodes.start_up(*arguments)


def test_the_prompts_first_words_name_what_the_module_brought_in() -> None:
    from raft_actors.tools.shell import greeting

    module = ModuleType("shop")
    exec("from raft_actors import Raft\nclass Till: pass\ndef start(): pass", vars(module))
    assert greeting(Launched("a@host", module)).endswith("From shop: Till, start.")
    module.__all__ = ["Raft", "Till"]
    assert greeting(Launched("a@host", module)).endswith("From shop: Raft, Till.")
    assert "From" not in greeting(Launched("a@host"))


def test_a_cookie_is_made_shown_by_its_id_derived_and_exchanged(nodes: Nodes) -> None:
    """And none of the commands shows the cookie itself."""
    said = ""

    def run(*arguments: str) -> str:
        nonlocal said
        status, out, err = nodes.run("cookie", *arguments)
        assert status == 0, err
        said += out + err
        return out

    directory = Path(nodes.environment["XDG_CONFIG_HOME"]) / "raft_actors"
    run("new")
    first = (directory / "cookie").read_text().strip()
    assert f"{Cookie(first).id.hex()}  member, used first" in run("show-id")
    client = nodes.directory / "for-a-client"
    run("derive", "client", str(client))
    assert client.stat().st_mode & 0o777 == 0o600
    assert Cookie(client.read_text()).id.hex() in run("show-id")
    run("new", "--role", "reader")
    assert "raft-actors cookie rotate --role reader --finish" in run("rotate", "--role", "reader")
    assert "derive it again" in run("rotate")
    new, old = (directory / "cookie").read_text().split()
    assert old == first
    shown = run("show-id")
    assert f"{Cookie(new).id.hex()}  member, used first" in shown
    assert f"{Cookie(old).id.hex()}  member, accepted" in shown
    run("rotate", "--finish")
    assert (directory / "cookie").read_text().split() == [new]
    for secret in (first, new, client.read_text().strip()):
        assert secret not in said


@pytest.mark.parametrize(
    ("before", "arguments", "words"),
    [
        ("x" * 30, ("new",), "exists already: replace it by `raft-actors cookie rotate`"),
        (
            "x" * 30,
            ("rotate", "--role", "client"),
            "by `raft-actors cookie new --role client`",
        ),
        ("", ("rotate",), "there is no .*: make it by `raft-actors cookie new`"),
        ("x" * 30, ("rotate", "--finish"), "has one cookie only: there is nothing to finish"),
        ("1\n2\n3\n4", ("rotate",), "has 4 cookies already: run with --finish first"),
        ("", ("show-id",), "there is no cookie in"),
        ("", ("derive", "reader", "file"), "there is no .*cookie: "),
    ],
)
def test_what_can_not_be_done_with_a_cookie_is_one_line(
    nodes: Nodes, before: str, arguments: tuple[str, ...], words: str
) -> None:
    path = Path(nodes.environment["XDG_CONFIG_HOME"]) / "raft_actors" / "cookie"
    if before:
        path.parent.mkdir(parents=True)
        path.touch(mode=0o600)
        path.write_text(before)
    status, _, err = nodes.run("cookie", *arguments)
    assert status == 1
    assert re.search(words, err)
    assert err.count("\n") == 1
    assert not before or path.read_text() == before


def test_on_the_host_of_a_client_no_command_leads_to_a_members_cookie(nodes: Nodes) -> None:
    """With a file `cookie` beside it, the client would take itself for a member."""
    assert nodes.run("cookie", "new", "--role", "client")[0] == 0
    for command in (("rotate",), ("derive", "reader", "file")):
        status, _, err = nodes.run("cookie", *command)
        assert status == 1
        assert "this user is a client. Do this on a member's host" in err
    assert (
        "replace it by `raft-actors cookie rotate --role client`"
        in nodes.run("cookie", "new", "--role", "client")[2]
    )


def test_a_cookie_that_is_a_link_is_exchanged_where_it_leads(nodes: Nodes) -> None:
    directory = Path(nodes.environment["XDG_CONFIG_HOME"]) / "raft_actors"
    assert nodes.run("cookie", "new")[0] == 0
    kept = nodes.directory / "kept"
    (directory / "cookie").rename(kept)
    (directory / "cookie").symlink_to(kept)
    assert nodes.run("cookie", "rotate")[0] == 0
    assert (directory / "cookie").is_symlink()
    assert len(kept.read_text().split()) == 2


def test_no_option_takes_a_cookie(nodes: Nodes) -> None:
    """Other users of the host can read a command line."""
    status, _, err = nodes.run("node", "--sname", "a", "--cookie", "secret")
    assert status == 2
    assert "No such option" in err


def test_a_node_lets_in_whom_it_is_told_to_and_keeps_an_audit_log(nodes: Nodes) -> None:
    log = nodes.directory / "audit.log"
    arguments = ("--sname", "a", "--allow", "a@*", "--allow", "127.0.0.0/8")
    process = nodes.start_up(*arguments, "--audit-log", str(log))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    told = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert told == ["node_started", "node_stopped"]
    status, _, err = nodes.run("node", "--sname", "a", "--allow", "10.0.0.1/8")
    assert status == 2
    assert_one_line(err, "allow takes names of nodes, .*10.0.0.1/8 has host bits set")


def test_the_cookie_is_asked_for_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append((text, options["hide_input"]))
        return "said"

    monkeypatch.setattr("typer.prompt", prompt)
    assert cookie_asked(wanted=False) is None
    assert cookie_asked(wanted=True) == "said"
    assert asked == [("Cookie", True)]
