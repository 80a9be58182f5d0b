"""LogView: a log as a trace tells it, `(term, hash)` an entry. What was compacted is unknown."""

from typing import Any

__all__ = ["ConfigurationLine", "Entry", "LogView", "entries_of", "is_group"]

Entry = tuple[int, str]
ConfigurationLine = dict[str, Any]


class LogView:
    """Entries `base + 1 ..`; those before are not known, but for the term of `base`."""

    __slots__ = ("base", "base_term", "configurations", "entries")

    def __init__(self, base: int = 0, base_term: int = 0) -> None:
        self.base: int = base
        self.base_term: int = base_term
        self.entries: list[Entry] = []
        self.configurations: dict[int, ConfigurationLine] = {}

    def copy(self) -> "LogView":
        twin = LogView(self.base, self.base_term)
        twin.entries = list(self.entries)
        twin.configurations = dict(self.configurations)
        return twin

    @property
    def last(self) -> int:
        return self.base + len(self.entries)

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at `index`; -1 after the end, None where it is not known."""
        if index > self.last:
            return -1
        if index <= self.base:
            return self.base_term if index == self.base else None
        return self.entries[index - self.base - 1][0]

    def between(self, first: int, last: int) -> list[Entry]:
        """Return what is known of `first..last`."""
        return self.entries[max(0, first - self.base - 1) : max(0, last - self.base)]

    def replace(self, first: int, views: list[Any]) -> None:
        """Let the log from `first` on be `views`, as the trace has them."""
        del self.entries[max(0, first - self.base - 1) :]
        for index in [each for each in self.configurations if each >= first]:
            del self.configurations[index]
        for index, view in enumerate(views, first):
            self.entries.append((view[0], view[1]))
            if len(view) > 2:
                self.configurations[index] = view[2]

    def extend(self, prev: int, views: list[Any]) -> int:
        """Do what AppendEntries 3 and 4 of Figure 2 say; return the first index that changed.

        That is one after the request's last if nothing did.
        """
        skipped = max(0, self.base - prev)
        for index, entry in enumerate(entries_of(views)[skipped:], prev + skipped + 1):
            if index > self.last or self.between(index, index) != [entry]:
                self.replace(index, views[index - prev - 1 :])
                return index
        return prev + len(views) + 1

    def compact(self, base: int) -> None:
        """Forget the entries up to `base`, if they are here."""
        if self.base < base <= self.last:
            term = self.term_at(base)
            del self.entries[: base - self.base]
            self.base, self.base_term = base, term or 0

    def install(self, snapshot: dict[str, Any]) -> None:
        """Begin behind a leader's snapshot; what follows its last entry stays if that is here.

        So Figure 13, InstallSnapshot 6 and 7.
        """
        index, term = snapshot["index"], snapshot["term"]
        if self.term_at(index) == term:
            self.compact(index)
        else:
            self.base, self.base_term, self.entries = index, term, []
            self.configurations = {snapshot["configuration"]: snapshot["configured"]}

    @property
    def configuration(self) -> ConfigurationLine | None:
        """The newest in the log; None before the first, or when it is not known."""
        newest = max(self.configurations, default=0)
        return self.configurations.get(newest)

    @property
    def group(self) -> str:
        """The id of the group that it is a log of; "" while it is not known."""
        configuration = self.configuration
        return str(configuration["group"]) if configuration else ""


def is_group(group: str) -> bool:
    """Whether this is the id of a group; else it is what a founder says that it wants, or ""."""
    return group[:1] not in {"", "?"}


def entries_of(views: list[Any]) -> list[Entry]:
    return [(view[0], view[1]) for view in views]
