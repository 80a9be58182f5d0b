"""A thousand ends of leaders, and whether two ever worked at once.

    python -m tests.lead                         1,000 ends, an hour and more
    python -m tests.lead --ends 50 --seed 7      fewer of them, in the order of a seed
    python -m tests.lead --each                  one end of each kind
    python -m tests.lead --naive --ends 40       without a LeaderSupervisor: it overlaps

An end counts when it has ended a run: a short pause or a short cut does not. The exit status is 1
if two worked at once.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

from tests.lead.ends import KINDS, NAIVE_KINDS, judged, playing


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lead")
    parser.add_argument("--ends", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--stop-within", type=float, default=1.0)
    parser.add_argument("--each", action="store_true", help="one end of each kind")
    parser.add_argument("--kind", action="append", choices=KINDS, help="ends of this kind alone")
    parser.add_argument("--naive", action="store_true", help="by events.subscribe")
    options = parser.parse_args(arguments)
    seed = Random().randrange(1 << 32) if options.seed is None else options.seed
    kinds = options.kind or list(NAIVE_KINDS if options.naive else KINDS)
    print(f"seed {seed}", flush=True)
    began = time.monotonic()

    def tell(done: int) -> None:
        if done % 20 == 0:
            print(f"{done} ends, {time.monotonic() - began:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as name:
        with playing(
            Path(name), seed=seed, stop_within=options.stop_within, naive=options.naive
        ) as ends:
            if options.each:
                ends.play_each(kinds)
            else:
                ends.play(options.ends, kinds, tell)
        verdicts = {"program": judged(ends.lines()), "thread": judged(ends.lines(".threads"))}
    for kind, times in sorted(ends.drawn.items()):
        pauses = ends.pauses.get(kind, [])
        took = f"{median(pauses):.2f} s, at most {max(pauses):.2f} s" if pauses else "-"
        print(f"{kind:18} {times:4} drawn, {ends.ended[kind]:4} runs ended   next: {took}")
    print(f"{ends.drawn.total()} drawn, {ends.ended.total()} runs ended")
    for what, verdict in verdicts.items():
        print(f"{what}: {verdict.starts} starts, {len(verdict.late)} worked on beside a newer one")
        for overlap in verdict.overlaps[:5]:
            print(f"  {overlap}")
    overlap = any(verdict.overlaps for verdict in verdicts.values())
    print(f"{'two worked at once' if overlap else 'never two at once'}, seed {seed}")
    return 1 if overlap else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
