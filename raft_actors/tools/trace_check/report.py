"""Report: the result of a check as text, for `raft-actors trace check`."""

import sys
from pathlib import Path

from raft_actors.tools.trace_check.cluster import Report, check

__all__ = ["report_lines", "run_check"]

VIOLATIONS_SHOWN_MAX = 20


def run_check(directory: Path) -> int:
    """Check and print. Exit status: 0 all rules are kept, 1 one is broken, 2 nothing to check."""
    try:
        report = check(directory)
    except OSError as error:
        print(f"raft-actors: {error}", file=sys.stderr)
        return 2
    if not report.lines and not report.violations:
        print(f"raft-actors: the traces in {directory} have no lines: nothing was checked",
              file=sys.stderr)  # fmt: skip
        return 2
    print("\n".join(report_lines(report)))
    return 1 if report.violations else 0


def report_lines(report: Report) -> list[str]:
    lines = [str(violation) for violation in report.violations[:VIOLATIONS_SHOWN_MAX]]
    hidden = len(report.violations) - len(lines)
    if hidden:
        lines.append(f"... and {hidden} more")
    lines.append(
        f"{len(report.peers)} peers, {report.runs} runs ({report.killed} without an end), "
        f"{report.lines} lines, {report.messages} messages received, {report.leaders} elections, "
        f"{report.committed} entries committed"
    )
    if report.unproven:
        lines.append(
            f"{report.unproven} messages could not be checked: they were sent by a peer without a "
            "trace, or in the lost end of a killed run"
        )
    if report.violations:
        lines.append("The rules are broken where it says so above; a run is read up to there.")
    else:
        lines.append("Every rule is kept.")
    return lines
