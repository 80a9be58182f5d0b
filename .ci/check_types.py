"""Check the types that users of the library see, by pyright: `.venv/bin/python .ci/check_types.py`.

A program of a user's and the examples must have no error, and every symbol of the packages must
have a known type. pyright looks at the packages in this tree, as if they were installed.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("raft_actors", "supervision")


def pyright(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # pyright asks the first `python` of the PATH where packages are.
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pyright", *arguments],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
             "PYTHONPATH": str(ROOT)},
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def programs() -> list[str]:
    """Return the errors in the programs that `[tool.pyright]` includes."""
    done = pyright(cwd=ROOT)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def incomplete(package: str) -> list[str]:
    """Return the symbols of a package whose types are not known."""
    # In the root pyright would take the packages for the program that is checked.
    done = pyright("--verifytypes", package, "--ignoreexternal", "--outputjson", cwd=ROOT / ".ci")
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return [done.stdout + done.stderr]
    found = report["typeCompleteness"]
    lines = [
        f"{symbol['name']}: {' '.join(problem['message'].split())}"
        for symbol in found["symbols"]
        for problem in symbol["diagnostics"]
        if problem["severity"] == "error"
    ]
    if not found["symbols"]:
        lines.append(f"{package}: pyright has found no symbols in it")
    if found["completenessScore"] < 1 and not lines:
        lines.append(f"{package}: complete to {found['completenessScore']:.2%} only")
    print(f"{package}: the types of {found['completenessScore']:.2%} of the symbols are known")
    return lines


def main() -> int:
    pyright("--version", cwd=ROOT)  # downloads what it needs, once
    with ThreadPoolExecutor() as threads:
        of_programs = threads.submit(programs)
        problems = [line for lines in threads.map(incomplete, PACKAGES) for line in lines]
        problems += of_programs.result()
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
