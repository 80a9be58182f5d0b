"""Nemesis: draws faults from a seed, lets them last for a while, and keeps the log of them."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from raft_actors.tools.torture.faults import Fault, FaultTargets, available

__all__ = ["Nemesis", "Strike"]

CALM_S = (0.4, 2.5)
LASTS_S = (0.3, 4.0)
TWO_AT_ONCE = 0.3


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault as it was: from and until are nanoseconds on the clock of the history."""

    kind: str
    what: str
    began: int
    ended: int


class Nemesis:
    """Strikes until it is told to stop.

    The seed says which faults, in which order, whom they hit and how long they last; who leads
    and what is under way at that moment, it can't say. Every kind has its turn before one comes
    twice.

    only  the kinds to draw from; all that can be had if empty
    """

    def __init__(
        self,
        world: FaultTargets,
        path: Path,
        *,
        now: Callable[[], int],
        only: Iterable[str] = (),
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.world = world
        self.now = now
        self.tell = tell
        self.path = path
        self.strikes: list[Strike] = []
        self.counts: Counter[str] = Counter()
        self.groups: dict[str, dict[str, Fault]] = {
            group: {name: fault for name, fault in faults.items() if not only or name in only}
            for group, faults in available(world).items()
        }
        self.group_of: dict[str, str] = {
            name: group for group, faults in self.groups.items() for name in faults
        }
        assert self.group_of, "no fault to draw from"
        self.deck: Iterator[str] = self.deal()

    def deal(self) -> Iterator[str]:
        while True:
            kinds = sorted(self.group_of)
            self.world.luck.shuffle(kinds)
            yield from kinds

    def strike_until(self, deadline: float) -> None:
        """Alternate calm and faults until the monotonic time `deadline`."""
        luck = self.world.luck
        while time.monotonic() < deadline:
            time.sleep(luck.uniform(*CALM_S))
            kinds = [next(self.deck)]
            if luck.random() < TWO_AT_ONCE:
                second = next(self.deck)
                if self.group_of[second] != self.group_of[kinds[0]]:
                    kinds.append(second)
            self.strike(kinds, luck.uniform(*LASTS_S))

    def strike(self, kinds: list[str], lasts_s: float) -> None:
        began = self.now()
        with ExitStack() as stack:
            said = [
                stack.enter_context(self.groups[self.group_of[kind]][kind](self.world))
                for kind in kinds
            ]
            self.tell(f"{'; '.join(said)}, for {lasts_s:.1f} s")
            time.sleep(lasts_s)
        for kind, what in zip(kinds, said, strict=True):
            self.counts[kind] += 1
            self.note(Strike(kind, what, began, self.now()))

    def note(self, strike: Strike) -> None:
        self.strikes.append(strike)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(strike)) + "\n")
