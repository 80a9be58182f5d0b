"""ObjectMachine: what a state machine does that runs a class with methods, see `Replicated`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from raft_actors.effects import Effect, TimerFired
from raft_actors.machine.containers import plain
from raft_actors.machine.contract import in_short
from raft_actors.machine.journal import StateIsFixed
from raft_actors.machine.methods import Call, Method
from raft_actors.machine.object_state import FirstFields, ObjectState, put_into

__all__ = ["ObjectMachine", "ToldOfRole"]


class ObjectMachine:
    """Runs the methods of `kind` on one object, which is the state.

    A command is the name of an update, its arguments and its keyword arguments. The reply is
    ("ok", what the method returned), or ("error", why the method does not run).

    reserved  names that no attribute may have
    first     the attributes that `__init__` gives
    effects   what the method that runs has asked for by `self.effect`
    """

    kind: ClassVar[type]
    methods: ClassVar[Mapping[str, Method[..., Any]]]
    reserved: ClassVar[frozenset[str]]
    current_version: int
    first: FirstFields
    effects: list[Effect]

    @classmethod
    def of(
        cls,
        kind: type,
        methods: Mapping[str, Method[..., Any]],
        reserved: frozenset[str],
        *,
        version: int,
    ) -> type[Self]:
        """Return the machine of a class."""
        fields = {
            "kind": kind, "methods": methods, "reserved": reserved, "version": version,
            "__module__": kind.__module__, "__doc__": kind.__doc__,
        }  # fmt: skip
        return type(kind.__name__, (cls,), fields)

    def init(self, name: str) -> ObjectState:  # noqa: ARG002
        state = self.held(self.kind())
        self.first = FirstFields(state.fields)
        return state

    def handle_write(self, command: Any, state: ObjectState) -> Any:
        if type(command) is TimerFired:
            return self.fire(command.name, state)
        call = call_of(command)
        if call is None or (method := self.methods.get(call[0])) is None or not method.changes:
            return no_such_method(command), state
        if method.version > self.current_version:
            return self.too_new(method), state
        _name, args, kwargs = call
        state.begin_update()
        self.effects = []
        try:
            reply = method.function(state.object, *args, **kwargs)
        except TypeError as error:
            if raised_inside(error):
                raise
            return wrong_arguments(method), state
        state.settle()
        return ("ok", plain(reply)), state, self.effects

    def fire(self, name: str, state: ObjectState) -> Any:
        """Call the method of the class that handles timers."""
        state.begin_update()
        self.effects = []
        state.object.on_timer(name)
        state.settle()
        return None, state, self.effects

    def handle_read(self, query: Any, state: ObjectState) -> Any:
        call = call_of(query)
        if call is None or (method := self.methods.get(call[0])) is None or method.changes:
            return no_such_method(query)
        if method.version > self.current_version:
            return self.too_new(method)
        _name, args, kwargs = call
        self.begin_query(state)
        try:
            reply = method.function(state.object, *args, **kwargs)
        except TypeError as error:
            if raised_inside(error):
                raise
            return wrong_arguments(method)
        state.refuse_changes()
        return "ok", plain(reply)

    def snapshot(self, state: ObjectState) -> Any:
        return state.pieces(self.first)

    def restore(self, data: Any) -> ObjectState:
        """Make the state from the attributes of a snapshot. An attribute that an older program's
        snapshot lacks has the value that `__init__` gives it.
        """
        new = self.kind()
        put_into(vars(new), data)
        return self.held(new)

    def upgrade(self, state: ObjectState, from_version: int) -> ObjectState:
        state.begin_update()
        state.object.upgrade(from_version)
        state.settle()
        return state

    def begin_query(self, state: ObjectState) -> None:
        state.begin_query()
        self.effects = NoEffects()

    def held(self, new: Any) -> ObjectState:
        object.__setattr__(new, "_raft_owner", self)
        return ObjectState(new, self.reserved)

    def too_new(self, method: Method[..., Any]) -> Any:
        return "error", ("method_too_new", method.version, self.current_version)


class ToldOfRole:
    """What a machine does besides whose class has `on_leader` or `on_follower`.

    led   the state when the replica became the leader
    """

    led: ObjectState | None = None
    effects: list[Effect]

    def on_leader(self, state: ObjectState) -> Any:
        self.led = state
        state.begin_query()
        self.effects = []
        state.object.on_leader()
        state.refuse_changes()
        return self.effects

    def on_follower(self) -> None:
        state = self.led
        if state is not None:
            state.begin_query()
            try:
                state.object.on_follower()
                state.refuse_changes()
            finally:
                state.rollback()


class NoEffects(list[Effect]):
    """Takes the place of the effects of a query, which must have none."""

    def append(self, effect: Effect) -> None:
        raise StateIsFixed(
            f"a query has asked for {effect!r}: it runs on one replica, and may run again. Make it "
            "an update"
        )


def call_of(command: Any) -> Call | None:
    match command:
        case (str(name), tuple(args), dict(kwargs)):
            return name, args, kwargs
    return None


def raised_inside(error: TypeError) -> bool:
    """Return whether the method itself has raised a TypeError, and not the call of it."""
    return error.__traceback__ is not None and error.__traceback__.tb_next is not None


def no_such_method(command: Any) -> Any:
    return "error", ("no_such_method", in_short(command))


def wrong_arguments(method: Method[..., Any]) -> Any:
    """Return an answer that is the same with every version of Python."""
    return "error", ("wrong_arguments", f"it takes ({', '.join(method.signature.parameters)})")
