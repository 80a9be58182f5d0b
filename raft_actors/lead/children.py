"""Children: the specs of what a LeaderSupervisor runs, each of which is started with `term=`."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from raft_actors.lead.coroutine_child import CoroutineChild, LoopThread
from raft_actors.lead.function_child import FunctionChild
from raft_actors.lead.term import LeadTerm
from supervision import ChildSpec, ChildSpecError, Process, text_of
from supervision.children import ChildForm, to_spec

__all__ = ["LeadChild", "given", "lead_specs"]

LeadChild = ChildForm | Callable[..., Any] | tuple[Callable[..., Any], Any]
"""A child as a Supervisor takes it; or a function or coroutine function, alone or with arguments.
"""


def lead_specs(forms: Iterable[Any], loops: LoopThread) -> list[ChildSpec]:
    """Return the specs of these children. `loops`: the loop of the coroutines.

    Raises ChildSpecError, also for a child that does not take `term`.
    """
    return [checked(spec_of(form, loops)) for form in forms]


def spec_of(form: Any, loops: LoopThread) -> ChildSpec:
    function, argument = form if type(form) is tuple and len(form) == 2 else (form, ())
    is_function = inspect.isroutine(function) or isinstance(function, partial)
    if not is_function:
        return to_spec(form)
    args: tuple[Any, ...] = argument if isinstance(argument, tuple) else (argument,)
    kwargs: dict[str, Any] = {}
    if isinstance(argument, dict):
        args, kwargs = (), argument
    named = function.func if isinstance(function, partial) else function
    start: Callable[..., Any] = partial(FunctionChild.start_link, function, args, kwargs)
    if inspect.iscoroutinefunction(function):
        start = partial(CoroutineChild.start_link, function, args, kwargs, loops)
    name = getattr(named, "__name__", "function")
    return ChildSpec(name, start, restart="transient", modules=(function,))


def checked(spec: ChildSpec) -> ChildSpec:
    """Raise ChildSpecError for a child that can't be started with `term=`."""
    start: Any = spec.start
    function = start
    if isinstance(start, partial):
        owner = getattr(start.func, "__self__", None)
        if isinstance(owner, type) and issubclass(owner, Process):
            function = owner.init
            if issubclass(owner, FunctionChild | CoroutineChild):
                function = start.args[0]
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):  # of a function in C nobody knows
        return spec
    kinds = {each.kind for each in parameters.values()}
    if "term" not in parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        name = getattr(function, "__qualname__", text_of(function))
        raise ChildSpecError(
            ("takes_no_term", spec.id),
            f"child {text_of(spec.id)} of a LeaderSupervisor is started with term=, and {name} has "
            "no parameter `term`: give it one",
        )
    return spec


def given(spec: ChildSpec, term: LeadTerm) -> ChildSpec:
    """Return the spec with `term` among the arguments of its start."""
    start: Callable[..., Any] = spec.start
    return replace(spec, start=partial(start, term=term))
