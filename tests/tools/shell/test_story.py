"""The README's shells, played for real: three terminals, three nodes, RocksDB underneath.

Planted once to see them go red: another reply in examples/kv_store.py; a redirect that names the
stopped leader; a prompt without the node's name.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.shell.story import HOST, AnotherWon, Names, Step, play, stories
from tests.tools.shell.terminal import ROOT, Shell, Terminals

pytestmark = pytest.mark.timeout(180)

STORIES = {
    f"{path.relative_to(ROOT)}: {heading}": steps
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for heading, steps in stories(path).items()
}


STARTS_MAX = 3
"""The text tells of a leader that stays until it is stopped; on a busy host it may not."""


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    terminals = Terminals(tmp_path)
    yield terminals
    terminals.close()


def open_shell(terminals: Terminals, name: str, arguments: str = "-m examples.kv_store") -> Shell:
    return Shell(terminals, f"{name}@{HOST}", ["--sname", name, *arguments.split()])


def lone_leader(terminals: Terminals, module: str, machine: str) -> Shell:
    shell = open_shell(terminals, "a", f"-m {module}")
    shell.run(f'ok, peer = Raft.start_peer({machine}, name="peer1")')
    assert "'ok'" in shell.run(f'Raft.set_configuration("peer1", [("peer1", "a@{HOST}")])')
    return shell


@pytest.fixture
def many_terminals(tmp_path: Path) -> Iterator[Iterator[Terminals]]:
    """Give one set of terminals after the other; each begins with nothing on its disk."""
    given: list[Terminals] = []

    def give() -> Iterator[Terminals]:
        while True:
            directory = tmp_path / str(len(given))
            directory.mkdir()
            given.append(Terminals(directory))
            yield given[-1]

    yield give()
    for terminals in given:
        terminals.close()


@pytest.mark.parametrize("title", STORIES)
def test_a_story_goes_as_it_is_told(title: str, many_terminals: Iterator[Terminals]) -> None:
    for terminals in itertools.islice(many_terminals, STARTS_MAX):
        try:
            shells = play(STORIES[title], terminals)
        except AnotherWon:
            terminals.close()
        else:
            break
    else:
        pytest.fail("the leader of the story lost its office each time")
    stores = {path.parent for path in (terminals.directory / "data").rglob("CURRENT")}
    assert len(stores) == len(shells), f"each peer keeps a RocksDB directory, not {stores}"
    for shell in shells.values():
        shell.terminal.press("C-d")
    for shell in shells.values():
        shell.terminal.wait("exit", lambda shell=shell: shell.terminal.exit_status() is not None)
        assert shell.terminal.exit_status() == 0, shell.terminal.lines()
        assert not any("Traceback" in line for line in shell.terminal.lines())


def test_the_readme_tells_the_two_stories() -> None:
    told = [title for title in STORIES if title.startswith("README.md")]
    assert len(told) == 2
    assert all(sum(step.opens for step in STORIES[title]) == 3 for title in told)


def test_ctrl_c_interrupts_a_write_that_waits_and_the_shell_goes_on(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "tests.tools.shell.slow_store", "SlowStore")
    number = shell.begin('sleep_in_a_write("peer1", 4.0)')
    shell.terminal.wait_for_line("^waiting")
    shell.terminal.press("C-c")
    shell.wait_for_prompt(number + 1)
    assert "KeyboardInterrupt" in shell.answer(number)
    assert "slept" not in shell.answer(number)
    assert "('ok', 'awake')" in shell.run('Raft.read("peer1", "awake?", timeout=30.0)')


def test_ctrl_d_leaves_at_once_and_frees_name_and_store(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shell.run('KVStore.write("peer1", "foo", "bar")')
    shell.terminal.press("C-d")
    shell.terminal.wait("exit", lambda: shell.terminal.exit_status() is not None)
    assert shell.terminal.exit_status() == 0
    again = open_shell(terminals, "a")
    again.run('ok, peer = Raft.start_peer(KVStore, name="peer1")')
    again.run("import time")
    again.run('while Raft.leader("peer1") is None: time.sleep(0.05)\n')
    assert "('ok', 'bar')" in again.run('KVStore.read("peer1", "foo")')


def test_ctrl_d_hands_over_before_the_node_is_gone(terminals: Terminals) -> None:
    leaving = lone_leader(terminals, "examples.kv_store", "KVStore")
    staying = open_shell(terminals, "b")
    staying.run('ok, peer = Raft.start_peer(KVStore, name="peer2")')
    assert "'ok'" in leaving.run(f'Raft.add_peer("peer1", ("peer2", "b@{HOST}"))')
    leaving.terminal.press("C-d")
    staying.terminal.wait_for_line(f"^-- a@{HOST} is down")
    told = staying.notices()
    news = [place for place, line in enumerate(told) if f"leader is peer2 on b@{HOST}" in line]
    assert news, told
    assert news[0] < next(place for place, line in enumerate(told) if f"a@{HOST} is down" in line)


def hang_up(shell: Shell) -> None:
    shell.terminal.terminals.tmux("kill-session", "-t", shell.terminal.name)


def test_a_window_that_is_closed_hands_over_before_the_node_is_gone(terminals: Terminals) -> None:
    """Planted: SIGHUP ends the shell at once, and the group waits for an election timeout."""
    leaving = lone_leader(terminals, "examples.kv_store", "KVStore")
    staying = open_shell(terminals, "b")
    staying.run('ok, peer = Raft.start_peer(KVStore, name="peer2")')
    assert "'ok'" in leaving.run(f'Raft.add_peer("peer1", ("peer2", "b@{HOST}"))')
    hang_up(leaving)
    staying.terminal.wait_for_line(f"leader is peer2 on b@{HOST}")


def test_a_window_that_is_closed_while_news_are_printed_leaves_no_process(
    terminals: Terminals,
) -> None:
    """Planted: the signal raises in the prompt's loop, which waits for its tasks for ever."""
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shell.run("import os, signal, threading, time")
    shell.run("from prompt_toolkit.application import run_in_terminal")
    shell.run("app = get_ipython().pt_app.app")
    shell.run(
        "news = lambda: [run_in_terminal(lambda: time.sleep(1), in_executor=True) for _ in 'ab']"
    )
    shell.run("end = lambda: os.kill(os.getpid(), signal.SIGHUP)")
    shell.run(
        "close = lambda: [app.loop.call_soon_threadsafe(call, context=app.context) "
        "for call in (news, lambda: app.loop.call_later(0.2, end))]"
    )
    pid = int(shell.run("os.getpid()").rpartition(" ")[2])
    shell.run("threading.Timer(1, close).start()")
    shell.terminal.terminals.wait_for_the_end_of(pid)


