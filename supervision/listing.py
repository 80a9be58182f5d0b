"""Which processes are in Pykka's ActorRegistry: roots of trees, and processes that are `listed`.

`ActorRegistry.stop_all` stops from the last to the first. So the root of a tree is kept behind the
listed processes of this tree: it is stopped first, it ends its tree, and no supervisor restarts a
child that `stop_all` has stopped.
"""

from typing import Any

from pykka import ActorRegistry

from supervision.ref import ProcessRef

__all__ = ["list_or_hide"]


def list_or_hide(ref: ProcessRef[Any]) -> None:
    """Put a process into ActorRegistry if it is a root or `listed`, and remove it otherwise."""
    with ActorRegistry._actor_refs_lock:
        refs = ActorRegistry._actor_refs
        if ref.parent is not None and not ref.listed:
            ActorRegistry.unregister(ref)
            return
        if not any(each is ref for each in refs):
            ActorRegistry.register(ref)
        root = root_of(ref)
        refs.sort(key=lambda each: each is root)  # one call in C, which a Ctrl-C can't divide
    if ref._lifeline.ended:
        ActorRegistry.unregister(ref)


def root_of(ref: ProcessRef[Any]) -> ProcessRef[Any]:
    while ref.parent is not None:
        ref = ref.parent
    return ref
