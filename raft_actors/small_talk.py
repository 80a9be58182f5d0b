"""SmallTalk: heartbeats and their answers that say nothing new, told from all that is urgent.

On a node with many peers they may wait some milliseconds for each other, and travel together.
"""

from collections.abc import Iterable
from typing import Any

from raft_actors.core.membership import Address
from raft_actors.core.messages import AppendEntries, AppendReply, Message

__all__ = ["WAIT_S", "SmallTalk"]

WAIT_S = 0.005
"""Little beside a heartbeat's time, for which nobody waits to the millisecond."""


class SmallTalk:
    """What one peer last told each other peer."""

    def __init__(self) -> None:
        self.told: dict[Address, tuple[Any, ...]] = {}

    def is_all(self, messages: Iterable[Message]) -> bool:
        """Tell whether these only say again what was said before them.

        A new commit index lets a follower apply, and a new round confirms a read: those hurry.
        """
        nothing_new = True
        for message in messages:
            what: tuple[Any, ...] = ()
            if type(message) is AppendEntries and not message.entries:
                what = (message.term, message.prev_index, message.commit, message.round)
            elif type(message) is AppendReply:
                what = (message.term, message.match, message.round)
            if not what or self.told.get(message.target) != what:
                self.told[message.target] = what
                nothing_new = False
        return nothing_new
