"""The types of the answers of processes and supervisors."""

from typing import Any, Literal, TypeVar

from supervision.errors import Reason

__all__ = ["ChildStarted", "Missing", "Started", "Stopped"]

T = TypeVar("T")

Started = tuple[Literal["ok"], T] | Literal["ignore"] | tuple[Literal["error"], Reason]
ChildStarted = tuple[Literal["ok"], Any] | tuple[Literal["error"], Reason]
"""With the ref of the child, a process or any other actor; or "undefined"."""
Missing = tuple[Literal["error"], Literal["not_found"]]
Stopped = tuple[Literal["error"], Literal["not_found", "running", "restarting"]]
"""The child is not stopped, as it would have to be."""
