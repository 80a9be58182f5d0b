"""Stories: the README's shell sessions, read from the README itself and played line by line.

A ```ipython block shows shells: `$ raft-actors shell --sname a ...` opens one, a prompt
`a@mymachine [3]: ` with its continuations is what is typed there, and the lines that follow are the
answer. `mymachine` stands for this host and `...` in an answer for anything. Prompt numbers and
line breaks, which depend on the host's name, are not compared.

The text tells of one possible election. Where another peer won, the story goes on with the names
exchanged: see `Names`.
"""

import itertools
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.tools.shell.terminal import Shell, Terminals

HOST = socket.gethostname().partition(".")[0]
PROGRAM = "tests.tools.shell.long_elections"
LETTERS, DIGITS = "abc", "123"
OPEN = re.compile(r"\$ raft-actors shell (.*)")
PROMPT = re.compile(r"(\w+)@mymachine \[\d+\]: (.*)")
CONTINUATION = re.compile(r"\s+\.\.\.: ?(.*)")
REDIRECT = "('error', ('redirect', "
ONE_ADDRESS = re.compile(r"\('\w+', '([abc])@mymachine'\)")


class AnotherWon(AssertionError):
    """The leader lost its office in mid-story: the host had too much else to do."""


@dataclass
class Step:
    """One input at one shell and the answer that the text shows; or a shell that is opened."""

    shell: str
    typed: str
    answer: list[str] = field(default_factory=list)
    opens: bool = False


def stories(document: Path) -> dict[str, list[Step]]:
    """The stories of a document by the heading that each stands under."""
    found: dict[str, list[Step]] = {}
    heading, inside = "", False
    for line in document.read_text().splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("```"):
            inside = line == "```ipython"
        elif inside:
            read_line(line, found.setdefault(heading, []))
    return found


def read_line(line: str, steps: list[Step]) -> None:
    if opened := OPEN.fullmatch(line):
        name = re.search(r"--sname (\w+)", line)
        assert name, line
        steps.append(Step(name[1], opened[1], opens=True))
    elif prompt := PROMPT.fullmatch(line):
        steps.append(Step(prompt[1], prompt[2]))
    elif (more := CONTINUATION.fullmatch(line)) and not steps[-1].answer:
        steps[-1].typed += "\n" + more[1]
    elif line:
        steps[-1].answer.append(line)


class Names:
    """Who plays whom: a permutation of the shells a, b, c with their peers 1, 2, 3.

    It starts as the text has it. An answer that names exactly one address decides for good who
    plays that shell; the others may still be exchanged.
    """

    def __init__(self) -> None:
        self.plays = dict(zip(LETTERS, LETTERS, strict=True))
        self.decided: set[str] = set()

    def candidates(self) -> Iterator[dict[str, str]]:
        """The permutations that keep what is decided, the present one first."""
        yield self.plays
        for order in itertools.permutations(LETTERS):
            plays = dict(zip(LETTERS, order, strict=True))
            if all(plays[letter] == self.plays[letter] for letter in self.decided):
                yield plays

    def accept(self, expected: str, shown: str) -> bool:
        """Whether `shown` is `expected` under a permutation still possible, which then holds."""
        for plays in self.candidates():
            if matches(translate(expected, plays), shown):
                self.plays = plays
                addresses = ONE_ADDRESS.findall(expected)
                if len(addresses) == 1:
                    self.decided |= set(addresses)
                return True
        return False


def translate(text: str, plays: dict[str, str]) -> str:
    """Put players and host into the text: `peer1` and `a@mymachine` become theirs."""
    digit = {DIGITS[LETTERS.index(old)]: DIGITS[LETTERS.index(new)] for old, new in plays.items()}
    text = re.sub(r"\bpeer([123])\b", lambda found: f"peer{digit[found[1]]}", text)
    return re.sub(
        r"(\b|_)([abc])@mymachine\b", lambda found: f"{found[1]}{plays[found[2]]}@{HOST}", text
    )


def matches(expected: str, shown: str) -> bool:
    def plain(text: str) -> str:
        return " ".join(re.sub(r"^Out\[\d+\]:", "Out:", text).split())

    pattern = ".*?".join(re.escape(part) for part in plain(expected).split("..."))
    return re.fullmatch(pattern, plain(shown), re.DOTALL) is not None


def play(steps: list[Step], terminals: Terminals) -> dict[str, Shell]:
    """Play the steps; fail at the first answer that is not the one shown. Returns the shells."""
    names, shells = Names(), {}
    for step in steps:
        if step.opens:
            node, arguments = f"{step.shell}@{HOST}", step.typed.split()
            shells[step.shell] = Shell(terminals, node, arguments, PROGRAM)
            continue
        shell = shells[names.plays[step.shell]]
        typed, expected = translate(step.typed, names.plays), "\n".join(step.answer)
        shown = shell.run(typed)
        is_refused = REDIRECT in shown and REDIRECT not in expected
        if is_refused or (ONE_ADDRESS.search(expected) and not shown.strip()):
            raise AnotherWon(f"{typed}\n{shown}")
        assert names.accept(expected, shown), (
            f"{shell.node} was given\n{typed}\nand showed\n{shown}\nwhere the text shows\n"
            f"{translate(expected, names.plays)}"
        )
    return shells
