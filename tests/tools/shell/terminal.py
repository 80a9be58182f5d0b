"""Real terminals for tests: one tmux server of our own, one window for each shell.

What a terminal shows is the truth here: keys go in with `send-keys`, the screen comes out with
`capture-pane`. Waits are on what is seen, with a deadline, and show the screen when it passes.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT = 160, 400
NOTICE = "-- "
AND_STAY = '"$@"; echo "exit status $?"; exec sleep infinity'
EXIT_STATUS = re.compile(r"exit status (\d+)")
PATIENCE_S = 40.0


class Terminals:
    """A private tmux server; `close` ends it with all that runs in it."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("tmux") is None:
            raise RuntimeError("these tests play real shells in tmux: apt-get install tmux")
        self.directory = directory
        self.opened = 0
        self.socket = f"raft-actors-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.environment = os.environ | environment(directory)

    def tmux(self, *arguments: str) -> str:
        answer = subprocess.run(
            ["tmux", "-L", self.socket, "-f", "/dev/null", *arguments],
            capture_output=True, text=True, env=self.environment, timeout=20,
        )  # fmt: skip
        assert answer.returncode == 0, f"tmux {arguments}: {answer.stderr}"
        return answer.stdout

    def open(self, name: str, command: list[str]) -> "Terminal":
        """Run `command` in a terminal; it stays readable after the command has ended."""
        self.opened += 1
        name = f"{name}-{self.opened}"
        line = shlex.join(["sh", "-c", f"trap : INT; {AND_STAY}", "sh", *command])
        self.tmux(
            "new-session", "-d", "-s", name, "-x", str(WIDTH), "-y", str(HEIGHT),
            "-c", str(self.directory), line,
        )  # fmt: skip
        return Terminal(self, name)

    def wait_for_the_end_of(self, pid: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, f"process {pid} still runs"
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True, timeout=20)


class Terminal:
    """One terminal: type, press keys, look."""

    def __init__(self, terminals: Terminals, name: str) -> None:
        self.terminals, self.name = terminals, name

    def type(self, text: str) -> None:
        self.terminals.tmux("send-keys", "-t", self.name, "-l", "--", text)

    def press(self, key: str) -> None:
        """`key` is what tmux calls it: Enter, C-c, C-d."""
        self.terminals.tmux("send-keys", "-t", self.name, key)

    def lines(self) -> list[str]:
        """What has been shown since the start, top down, without trailing blanks."""
        shown = self.terminals.tmux("capture-pane", "-p", "-t", self.name, "-S", "-")
        return [line.rstrip() for line in shown.rstrip().splitlines()]

    def exit_status(self) -> int | None:
        """The command's exit status; None while it runs."""
        found = [EXIT_STATUS.fullmatch(line) for line in self.lines()[-1:]]
        return int(found[0][1]) if found and found[0] else None

    def wait(self, what: str, seen: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not seen():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"terminal {self.name}: no {what} within {patience_s} s; it shows\n"
                    + "\n".join(self.lines()[-60:])
                )
            time.sleep(0.05)

    def wait_for_line(self, pattern: str) -> None:
        self.wait(pattern, lambda: any(re.search(pattern, line) for line in self.lines()))


class Shell:
    """A `raft-actors shell` in a terminal: run a line, get the answer that it shows."""

    def __init__(
        self, terminals: Terminals, node: str, arguments: list[str], program: str = "raft_actors"
    ) -> None:
        self.node = node
        self.terminal = terminals.open(
            node.partition("@")[0], [sys.executable, "-m", program, "shell", *arguments]
        )
        self.prompt = re.compile(rf"{re.escape(node)} \[(\d+)\]: ?(.*)")
        self.wait_for_prompt(1)

    def number(self) -> int:
        """The number of the empty prompt at the bottom, 0 if the shell is not waiting for input."""
        lines = self.terminal.lines()
        found = self.prompt.fullmatch(lines[-1]) if lines else None
        return int(found[1]) if found and not found[2] else 0

    def wait_for_prompt(self, number: int) -> int:
        """Wait for an empty prompt with this number or a later one; returns its number.

        A notice that comes just now draws the prompt again below it.
        """
        seen = 0

        def is_there() -> bool:
            nonlocal seen
            seen = self.number()
            return seen >= number

        self.terminal.wait(f"prompt {self.node} [{number}]", is_there)
        return seen

    def run(self, text: str) -> str:
        """Type `text`, which may have several lines, and return what is shown for it."""
        number = self.begin(text)
        self.wait_for_prompt(number + 1)
        return self.answer(number)

    def begin(self, text: str) -> int:
        """Type `text` without waiting for its answer; returns the number of its prompt."""
        number = self.wait_for_prompt(1)
        for line in text.splitlines():
            self.terminal.type(line.lstrip())  # the prompt indents by itself
            self.terminal.press("Enter")
        return number

    def answer(self, number: int) -> str:
        """What stands between the input of prompt `number` and the next prompt, without notices."""
        shown: list[str] | None = None
        for line in self.terminal.lines():
            if found := self.prompt.match(line):
                if int(found[1]) > number:
                    break
                shown = []
            elif shown is not None and not line.startswith(NOTICE):
                shown.append(line)
        assert shown is not None, f"{self.node} never had a prompt {number}"
        while shown and re.match(r"\s+\.\.\.:", shown[0]):
            del shown[0]
        return "\n".join(shown).strip("\n")

    def notices(self) -> list[str]:
        return [line for line in self.terminal.lines() if line.startswith(NOTICE)]


def environment(directory: Path) -> dict[str, str]:
    """Settings that keep a node and its shell away from the user's own files."""
    home = directory / "home"
    home.mkdir(parents=True, exist_ok=True)
    (directory / "run").mkdir(mode=0o700, exist_ok=True)
    return {
        "RAFT_ACTORS_RUNTIME_DIR": str(directory / "run"),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_RUNTIME_DIR": str(directory / "run"),
        "IPYTHONDIR": str(home / ".ipython"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(":"),
        "TERM": "screen-256color",
        "LANG": "C.UTF-8",
    }
