"""Mutation proof: plant one bug at a time, and see which check goes red.

    python -m tests.mutations                    all of them, as a table
    python -m tests.mutations figure_8           those whose name contains the word
    python -m tests.mutations --jobs 2 --write   all, two at a time, into docs/mutations.md
    python -m tests.mutations figure_8 --write   these rows of it; the others stay
    python -m tests.mutations --both             seeds also of bugs that a test has caught: hours

A mutation is one replacement of text in one module, made in a copy. Two nets are held under it: the
tests that say what the protocol must do (the column "test": the first that goes red), and the
seeded simulation (the column "simulation": the first seed that fails). The simulation is played
where no test catches the bug. A bug that one of them catches is caught; one that hangs a net is
caught too. One that gets through both means that a
check is missing, and the exit status says so.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutations.every import MUTATIONS
from tests.mutations.planting import ROOT, Catch, catch, copy, misplaced
from tests.mutations.table import HEAD, TABLE, row, summary, write_table


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations")
    parser.add_argument("words", nargs="*", help="only those whose name contains one of these")
    parser.add_argument("--jobs", type=int, default=1, help="mutations tried at once")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    parser.add_argument("--both", action="store_true",
                        help="play seeds also for a bug that a test has caught")  # fmt: skip
    options = parser.parse_args(arguments)
    words = options.words
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    if wrong := [text for text in map(misplaced, chosen) if text]:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    rows: dict[str, str] = {}
    survivors = 0
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        source = Path(name)
        copy(ROOT, source)  # others may be working on it meanwhile
        for number, nets in enumerate({mutation.nets for mutation in chosen}):
            sound = catch(None, source=source, nets=nets, simulate=number == 0)
            if sound != Catch("", ""):
                print(f"red without any bug: {sound}", file=sys.stderr)
                return 2
        print("\n".join(HEAD))
        caught_by = pool.map(
            lambda each: catch(each, source=source, nets=each.nets, both=options.both), chosen
        )
        for mutation, caught in zip(chosen, caught_by, strict=True):
            survivors += not (caught.test or caught.simulation)
            rows[mutation.name] = row(mutation, caught)
            print(rows[mutation.name], flush=True)
    print(f"\n{summary(list(rows.values()))}")
    if options.write and chosen:
        write_table(rows)
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
