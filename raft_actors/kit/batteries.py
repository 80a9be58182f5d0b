"""Batteries: the state machine that has any number of locks, dicts and other objects by name."""

from collections.abc import Mapping
from typing import Any

from raft_actors.effects import Effect, TimerFired
from raft_actors.kit.machine.kinds import KINDS, TIMERS
from raft_actors.kit.machine.step import Refused, Step
from raft_actors.kit.machine.tables import Tables
from raft_actors.machine.state_image import Frozen
from raft_actors.state_machine import StateMachine

__all__ = ["Batteries"]

NAME_BYTES_MAX = 256


class Batteries(StateMachine[Tables, Any, Any]):
    """The state machine behind a `Kit`: locks, dicts and other objects, each with a name.

    An object needs no peer of its own: it is some items in the state of this machine. It begins to
    be with the first command for it.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> peers = Raft.test_cluster(Batteries)
    >>> with Kit(peers) as kit:
    ...     with kit.lock("printer") as token:
    ...         kit.lock_info("printer").token == token
    True

    A value in it is stored as the bytes that the client made of it. So the members need not know
    the classes of values (see `value_type`), and a command decodes nothing.

    Commands are `(kind, verb, name, *arguments)`, and the reply is `("ok", reply)` or
    `("refused", reason)`. Use a `Kit` or an `AsyncKit` to make them.
    """

    def init(self, name: str) -> Tables:  # noqa: ARG002
        return Tables()

    def handle_write(self, command: Any, state: Tables) -> tuple[Any, Tables, list[Effect]]:
        step = Step(state, self.meta.index, KINDS)
        if type(command) is TimerFired:
            word, _, number = command.name.partition(" ")
            if word in TIMERS:
                TIMERS[word](step, int(number))
            return None, state, step.effects
        try:
            return ("ok", run("verbs", command, step)), state, step.effects
        except Refused as refused:
            return ("refused", refused.reason), state, []

    def handle_read(self, query: Any, state: Tables) -> Any:
        state.index = self.meta.index
        try:
            return "ok", run("queries", query, state)
        except Refused as refused:
            return "refused", refused.reason

    def snapshot(self, state: Tables) -> Frozen:
        return Frozen(state.pieces())

    def restore(self, data: Any) -> Tables:
        tables = Tables()
        tables.restore(data)
        return tables


def run(which: str, request: Any, target: Any) -> Any:
    """Call the verb or the query that `request` names. Raises Refused for one that is not there,
    and for a name that no object can have.
    """
    match request:
        case (str() as kind, str() as verb, str() as name, *arguments):
            pass
        case _:
            raise Refused("bad_argument", "a command of a kit is (kind, verb, name, *arguments)")
    known: Mapping[str, Any] = getattr(KINDS[kind], which) if kind in KINDS else {}
    if verb not in known:
        raise Refused("unknown", kind, verb)
    if len(name.encode()) > NAME_BYTES_MAX:
        raise Refused("bad_argument", f"a name has at most {NAME_BYTES_MAX} bytes")
    return known[verb](target, name, *arguments)
