"""Cli: the entry point of `raft-actors`. An error becomes one line of text and an exit status.

Exit status: 0 success; 1 the command failed (a name is taken, a tree gave up); 2 the command is
wrong (a bad name, a missing module, an unknown option); 130 Ctrl-C.
The commands are in `raft_actors.tools.commands`; they need the extra `shell`.
"""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from raft_actors.errors import BadName, BadTls, RaftError
from raft_actors.tools.launch import CannotLaunch

__all__ = ["leave_with", "main"]

EXTRAS = {"typer", "rich", "IPython", "prompt_toolkit", "pygments"}


def main() -> NoReturn:
    """Run the command line, and exit with its status."""

    def run() -> int:
        from raft_actors.tools.commands import app

        return int(app(prog_name="raft-actors") or 0)

    leave_with(run)


def leave_with(run: Callable[[], int]) -> NoReturn:
    """Exit with the status that `run` returns, or with the status for its error."""
    if isinstance(sys.stdout, TextIOWrapper):  # a log may have characters without an encoding here
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(run())
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        fail(f"{error.name} is missing: pip install 'raft_actors[shell]'", status=1)
    except (BadName, BadTls) as error:
        fail(str(error), status=2)
    except CannotLaunch as error:
        fail(str(error), status=error.status)
    except RaftError as error:
        fail(str(error), status=1)
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str, *, status: int) -> NoReturn:
    print(f"raft-actors: {message}", file=sys.stderr)
    sys.exit(status)
