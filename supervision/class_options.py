"""The options of a class statement, as in `class Cache(Process, restart="transient")`."""

from typing import Any

from supervision.bounded_inbox import Bounded
from supervision.child_spec import check_listed, check_options
from supervision.errors import OptionError
from supervision.foreign import is_a, text_of
from supervision.waits import seconds

__all__ = ["check_spec_options", "take_options"]

OF_A_SPEC = {"id", "restart", "shutdown", "type", "listed"}
OF_A_PROCESS = {"trap_exit", "idle_timeout", "call_timeout", "inbox"}


def take_options(cls: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Set what each process of the class is to have, and return the defaults of its child spec.

    Raises TypeError for an option that there is not, and OptionError for a wrong value.
    """
    unknown = sorted(options.keys() - OF_A_SPEC - OF_A_PROCESS)
    if unknown:
        raise TypeError(f"{cls.__name__} has unknown class options: {', '.join(unknown)}")
    if "trap_exit" in options:
        traps = options["trap_exit"]
        if not is_a(traps, bool):
            raise OptionError(
                ("invalid_trap_exit", traps),
                f"trap_exit of {cls.__name__} must be True or False, not {text_of(traps)}",
            )
        cls._traps_exit = traps
    if "inbox" in options:
        bound = options["inbox"]
        if bound is not None and not is_a(bound, Bounded):
            raise OptionError(
                ("invalid_inbox", bound),
                f"inbox of {cls.__name__} must be a Bounded or None, not {text_of(bound)}",
            )
        cls._bound = bound
    if "idle_timeout" in options:
        cls._idle_s = optional_seconds(options["idle_timeout"], f"idle_timeout of {cls.__name__}")
    if "call_timeout" in options:
        cls._call_s = optional_seconds(options["call_timeout"], f"call_timeout of {cls.__name__}")
    return {name: value for name, value in options.items() if name in OF_A_SPEC}


def check_spec_options(cls: type[Any], options: dict[str, Any]) -> None:
    """Raise ChildSpecError unless these can be the defaults of the child specs of a class."""
    merged = {"shutdown": 5.0, **options}
    check_options(merged["restart"], merged["shutdown"], merged["type"], of=cls.__name__)
    check_listed(merged.get("listed"), of=cls.__name__)


def optional_seconds(value: Any, what: str) -> float | None:
    return None if value is None else seconds(value, what)
