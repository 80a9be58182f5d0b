"""The options of a supervisor, as its `init` returns them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from supervision.child_spec import ChildSpec
from supervision.children import ChildForm, to_spec
from supervision.errors import ChildSpecError, OptionError
from supervision.foreign import Key, is_a, is_string, text_of
from supervision.restarts import Backoff, check_backoff
from supervision.supervisor_base import check_intensity

__all__ = ["AutoShutdown", "Strategy", "SupervisorFlags", "check_combination", "supervisor_flags"]

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]

AutoShutdown = Literal["never", "any_significant", "all_significant"]

AUTO_SHUTDOWNS = ("never", "any_significant", "all_significant")
STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one")


@dataclass(frozen=True, slots=True)
class SupervisorFlags:
    """What the `init` of a supervisor returns; made by `Supervisor.init`."""

    children: tuple[ChildSpec, ...]
    strategy: Strategy
    max_restarts: int
    max_seconds: float
    backoff: Backoff | None
    auto_shutdown: AutoShutdown = field(default="never", kw_only=True)


def supervisor_flags(
    children: Iterable[ChildForm] = (),
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    backoff: Backoff | None = None,
    auto_shutdown: AutoShutdown = "never",
) -> SupervisorFlags:
    """Check the options of a supervisor and return them; `Supervisor.init` is this function.

    A subclass returns the result from its own `init`.

    children      in the order in which they start: each a ChildSpec, a class, or a pair
                  (class, argument of its `child_spec`)
    strategy      which children are restarted when one has ended: "one_for_one": this one alone;
                  "rest_for_one": this one and those that started after it; "one_for_all": all
    max_restarts  so many restarts within `max_seconds` are made; when one more is due, the
                  supervisor ends itself and its children
    backoff       pauses between restarts, which OTP does not have; None: no pauses

    auto_shutdown   "any_significant": the supervisor ends, with the reason "shutdown", when a
                  significant child has ended by itself and is not restarted; "all_significant":
                  when the last of them has

    Raises ChildSpecError and OptionError.

    >>> Supervisor.init([Greeter], strategy="one_for_all").strategy
    'one_for_all'
    """
    if not any(is_string(strategy, known) for known in STRATEGIES):
        raise OptionError(
            ("invalid_strategy", strategy),
            f"strategy must be one of {', '.join(STRATEGIES)}, not {text_of(strategy)}",
        )
    check_intensity(max_restarts, max_seconds)
    check_backoff(backoff)
    if not any(is_string(auto_shutdown, known) for known in AUTO_SHUTDOWNS):
        raise OptionError(
            ("invalid_auto_shutdown", auto_shutdown),
            f"auto_shutdown must be one of {', '.join(AUTO_SHUTDOWNS)}, "
            f"not {text_of(auto_shutdown)}",
        )
    if is_a(children, type) or not is_a(children, Iterable):
        raise ChildSpecError(
            ("invalid_children", children),
            f"children must be a list of child specifications, not {text_of(children)}",
        )
    specs = tuple(to_spec(form) for form in children)
    seen: set[Key | str] = set()
    for spec in specs:
        check_combination(spec, auto_shutdown)
        key = Key.of(spec.id)
        if key in seen:
            raise ChildSpecError(
                ("duplicate_child_name", spec.id),
                f"two children have the id {text_of(spec.id)}: give one of them another id with "
                "dataclasses.replace(spec, id=...)",
            )
        seen.add(key)
    return SupervisorFlags(
        specs, strategy, max_restarts, max_seconds, backoff, auto_shutdown=auto_shutdown
    )


def check_combination(spec: ChildSpec, auto_shutdown: AutoShutdown) -> None:
    """Raise ChildSpecError for a significant child of a supervisor that never ends with one."""
    if spec.significant and is_string(auto_shutdown, "never"):
        raise ChildSpecError(
            ("bad_combination", (("auto_shutdown", "never"), ("significant", True))),
            f"child {text_of(spec.id)} is significant: give its supervisor an auto_shutdown, "
            "any_significant or all_significant",
        )
