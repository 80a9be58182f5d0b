"""Run node: runs a node as `raft-actors node` does, without the command line. For node processes of
the tools.

    python -m raft_actors.tools.run_node NAME MODULE:FUNCTION DATA_DIR

A third of the time that `raft-actors node` takes to start goes into its command line, and a tool
that kills nodes starts them again and again.
"""

import sys
from pathlib import Path
from typing import NoReturn

from raft_actors.tools.cli import leave_with
from raft_actors.tools.launch import LaunchPlan, run_until_signal

__all__ = ["main"]


def main() -> NoReturn:
    """Run the node that the arguments of this process name, and exit with its status."""
    sname, starter, data_dir = sys.argv[1:]
    plan = LaunchPlan(sname=sname, start=starter, data_dir=Path(data_dir))
    leave_with(lambda: run_until_signal(plan))


if __name__ == "__main__":
    main()
