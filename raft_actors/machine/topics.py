"""Topics: what the commands of a state machine have changed lately, for clients that wait for it.

A topic is a text: a key of the state, for example. A command that changes what a topic stands for
publishes it, on every replica, with the index of its entry. The log is the same on all replicas, so
each replica can tell which topics have changed after an index that a client has seen at another
one.
"""

from collections.abc import Sequence

__all__ = ["TOPICS_MAX", "TOPIC_BYTES_MAX", "Topics", "check_topic"]

TOPIC_BYTES_MAX = 512
TOPICS_MAX = 10_000
"""So many topics are remembered with their last change: at most 5 MB of text."""


def check_topic(topic: object) -> str:
    """Return the topic. Raises TypeError for what is no text, and ValueError for a text that is too
    long or can't be encoded.
    """
    if type(topic) is not str:
        raise TypeError(f"a topic is a text, not {topic!r}")
    size = len(topic.encode())
    if size > TOPIC_BYTES_MAX:
        raise ValueError(f"a topic of {size} bytes is longer than {TOPIC_BYTES_MAX}: {topic[:40]}…")
    return topic


class Topics:
    """The topics that were published last, and the entry that published each.

    floor  what was published by the entries up to here is not known, or not completely: it came
           before the replica's state was restored, or was forgotten
    last   the index of the last entry that published a topic, by topic; the oldest comes first
    """

    __slots__ = ("floor", "last")

    def __init__(self, floor: int) -> None:
        self.floor: int = floor
        self.last: dict[str, int] = {}

    def publish(self, topic: str, index: int) -> None:
        """Note that the entry `index` has changed what `topic` stands for.

        topic  see `check_topic`; it was checked where the command made it
        index  never lower than that of the call before
        """
        last = self.last
        last.pop(topic, None)  # so that it moves to the end
        last[topic] = index
        if len(last) > TOPICS_MAX:
            self.floor = max(self.floor, last.pop(next(iter(last))))

    def restart(self, index: int) -> None:
        """Continue after a state that was restored, whose last entry is `index`. What the entries
        up to there have published is not known.
        """
        self.last.clear()
        self.floor = index

    def since(self, after: int) -> list[str]:
        """Return the topics that entries after `after` have published, as far as they are known;
        the newest comes first.
        """
        found = []
        for topic, index in reversed(self.last.items()):
            if index <= after:
                break
            found.append(topic)
        return found

    def changed_after(
        self, after: int, topics: Sequence[str], prefixes: tuple[str, ...]
    ) -> list[str] | None:
        """Return those of `topics`, and of the topics that begin with one of `prefixes`, that were
        published after the entry `after`. None: that is not known, so any of them may have changed.
        """
        if after < self.floor:
            return None
        last = self.last
        found = [topic for topic in topics if last.get(topic, 0) > after]
        if prefixes:
            wanted = {topic for topic in self.since(after) if topic.startswith(prefixes)}
            found += sorted(wanted.difference(found))
        return found
