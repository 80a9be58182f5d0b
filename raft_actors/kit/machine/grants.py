"""Grants on the replicas: permits of an object, those that have them, and a queue of those that
wait, each with a lease.

Semaphores, locks for readers and writers, and elections are this, with other numbers. The queue is
served in its order: who wants many permits is not passed by those that came later and want few.
"""

from typing import Any

from raft_actors.effects import Notify
from raft_actors.kit.machine import leases
from raft_actors.kit.machine.step import Kind, Refused, Step, Verb
from raft_actors.kit.machine.tables import Table, Tables

__all__ = ["ALL", "Grants", "elections", "rwlocks", "semaphores", "topic_of"]

ALL = 2**31
"""The permits of a lock for readers and writers: a reader takes one of them, a writer all."""


def topic_of(kind: str, name: str, holder: str = "") -> str:
    """Return the topic of a holder; or of the object, for those that look who has it."""
    return f"{kind} {holder} {name}"


class Grants:
    """The verbs and queries of one kind.

    permits  of each object of the kind; 0: the first command for an object says how many it has
    tells    whether the topic of the object is published when another holder has it
    """

    def __init__(self, kind: str, permits: int = 0, *, tells: bool = False) -> None:
        self.kind = kind
        self.permits = permits
        self.tells = tells

    def held(self, tables: Tables, name: str) -> Table:
        """Holders: (token, lease, permits, value) of each."""
        return tables.look(self.kind, name, "held")

    def queue(self, tables: Tables, name: str) -> Table:
        """Those that wait: (lease, permits, value) of each, the one that has waited longest first:
        a verb refuses before it changes anything, so the order of the table stays.
        """
        return tables.look(self.kind, name, "queue")

    def permits_of(self, tables: Tables, name: str) -> int:
        """Return how many permits the object has; 0 if that is not known yet."""
        return self.permits or int(tables.look(self.kind, name).get("permits", 0))

    def used(self, tables: Tables, name: str) -> int:
        return int(tables.look(self.kind, name).get("used", 0))

    def acquire(
        self, step: Step, name: str, lease: int, holder: str, waits: bool, wanted: int,
        permits: int, value: bytes,
    ) -> tuple[int, int] | None:  # fmt: skip
        """Give `wanted` permits to `holder`, or put it into the queue. Return (token, index): the
        token is 0 while it waits, and the index is that of this command. None: they are taken, and
        `holder` does not want to wait.

        A holder that has them or waits for them already gets the same answer again.
        """
        mine = self.held(step.tables, name).get(holder)
        if mine is not None:
            return mine[0], step.index
        queue = self.queue(step.tables, name)
        if holder in queue:
            return 0, step.index
        check_permits(permits)
        known = self.permits_of(step.tables, name)
        if known not in {0, permits}:
            raise Refused("configuration", known, permits)
        if type(wanted) is not int or not 1 <= wanted <= permits:
            raise Refused("bad_argument", f"one can take 1 to {permits} of its permits at a time")
        if type(value) is not bytes:
            raise Refused("bad_argument", "a value is the bytes that its client made of it")
        is_free = not queue and self.used(step.tables, name) + wanted <= permits
        if not is_free and not waits:
            return None
        leases.hang(step, lease, self.kind, name, holder)
        if known == 0:
            step.tables.change(self.kind, name)["permits"] = permits
        if is_free:
            self.give(step, name, holder, (lease, wanted, value))
            return step.index, step.index
        step.tables.change(self.kind, name, "queue")[holder] = (lease, wanted, value)
        return 0, step.index

    def give(self, step: Step, name: str, holder: str, place: tuple[int, int, bytes]) -> None:
        self.use(step, name, place[1])
        step.tables.change(self.kind, name, "held")[holder] = (step.index, *place)
        if self.tells:
            step.effects.append(Notify(topic_of(self.kind, name)))

    def use(self, step: Step, name: str, more: int) -> None:
        used = self.used(step.tables, name) + more
        numbers = step.tables.change(self.kind, name)
        if used:
            numbers["used"] = used
        else:
            del numbers["used"]

    def release(self, step: Step, name: str, holder: str) -> bool:
        """Give the permits back, or leave the queue. Return whether `holder` had them."""
        mine = self.held(step.tables, name).get(holder)
        place = self.queue(step.tables, name).get(holder)
        if mine is not None:
            leases.unhang(step, mine[1], self.kind, name, holder)
            del step.tables.change(self.kind, name, "held")[holder]
            self.use(step, name, -mine[2])
            if self.tells:
                step.effects.append(Notify(topic_of(self.kind, name)))
        elif place is not None:
            leases.unhang(step, place[0], self.kind, name, holder)
            del step.tables.change(self.kind, name, "queue")[holder]
            # Its lease may have ended: then it must not wait on.
            step.effects.append(Notify(topic_of(self.kind, name, holder)))
        else:
            return False
        self.pass_on(step, name)
        return mine is not None

    def pass_on(self, step: Step, name: str) -> None:
        """Give permits to those that have waited longest, as far as they reach."""
        while queue := self.queue(step.tables, name):
            following = next(iter(queue))
            place = queue[following]
            free = self.permits_of(step.tables, name) - self.used(step.tables, name)
            if place[1] > free:
                return
            del step.tables.change(self.kind, name, "queue")[following]
            self.give(step, name, following, place)
            step.effects.append(Notify(topic_of(self.kind, name, following)))

    def resize(self, step: Step, name: str, permits: int) -> int:
        """Change the number of permits, and return what it was: 0 if the object is new. Nothing is
        taken from holders.
        """
        check_permits(permits)
        before = self.permits_of(step.tables, name)
        most = max((place[1] for place in self.queue(step.tables, name).values()), default=0)
        if most > permits:
            raise Refused("bad_argument", f"somebody waits for {most} of its permits")
        step.tables.change(self.kind, name)["permits"] = permits
        self.pass_on(step, name)
        return before

    def proclaim(self, step: Step, name: str, holder: str, value: bytes) -> bool:
        """Change the value of a holder. Return whether it is one."""
        mine = self.held(step.tables, name).get(holder)
        if mine is None:
            return False
        if type(value) is not bytes:
            raise Refused("bad_argument", "a value is the bytes that its client made of it")
        step.tables.change(self.kind, name, "held")[holder] = (*mine[:3], value)
        step.effects.append(Notify(topic_of(self.kind, name)))
        return True

    def token_of(self, tables: Tables, name: str, holder: str) -> tuple[int, bool]:
        """Return (token, waits): the token of `holder`, 0 if it has none, and if it waits."""
        mine = self.held(tables, name).get(holder)
        return (0 if mine is None else mine[0]), holder in self.queue(tables, name)

    def info(self, tables: Tables, name: str) -> tuple[Any, ...]:
        """Return (permits, used, holders, those that wait): (holder, permits, token) of each
        holder, (holder, permits) of each that waits, the one that has waited longest first.
        """
        held, queue = self.held(tables, name), self.queue(tables, name)
        return (
            self.permits_of(tables, name),
            self.used(tables, name),
            tuple((holder, mine[2], mine[0]) for holder, mine in held.items()),
            tuple((holder, place[1]) for holder, place in queue.items()),
        )

    def leader(self, tables: Tables, name: str) -> tuple[Any, ...]:
        """Return (index, holder, token, value) of the only holder; the holder is None if there is
        none. The index is that of the last entry that the state has.
        """
        for holder, mine in self.held(tables, name).items():
            return tables.index, holder, mine[0], mine[3]
        return tables.index, None, 0, b""

    def kind_of_objects(self) -> Kind:
        """Return the kind, with the verbs that it needs."""
        verbs: dict[str, Verb] = {"acquire": self.acquire, "release": self.release}
        if not self.permits:
            verbs["resize"] = self.resize
        if self.tells:
            verbs["proclaim"] = self.proclaim
        queries: dict[str, Verb] = {"token_of": self.token_of, "info": self.info}
        if self.tells:
            queries["leader"] = self.leader
        return Kind(
            verbs=verbs,
            queries=queries,
            release=self.release,
        )


def check_permits(permits: int) -> None:
    if type(permits) is not int or not 1 <= permits <= ALL:
        raise Refused("bad_argument", f"it has 1 to {ALL} permits")


semaphores: Kind = Grants("semaphore").kind_of_objects()
rwlocks: Kind = Grants("rwlock", ALL).kind_of_objects()
elections: Kind = Grants("election", 1, tells=True).kind_of_objects()
