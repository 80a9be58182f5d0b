"""Replicated: a state machine that is written as a class with attributes and methods."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Never, Self, TypeVar, overload

from raft_actors.async_cluster import AsyncCluster
from raft_actors.client.handle import AwaitedMethod, BoundMethod, Group, Handle
from raft_actors.cluster import Cluster
from raft_actors.effects import Effect
from raft_actors.machine.meta import Meta
from raft_actors.machine.methods import Awaited, Method, check_class, methods_of
from raft_actors.machine.object_machine import ObjectMachine, ToldOfRole
from raft_actors.peer.peers import peer_spec
from raft_actors.state_machine import StateMachine
from raft_actors.timeouts import optional_seconds
from supervision import ChildSpec

__all__ = ["Replicated"]

AwaitedT = TypeVar("AwaitedT", bound=Awaited)


class Replicated:
    """A state machine as a class: its attributes are the state, and its methods the commands and
    queries.

    >>> from raft_actors import Cluster, Raft, Replicated, query, update
    >>> class Counter(Replicated):
    ...     def __init__(self) -> None:
    ...         self.value = 0
    ...     @update
    ...     def add(self, n: int) -> int:
    ...         self.value += n
    ...         return self.value
    ...     @query
    ...     def get(self) -> int:
    ...         return self.value
    >>> counter = Counter.at(Cluster(Raft.test_cluster(Counter)))
    >>> counter.add(2), counter.add(3), counter.get()
    (2, 5, 5)

    Attributes are made of the types that commands may have: see `StateMachine`. A list, dict or set
    that comes into an attribute is copied at the end of the update, so two places of the state
    never share one. In an attribute a list is a `StateList`, which has the methods of a list.

    An update that raises an exception leaves every attribute as it was, also what is inside of
    lists and dicts; the caller gets MethodRaised. A query that changes an attribute raises, and
    changes nothing.

    What a command of a state machine must not do, an update must not do either: look at clocks,
    random numbers or files. `self.meta` has a time. `__init__` takes no arguments, and runs on
    every replica too.

    version          the newest version of the class. By default the highest `version` of its
                     methods
    current_version  the version that the group runs now

    Called directly, on an object of the class, the methods are ordinary methods: `Counter().add(2)`
    is 2. So a test needs no group.
    """

    __slots__ = ("__dict__", "__weakref__", "_raft_owner")

    version: int = 1
    _raft_methods: ClassVar[Mapping[str, Method[..., Any]]] = {}
    _raft_owner: "ReplicatedMachine | Alone"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._raft_methods = methods_of(cls, RESERVED)
        check_class(cls, Replicated)
        newest = max((method.version for method in cls._raft_methods.values()), default=1)
        if newest > cls.version:
            if "version" in vars(cls):
                raise TypeError(
                    f"{cls.__name__}.version is {cls.version}, and it has a method of version "
                    f"{newest}: raise it, or leave it out"
                )
            cls.version = newest

    @overload
    @classmethod
    def at(  # type: ignore[misc]
        cls: type[AwaitedT], cluster: AsyncCluster, *,
        timeout: float | None = None, consistency: str | None = None,
        max_staleness_s: float | None = None,
    ) -> AwaitedT: ...  # fmt: skip
    @overload
    @classmethod
    def at(  # type: ignore[misc]
        cls: type[AwaitedT], cluster: Cluster, *,
        timeout: float | None = None, consistency: str | None = None,
        max_staleness_s: float | None = None,
    ) -> Never: ...  # fmt: skip
    @overload
    @classmethod
    def at(
        cls, cluster: AsyncCluster, *, timeout: float | None = None,
        consistency: str | None = None, max_staleness_s: float | None = None,
    ) -> Handle: ...  # fmt: skip
    @overload
    @classmethod
    def at(
        cls, cluster: Group, *, timeout: float | None = None,
        consistency: str | None = None, max_staleness_s: float | None = None,
    ) -> Self: ...  # fmt: skip
    @classmethod
    def at(
        cls, cluster: Any, *, timeout: float | None = None,
        consistency: str | None = None, max_staleness_s: float | None = None,
    ) -> Any:  # fmt: skip
        """Return a handle: its methods run in the group of `cluster`, a Cluster or an AsyncCluster.
        With an AsyncCluster they are awaited.

        timeout          of each call, in seconds; else that of the cluster
        consistency, max_staleness_s  of the queries, see `Cluster.read`

        A call raises what `Cluster.write` and `Cluster.read` raise; MethodRaised if the method
        raised; CommandTooNew if the group does not run the method's version yet; and TypeError,
        before anything is sent, for arguments that do not fit.

        >>> Counter.at(cluster, consistency="stale", max_staleness_s=60.0).get() >= 0
        True
        """
        if not (hasattr(cluster, "write") and hasattr(cluster, "read")):
            raise TypeError(
                f"{cls.__name__}.at takes a Cluster or an AsyncCluster, not {cluster!r}"
            )
        awaits = isinstance(cluster, AsyncCluster)
        if issubclass(cls, Awaited) and not awaits:
            raise TypeError(f"{cls.__name__} is Awaited: give it an AsyncCluster, not {cluster!r}")
        options = {"timeout": optional_seconds(timeout)}
        reading = {**options, "consistency": consistency, "max_staleness_s": max_staleness_s}
        return Handle(
            cls, cls._raft_methods, cluster, bound=AwaitedMethod if awaits else BoundMethod,
            write_options=given(options), read_options=given(reading),
        )  # fmt: skip

    @classmethod
    def child_spec(cls, *, name: str, **options: Any) -> ChildSpec:
        """Return the child spec of a peer that runs this class; as `StateMachine.child_spec`.

        >>> from raft_actors import Supervisor
        >>> ok, tree = Supervisor.start_link([(Counter, {"name": "counted"})])
        """
        return peer_spec(cls, name=name, **options)

    @classmethod
    def raft_machine(cls) -> type[StateMachine]:
        """Return the state machine that runs this class, with which `Raft` starts a peer.

        Raises TypeError if `__init__` needs arguments.
        """
        try:
            inspect.signature(cls).bind()
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}() must need no arguments ({error}): every replica makes the first "
                "state by itself. What differs between groups comes with an update"
            ) from None
        told = (cls.on_leader, cls.on_follower) != (Replicated.on_leader, Replicated.on_follower)
        base = ToldReplicatedMachine if told else ReplicatedMachine
        return base.of(cls, cls._raft_methods, RESERVED, version=cls.version)

    # What methods may use.

    @property
    def meta(self) -> Meta:
        """The place in the log of the update that runs, and its time: see `Meta`. A test may set
        it.
        """
        return owner_of(self).meta

    @meta.setter
    def meta(self, meta: Meta) -> None:
        owner_of(self).meta = meta

    @property
    def current_version(self) -> int:
        """The version of the class that the group runs now. It is at most `version`."""
        return owner_of(self).current_version

    def effect(self, effect: Effect) -> None:
        """Ask for an effect of the update that runs: the leader carries it out after the update is
        committed, unless the update raises. See `raft_actors.effects`.

        >>> from raft_actors.effects import Timer
        >>> class Light(Replicated):
        ...     def __init__(self) -> None:
        ...         self.is_on = False
        ...     @update
        ...     def turn_on(self) -> None:
        ...         self.is_on = True
        ...         self.effect(Timer("off", 60.0))
        ...     def on_timer(self, name: str) -> None:
        ...         self.is_on = False
        """
        owner_of(self).effects.append(effect)

    @property
    def effects(self) -> list[Effect]:
        """The effects that the update that runs has asked for so far. For an object outside of a
        group: those of all its updates, so that a test can look at them.
        """
        return owner_of(self).effects

    # What a class may define.

    def on_timer(self, name: str) -> None:
        """Handle a timer that has fired, see `raft_actors.effects.Timer`. It runs on every replica
        as an update does.
        """
        raise NotImplementedError(f"{type(self).__name__} has a Timer, and no on_timer(self, name)")

    def upgrade(self, from_version: int) -> None:
        """Change the attributes from those of `from_version` into those of the next version.

        Every replica calls it at the same entry of the log, as `StateMachine.upgrade`.
        """

    def on_leader(self) -> None:
        """As `StateMachine.on_leader`. It may call `self.effect(Tell(...))`."""

    def on_follower(self) -> None:
        """As `StateMachine.on_follower`."""


class ReplicatedMachine(ObjectMachine, StateMachine):
    """The state machine that runs a `Replicated` class."""


class ToldReplicatedMachine(ToldOfRole, ReplicatedMachine):
    """The state machine that runs a class with `on_leader` or `on_follower`."""


RESERVED = frozenset({"", *(name for name in dir(Replicated) if not name.startswith("__"))})


def given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


class Alone(StateMachine):
    """The owner of an object outside of a group."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []


def owner_of(replicated: Replicated) -> ReplicatedMachine | Alone:
    """Return the state machine that runs an object. An object outside of a group has one of its
    own, which runs the newest version.
    """
    try:
        return replicated._raft_owner
    except AttributeError:
        owner = Alone()
        owner.current_version = type(replicated).version
        object.__setattr__(replicated, "_raft_owner", owner)
        return owner