def test_the_history_holds_no_cookie(terminals: Terminals) -> None:
    """Planted: IPython keeps what is typed."""
    shell = open_shell(terminals, "a")
    shell.run("'an ' + 'innocent line'")
    shell.run('Node.stop(); Node.start("a", cookie="opensesame")')
    shell.terminal.press("C-d")
    shell.terminal.wait("exit", lambda: shell.terminal.exit_status() is not None)
    kept = b"".join(path.read_bytes() for path in terminals.directory.rglob("history.sqlite*"))
    assert b"innocent line" in kept
    assert b"opensesame" not in kept


def test_news_stand_above_the_prompt_and_spare_what_is_being_typed(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shell.terminal.type("1 + 1")
    other = open_shell(terminals, "b")
    other.run(f'Node.connect("a@{HOST}")')
    shell.terminal.wait_for_line(f"^-- b@{HOST} is up")
    other.terminal.press("C-d")
    shell.terminal.wait_for_line(f"^-- b@{HOST} is down")
    shell.terminal.wait("redrawn prompt", lambda: shell.terminal.lines()[-1].endswith("]: 1 + 1"))
    shell.terminal.press("Enter")
    shell.terminal.wait_for_line(r"^Out\[\d+\]: 2$")
    assert any("the leader is peer1" in line for line in shell.notices())


def test_why_a_node_is_not_reached_stands_above_the_prompt_too(terminals: Terminals) -> None:
    first = open_shell(terminals, "a")
    other = open_shell(terminals, "b")
    other.run('Node.stop(); Node.start("b", cookie="another")')
    assert "pang" in other.run(f'Node.ping("a@{HOST}")')
    other.terminal.wait_for_line(f"^-- a@{HOST} can't be reached: .*cookie")
    first.terminal.wait_for_line(f"^-- dropped b@{HOST} .*cookie")


def test_what_the_library_says_is_wrong_is_one_line_and_a_bug_of_ones_own_has_its_traceback(
    terminals: Terminals,
) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    wrong = {
        'Cluster("nobody", timeout=0.1).write(1)': "Unavailable: no leader answered",
        'Raft.write("peer1", object())': "TypeError: command: an object can't be encoded",
        'Raft.get_entry("peer1", "1")': "TypeError: the index of an entry is a whole number",
        'Node.ping("no name")': "BadName: ",
        'Raft.start_peer(KVStore, name="p", min_election_timeout=-1)': "ValueError: ",
    }
    for call, line in wrong.items():
        shown = shell.run(call)
        assert shown.startswith(line)
        assert "Traceback" not in shown
    assert "raft_actors/tools/shell.py" not in shell.run("1 / 0")
    assert "Traceback" in shell.run("1 / 0")
    shell.run('Raft.get_entry("peer1", "1")')
    assert "in Raft.get_entry" in shell.run("%tb")


def test_a_bug_in_a_machine_is_told_with_its_line_above_the_prompt(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "tests.tools.shell.slow_store", "SlowStore")
    shell.run('Raft.write("peer1", 1)')
    shell.terminal.wait_for_line(
        r"^-- peer1: SlowStore\.handle_write raised TypeError: .*slow_store\.py:\d+, in handle_w"
    )


def test_a_peer_that_ends_in_an_error_of_ours_has_a_line_and_one_of_the_users_its_traceback(
    terminals: Terminals,
) -> None:
    shell = lone_leader(terminals, "tests.tools.shell.slow_store", "Newer")
    shell.run('Raft.stop("peer1"); Raft.start_peer(SlowStore, name="peer1")')
    shell.terminal.wait_for_line("^-- Peer 'peer1' .* crashed: MachineTooOld.*install one")
    shell.run('Raft.stop("peer1")')
    assert not any("Traceback" in line for line in shell.terminal.lines())
    shell.run('Raft.start_peer(Failing, name="peer2", data_dir="peer2")')
    shell.run(f'Raft.set_configuration("peer2", [("peer2", "a@{HOST}")], timeout=0.5)')
    shell.terminal.wait_for_line(r"slow_store.py., line \d+, in upgrade")


def test_a_question_mark_behind_a_proxy_tells_of_the_actor(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shell.run('ok, peer = Raft.start_peer(KVStore, name="peer2")')
    shown = shell.run("peer?")
    assert f"<Peer 'peer2' on a@{HOST}>" in shown
    assert "Use it with the functions of Raft" in shown
    assert "pykka" not in shown.lower()
    shell.run('Raft.stop("peer2")')
    assert shell.run("peer").endswith(f"<Peer 'peer2' on a@{HOST}, ended>")
    shell.run(f'far = Node.whereis(("nobody", "b@{HOST}")).proxy()')
    shown = shell.run("far?")
    assert f"<RemoteProxy of 'nobody' on b@{HOST}>" in shown
    assert not any(f"b@{HOST} can't be reached" in line for line in shell.notices())


def test_an_address_stands_on_one_line_also_as_the_key_of_a_status(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shown = shell.run('Cluster("peer1").status()')
    assert f"{{('peer1', 'a@{HOST}'): Status(" in shown
    assert f"incarnations     {{('peer1', 'a@{HOST}'): " in shown
    assert shell.run("('ok', ('peer1', 1))").endswith("('ok', ('peer1', 1))")


def test_news_never_stand_in_the_middle_of_an_answer(terminals: Terminals) -> None:
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    other = open_shell(terminals, "b")
    other.run("import time")
    other.run(f'for _ in range(8): Node.connect("a@{HOST}"); Node.disconnect("a@{HOST}")\n')
    answer = shell.run("list(range(400))")
    assert answer.startswith("Out[")
    assert "--" not in answer
    assert len(answer.splitlines()) == 401


def test_warnings_in_the_log_are_news_and_stand_in_the_middle_of_no_answer(
    terminals: Terminals,
) -> None:
    """Planted: the log goes to standard error as it comes, with its end of line written apart."""
    shell = lone_leader(terminals, "examples.kv_store", "KVStore")
    shell.run('import logging, threading; log = logging.getLogger("raft_actors.peer")')
    shell.run('warn = lambda: [log.warning("peer1: its disk is slow") for _ in range(100)]')
    answer = shell.run("threading.Thread(target=warn).start(); list(range(400))")
    assert answer.startswith("Out[")
    assert len(answer.splitlines()) == 401
    shell.terminal.wait_for_line("^-- peer1: its disk is slow$")
    assert not any("WARNING" in line for line in shell.terminal.lines())


def test_names_are_exchanged_only_where_the_text_leaves_it_open() -> None:
    names = Names()
    assert names.accept("Out[1]: ('peer1', 'a@mymachine')", f"Out[2]: ('peer1', 'a@{HOST}')")
    redirect = "Out[9]: ('error', ('redirect', ('peer3', 'c@mymachine')))"
    assert not names.accept(redirect, f"Out[9]: ('error', ('redirect', ('peer1', 'a@{HOST}')))")
    assert names.accept(redirect, f"Out[9]: ('error', ('redirect', ('peer2', 'b@{HOST}')))")
    assert names.plays == {"a": "a", "b": "c", "c": "b"}


def test_an_input_may_have_several_lines(tmp_path: Path) -> None:
    document = tmp_path / "story.md"
    document.write_text("# One\n```ipython\na@mymachine [1]: f(\n   ...: 1)\nOut[1]: 2\n```\n")
    assert stories(document) == {"One": [Step("a", "f(\n1)", ["Out[1]: 2"])]}
