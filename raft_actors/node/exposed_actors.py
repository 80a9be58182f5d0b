"""ExposedActors: which actors of this node other nodes reach, by which names."""

from typing import Any

import pykka

import supervision
from raft_actors.names import check_name

__all__ = ["ExposedActors"]


class ExposedActors:
    """Other nodes reach an actor that was registered here, and a process by the name with which it
    was started. Any other name in the registry is for this program only.
    """

    def __init__(self, registry: supervision.Registry) -> None:
        self._registry = registry
        self._exposed = supervision.Registry()

    def register(self, name: str, ref: Any) -> tuple[str, Any]:
        """Register an actor under a name by which other nodes reach it.

        Returns `("ok", ref)` or `("error", ("already_registered", other))`. Raises BadName, and
        TypeError for an actor whose end can't be watched.
        """
        if isinstance(ref, pykka.ActorProxy):
            ref = ref.actor_ref
        if not hasattr(ref, "watch"):
            raise TypeError(
                f"{ref} can't be watched, so its name would stay registered after its end: start "
                "its class as supervision.as_process(cls).start()"
            )
        answer = self._registry.register(check_name(name, "an actor's name"), ref)
        if answer == ("ok", ref):
            self._exposed.unregister(name)  # of an actor that has given up the name
            self._exposed.register(name, ref)
        return answer

    def find(self, name: str) -> Any | None:
        """Return the actor that other nodes reach by `name`; None if there is none."""
        ref = self._registry.whereis(name)
        has_own_name = ref is not None and getattr(ref, "name", None) == name
        return ref if has_own_name or self._exposed.whereis(name) is ref else None
