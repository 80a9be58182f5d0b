"""Views: the answers of a peer about itself, as dicts that IPython prints well."""

from typing import Any, TypeVar

__all__ = ["ConfigurationView", "Entry", "Status", "in_view", "viewed"]


class View(dict[str, Any]):
    """A dict that IPython prints with one field in each line, in the order of the dict."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        name = type(self).__name__.removesuffix("View")
        if cycle:
            printer.text(f"{name}(...)")
            return
        width = max(map(len, self), default=0)
        with printer.group(2, f"{name}("):
            for key, value in self.items():
                printer.break_()
                printer.text(f"{key:<{width}}  ")
                with printer.indent(width + 2):
                    show(printer, value)
        printer.text(")")


def show(printer: Any, value: Any) -> None:
    """Print each member in a line of its own, and never break an address into two lines."""
    match value:
        case (str(), str()):
            printer.text(repr(value))
        case [(str(), str()), *_] if type(value) is list:
            with printer.group(1, "[", "]"):
                for position, address in enumerate(value):
                    if position:
                        printer.text(",")
                        printer.break_()
                    printer.text(repr(address))
        case _:
            printer.pretty(value)


class Status(View):
    """A peer's answer to `Raft.status`."""


class ConfigurationView(View):
    """The members of a group: `state` ("none" or "stable"), `members`, `index`."""


class Entry(View):
    """A log entry: `index`, `term`, `type`, `data`."""


V = TypeVar("V", bound=View)


def viewed(answer: Any, view: type[View]) -> Any:
    """Return `("ok", fields)` with the fields as a view, and any other answer as it is."""
    match answer:
        case ("ok", dict() as fields):
            return ("ok", in_view(fields, view))
    return answer


def in_view(fields: dict[str, Any], view: type[V]) -> V:
    """Return the fields as a view, with the configuration among them as a ConfigurationView."""
    for key, value in fields.items():
        if key == "configuration" or (key == "data" and fields.get("type") == "config"):
            fields[key] = ConfigurationView(value)
    return view(fields)
