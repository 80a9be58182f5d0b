"""A thousand ends of leaders, and whether two ever worked at once.

    python -m tests.lead                         1,000 ends, an hour and more
    python -m tests.lead --ends 50 --seed 7      fewer of them, in the order of a seed
    python -m tests.lead --naive --ends 40       transfers, without a LeaderSupervisor: it overlaps

The exit status is 1 if two worked at once.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

from tests.lead.ends import KINDS, judged, playing


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lead")
    parser.add_argument("--ends", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--stop-within", type=float, default=1.0)
    parser.add_argument("--naive", action="store_true", help="by events.subscribe")
    options = parser.parse_args(arguments)
    seed = Random().randrange(1 << 32) if options.seed is None else options.seed
    kinds = ["transfer"] if options.naive else list(KINDS)
    print(f"seed {seed}", flush=True)
    began = time.monotonic()

    def tell(done: int) -> None:
        if done % 20 == 0:
            print(f"{done} ends, {time.monotonic() - began:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as name:
        with playing(
            Path(name), seed=seed, stop_within=options.stop_within, naive=options.naive
        ) as ends:
            ends.play(options.ends, kinds, tell)
        verdicts = {"program": judged(ends.lines()), "thread": judged(ends.lines(".threads"))}
    for kind, times in sorted(ends.drawn.items()):
        pauses = ends.pauses.get(kind, [])
        took = f"{median(pauses):.2f} s, at most {max(pauses):.2f} s" if pauses else "-"
        print(f"{kind:20} {times:5}   until the next works: {took}")
    for what, verdict in verdicts.items():
        print(f"{what}: {verdict.starts} starts, {len(verdict.overlaps)} overlaps")
        for overlap in verdict.overlaps[:20]:
            print(f"  {overlap}")
    return 1 if any(verdict.overlaps for verdict in verdicts.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
