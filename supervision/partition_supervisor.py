"""PartitionSupervisor: one child many times over; each key belongs to one of them."""

import os
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import pykka
from pykka import ActorDeadError

from supervision.child_spec import ChildSpec
from supervision.children import Child, ChildForm, to_spec
from supervision.errors import OptionError
from supervision.foreign import is_a, is_count, text_of
from supervision.named_ref import NamedRef
from supervision.ref import ProcessRef, process_of
from supervision.supervisor import Supervisor
from supervision.supervisor_base import call
from supervision.supervisor_flags import Strategy, SupervisorFlags, supervisor_flags

__all__ = ["PartitionSupervisor", "PartitionsRef"]

P = TypeVar("P", bound=pykka.Actor)
WithArguments = Callable[[tuple[Any, ...], int], tuple[Any, ...]]


class PartitionsRef(ProcessRef[P]):
    """The ref of a PartitionSupervisor. It has the refs of the partitions, so that a lookup needs
    no answer of the supervisor.

    partitions   the number of partitions in use
    table        the ref that each partition had last
    """

    partitions = 0
    table: dict[int, Any]


def partition_flags(
    child: ChildForm,
    partitions: int | None = None,
    with_arguments: WithArguments | None = None,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
) -> SupervisorFlags:
    """Check the options of a partition supervisor, and return them.

    partitions       how many children; None: one for each processor
    with_arguments   `with_arguments(arguments, partition)` returns the positional arguments of the
                     start of this partition's child; None: all have the same

    Raises ChildSpecError and OptionError.

    >>> len(PartitionSupervisor.init(Worker, partitions=3).children)
    3
    """
    number = (os.cpu_count() or 1) if partitions is None else partitions
    if not is_count(number) or number == 0:
        raise OptionError(
            ("invalid_partitions", partitions),
            f"partitions must be a whole number above 0, not {text_of(partitions)}",
        )
    if with_arguments is not None and not callable(with_arguments):
        raise OptionError(
            ("invalid_with_arguments", with_arguments),
            "with_arguments must be a function of (arguments, partition), not "
            f"{text_of(with_arguments)}",
        )
    spec = to_spec(child)
    specs = [replace(spec, id=at, start=_start(spec, with_arguments, at)) for at in range(number)]
    return supervisor_flags(specs, strategy, max_restarts, max_seconds)


def _start(spec: ChildSpec, with_arguments: WithArguments | None, at: int) -> Callable[[], Any]:
    if with_arguments is None:
        return spec.start
    if not is_a(spec.start, partial):
        return partial(spec.start, *with_arguments((), at))
    arguments = with_arguments(spec.start.args, at)
    return partial(spec.start.func, *arguments, **spec.start.keywords)


class PartitionSupervisor(Supervisor):
    """A supervisor with the same child many times over, for a process that all would wait for.
    The children have the ids 0, 1, 2, ...

    >>> from supervision import PartitionSupervisor, Process
    >>> class Worker(Process):
    ...     def on_receive(self, message):
    ...         return message
    >>> ok, pool = PartitionSupervisor.start_link(Worker, partitions=2, name="pool")
    >>> PartitionSupervisor.whereis("pool", 0) is PartitionSupervisor.whereis("pool", 2)
    True

    In every call `supervisor` is a ref, a proxy, or a name.
    """

    _ref_class: ClassVar[type[ProcessRef[Any]]] = PartitionsRef

    init: ClassVar[Callable[..., SupervisorFlags]] = staticmethod(partition_flags)

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """As `Supervisor.child_spec`; the id is the name, if one is given.

        >>> PartitionSupervisor.child_spec(Worker, name="pool").id
        'pool'
        """
        spec = super().child_spec(*args, **kwargs)
        return spec if kwargs.get("name") is None else replace(spec, id=kwargs["name"])

    @staticmethod
    def whereis(supervisor: Any, key: Hashable) -> Any:
        """Return the ref of the partition to which this key belongs: a whole number belongs to the
        partition `key % partitions`, any other key to that of its hash.

        Raises ActorDeadError if there is no such supervisor, or no partition left.

        >>> pool.table[1] is PartitionSupervisor.whereis(pool, 3)
        True
        """
        ref = _ref_of(supervisor)
        if not ref.partitions:
            raise ActorDeadError(f"{ref} has no partition")
        at = (key if is_a(key, int) else hash(key)) % ref.partitions
        found = ref.table.get(at)
        if found is not None and found.is_alive():
            return found
        answer, child = Supervisor.which_child(ref, at)  # answered after the restart that is due
        if answer != "ok" or not is_a(child[1], ProcessRef):
            raise ActorDeadError(f"partition {at} of {ref} does not run")
        return child[1]

    @staticmethod
    def via(supervisor: Any, key: Hashable) -> NamedRef:
        """Return a ref of whichever process is the partition of this key when the ref is used.

        >>> PartitionSupervisor.via("pool", "ann").ask("hello")
        'hello'
        """
        return NamedRef(Partitions(supervisor), key)

    @staticmethod
    def partitions(supervisor: Any) -> int:
        """Return the number of partitions in use.

        >>> PartitionSupervisor.partitions("pool")
        2
        """
        return _ref_of(supervisor).partitions

    @staticmethod
    def resize(supervisor: Any, partitions: int) -> int:
        """Use so many partitions from now on, and return how many were used before. The children of
        the others are stopped; keys move to other partitions.

        Raises OptionError for more partitions than the supervisor was started with.

        >>> PartitionSupervisor.resize("pool", 1), PartitionSupervisor.resize("pool", 2)
        (2, 1)
        """
        before: int = call(supervisor, "resize", partitions)
        return before

    # -- on the supervisor's thread

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ref: Any = self._actor_ref
        ref.table = {}
        super()._begin(args, kwargs)
        ref.partitions = len(self._children_in_order)

    def _start(self, child: Child) -> tuple[str, Any]:
        answer, value = super()._start(child)
        ref: Any = self._actor_ref
        if answer == "ok" and is_a(child.spec.id, int):
            ref.table[child.spec.id] = value
        return answer, value

    def _resize(self, partitions: int) -> int:
        ref: Any = self._actor_ref
        most = len(self._children_in_order)
        if not is_count(partitions) or partitions > most:
            raise OptionError(
                ("invalid_partitions", partitions),
                f"partitions must be a whole number from 0 to {most}, not {text_of(partitions)}",
            )
        before: int = ref.partitions
        if partitions < before:
            ref.partitions = partitions
            self._stop_in_reverse(self._children_in_order[partitions:before])
        else:
            for child in self._children_in_order[before:partitions]:
                self._start(child)
            ref.partitions = partitions
        return before


class Partitions:
    """A supervisor as a book of names: its names are the keys."""

    __slots__ = ("supervisor",)

    def __init__(self, supervisor: Any) -> None:
        self.supervisor: Any = supervisor

    def whereis(self, key: Hashable, /) -> Any | None:
        try:
            return PartitionSupervisor.whereis(self.supervisor, key)
        except ActorDeadError:
            return None


def _ref_of(supervisor: Any) -> PartitionsRef[Any]:
    ref = process_of(supervisor)
    if ref is None or not ref.is_alive():
        raise ActorDeadError(f"there is no process named {text_of(supervisor)}")
    if not isinstance(ref, PartitionsRef):
        raise TypeError(f"{ref} is no PartitionSupervisor")
    return ref
