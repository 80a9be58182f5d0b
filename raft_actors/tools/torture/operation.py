"""Operation: one call of one client on one key, as it was seen from outside."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CAS", "OK", "READ", "REFUSED", "STALE", "UNKNOWN", "WRITE", "Operation"]

READ, WRITE, CAS, STALE = "read", "write", "cas", "stale"
OK, UNKNOWN, REFUSED = "ok", "unknown", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A register's value is None before the first write. Every value is written by one call only.

    value      what `write` and `cas` would put there
    expected   what `cas` puts it in place of
    way        of a linearizable read: which of the ways it took
    node       the node that was asked, and so who answered
    staleness_s  how old the answer to a stale read may be; None: of any age
    seen       what `read` answered; what an answered `cas` found: it put `value` there if that
               is `expected`, and changed nothing otherwise
    invoked    nanoseconds, of one clock for the whole history
    completed  the same; of an unknown outcome it is when the client gave up, and says nothing
    outcome    "ok"; "unknown": it happened once, at any time after `invoked`, or never;
               "refused": it never happens
    """

    client: int
    key: str
    kind: str
    value: Any = None
    expected: Any = None
    seen: Any = None
    way: str = ""
    node: str = ""
    staleness_s: float | None = None
    invoked: int
    completed: int
    outcome: str = OK

    @property
    def changes(self) -> bool:
        """Whether it is known to have changed the register."""
        if self.outcome != OK or self.kind in (READ, STALE):
            return False
        return self.kind == WRITE or self.seen == self.expected

    def described(self) -> str:
        """In a few characters, for pictures: `read → 7`, `write 8`, `cas 7 → 8, found 9`."""
        if self.kind in (READ, STALE):
            text = self.kind if self.outcome != OK else f"{self.kind} → {self.seen}"
            if self.kind == STALE:
                text += f", {self.staleness_s} s old at most"
        elif self.kind == WRITE:
            text = f"write {self.value}"
        else:
            text = f"cas {self.expected} → {self.value}"
            if self.outcome == OK:
                text += ", done" if self.changes else f", found {self.seen}"
        return text if self.outcome == OK else f"{text} ({self.outcome})"

    def as_record(self) -> dict[str, Any]:
        """One line of `history.jsonl`."""
        return asdict(self)
