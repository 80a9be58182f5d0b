"""Explanation: what is wrong with a group, in sentences for a person and findings for a program."""

from dataclasses import dataclass
from typing import Any, Literal

from raft_actors.names import Address

__all__ = ["Explanation", "Finding", "Severity"]

Severity = Literal["down", "slow", "warning", "well"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    code        what it is, for programs; docs/explain.md lists the codes
    severity    `"down"`: nothing can be written; `"slow"`: writes or reads may be slow;
                `"warning"`: the group works, and somebody should do something; `"well"`
    about       the peers that it is about
    numbers     the numbers in the sentence, by name; times are in seconds
    sentence    what was found
    what_to_do  what to do next; empty if there is nothing to do
    """

    code: str
    severity: Severity
    about: tuple[Address, ...]
    numbers: dict[str, float]
    sentence: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found, the worst first. There is always at least one finding."""

    findings: list[Finding]

    @property
    def sentences(self) -> list[str]:
        """What each finding says, and what to do."""
        return [f"{each.sentence}. {each.what_to_do}".strip() for each in self.findings]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))
