"""Clients: what the clients of a world ask its peers, and the answers that they get."""

from collections.abc import Callable
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import (
    LINEARIZABLE,
    STALE,
    Configure,
    Event,
    Propose,
    Query,
    Reseed,
    Transfer,
)
from raft_actors.machine.sessions import LIMITS, NEW, SESSION_MS_MIN
from raft_actors.names import Address
from raft_actors.testing.simulation.checked import CheckedPeer
from raft_actors.testing.simulation.checker import Checker
from raft_actors.testing.simulation.ticket import Ticket
from raft_actors.testing.simulation.transcript import answer_in_words
from supervision.foreign import text_of

__all__ = ["Clients"]

CLOCK_S = 1e-6
"""Two clocks may differ by so much because of rounding."""


class ClientsWorld(Protocol):
    """What clients need from their world; see `World`."""

    names: list[str]
    now: float
    rates: dict[str, float]
    checker: Checker
    tell: Callable[[str], None] | None

    @property
    def busy(self) -> CheckedPeer | None: ...

    def address(self, name: str) -> Address: ...
    def step(self, name: str, *events: Event) -> None: ...
    def boundary(self) -> None: ...


class Clients:
    """Some clients, which send requests to peers by their names.

    requests  how many commands they have sent, and the number of the newest command
    sessions  the numbers of the sessions that they have opened
    asked     the commands that they have sent in a session: (request, command)
    """

    def __init__(self, world: ClientsWorld) -> None:
        self.world = world
        self.requests: int = 0
        self.sessions: list[int] = []
        self.asked: list[tuple[RequestId, Any]] = []

    # Commands.

    def write(self, name: str, *commands: Any, session: int = -1) -> list[Ticket]:
        """Have clients send these commands to the peer `name`, all in one batch.

        session   the place in `sessions` of their session; -1 for none
        """
        commands = commands or (self.requests + 1,)
        asked = []
        for command in commands:
            self.requests += 1
            request = (self.sessions[session] if session >= 0 else 0, self.requests)
            asked.append((request, command))
        if session >= 0:
            self.asked += asked
        if self.world.tell:
            of = f" (session {session})" if session >= 0 else ""
            self.world.tell(f"clients write to {name}{of}: {', '.join(map(text_of, commands))}")
        return self.propose(name, asked)

    def write_again(self, name: str, place: int) -> Ticket:
        """Have a client send again a command that it has sent in a session; see `asked`."""
        request, command = self.asked[place]
        if self.world.tell:
            self.world.tell(f"a client writes to {name} again: {text_of(command)}")
        return self.propose(name, [(request, command)])[0]

    def propose(self, name: str, asked: list[tuple[RequestId, Any]]) -> list[Ticket]:
        tickets = [Ticket(self, "write", text_of(command), request) for request, command in asked]
        self.world.step(name, *[
            Propose(encoding.dumps(command), ticket, ticket.request)
            for ticket, (_request, command) in zip(tickets, asked, strict=True)
        ])  # fmt: skip
        return tickets

    def open_session(self, name: str) -> Ticket:
        self.requests += 1
        ticket = Ticket(self, "write", "a new session", (NEW, self.requests))
        if self.world.tell:
            self.world.tell(f"a client opens a session at {name}")
        self.world.step(name, Propose(b"", ticket, ticket.request))
        return ticket

    def limit_sessions(self, name: str, sessions_max: int, session_ms: float) -> Ticket:
        self.requests += 1
        change = sessions_max, max(SESSION_MS_MIN, int(session_ms))
        ticket = Ticket(self, "write", f"limits {change}", (LIMITS, self.requests))
        if self.world.tell:
            self.world.tell(f"a client sets the limits {change} of sessions at {name}")
        self.world.step(name, Propose(encoding.dumps(change), ticket, ticket.request))
        return ticket

    # Queries.

    def read(
        self, name: str, query: Any = None, consistency: str = LINEARIZABLE,
        staleness_s: float | None = None, after: int = 0,
    ) -> Ticket:  # fmt: skip
        world = self.world
        ticket = Ticket(self, "read", text_of(query))
        if consistency == STALE:
            ticket.index_min = after
            if staleness_s is not None:  # seconds of the clock of who answers
                bound = world.now - staleness_s / world.rates[name] - CLOCK_S
                ticket.index_min = max(after, world.checker.answers.index_shown_at(bound))
        if world.tell:
            how = "" if consistency == LINEARIZABLE else f" ({consistency})"
            bound_told = "" if staleness_s is None else f", {staleness_s:.3f} s old at most"
            world.tell(f"a client reads from {name}{how}{bound_told}")
        world.step(name, Query(encoding.dumps(query), ticket, consistency, staleness_s, after))
        return ticket

    # Members.

    def configure(
        self, name: str, members: str = "", learners: str = "", witnesses: str = "", *,
        declared: bool = False,
    ) -> Ticket:  # fmt: skip
        """Have a client ask `name` to found a group of `members`, or to change it to them.

        declared  it was started with them declared; nobody asks
        """
        world = self.world
        ticket = Ticket(self, "configure")
        members = members or "".join(world.names)
        if world.tell:
            besides = f" and learners {learners}" if learners else ""
            besides += f", {witnesses} as witnesses" if witnesses else ""
            what = f"{name} declares" if declared else f"a client asks {name} for"
            world.tell(f"{what} the members {members}{besides}")
        wanted, taught, without_state = (
            tuple(map(world.address, part)) for part in (members, learners, witnesses)
        )
        event = Configure(wanted, ticket, taught, witnesses=without_state, declared=declared)
        world.step(name, event)
        return ticket

    def transfer(self, name: str, target: str = "") -> Ticket:
        world = self.world
        ticket = Ticket(self, "transfer")
        if world.tell:
            world.tell(f"{name} is asked to hand over to {target or 'whom it likes'}")
        world.step(name, Transfer(world.address(target) if target else None, ticket))
        return ticket

    def renew(self, name: str) -> Ticket:
        """Have a client ask `name` to take the state of its leader in place of its own."""
        ticket = Ticket(self, "renew")
        if self.world.tell:
            self.world.tell(f"{name} is asked to take another state")
        self.world.step(name, Reseed(ticket))
        return ticket

    # Answers: what their tickets need.

    @property
    def index_shown(self) -> int:
        """The highest log index that an answer to a client had seen."""
        return self.world.checker.answers.index_shown

    def boundary(self) -> None:
        """A place between two effects, where a process may end."""
        self.world.boundary()

    def answered(self, ticket: Ticket) -> None:
        world = self.world
        assert world.busy is not None
        if world.tell:
            about = f" {ticket.about}" if ticket.about else ""
            words = answer_in_words(ticket.result)
            world.tell(f"{world.busy.name}: answers {ticket.what}{about}: {words}")
        world.checker.answers.answered(world.busy, ticket, world.now)
        if ticket.request[0] == NEW and ticket.result[0] == "ok":
            self.sessions.append(ticket.result[1])
