"""Holder: asks the leader on this node for grants of the lead, and says when each begins and ends.

    peer leads -> wish -> granted -> begun ... told to end -> given back -> wish ...

The owner is told of each grant when to begin, and later when to end. When nothing runs by the grant
any more, the owner calls `give_back`.
"""

import logging
import threading
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.clock import since_boot
from raft_actors.core.configuration import GRANT_MS_MAX
from raft_actors.core.effects import LeadNews
from raft_actors.core.messages import GrantLead, ReturnLead
from raft_actors.lead.deadlines import Deadlines
from raft_actors.lead.term import SILENCE, LeadTerm
from raft_actors.peer.lead_holders import LeadingPeer
from supervision import tell_if_alive, timer

__all__ = ["Holder", "Owner"]

logger: logging.Logger = logging.getLogger("raft_actors.lead")

GRANT_TIMEOUTS = 4
"""The grant time, unless it is given, in longest election timeouts of the peer."""
LOOK_S = 0.2
"""The clock is looked at so often at least: the timer does not count the time in which the machine
was suspended."""
REST_SLACK_S = 1.0
LOOK = object()
HAND_OVER = "the leader hands the leadership over"
NO_LEADER = "the peer does not lead any more"
PEER_STOPS = "the peer is stopped"
OWNER_ENDS = "its supervisor ends"


class Owner(Protocol):
    """Runs something by grants. The methods are called on any thread, so they must be quick."""

    def begin_soon(self, term: LeadTerm) -> None:
        """Begin, unless `term` is lost by then."""

    def end_soon(self, term: LeadTerm) -> None:
        """End everything that runs by this grant, by its deadlines, and give it back."""


class Wish:
    """A wish for a grant, and its ticket. Its peer answers it on its own thread."""

    def __init__(self, holder: "Holder", peer: LeadingPeer, grant_s: float) -> None:
        self.holder = holder
        self.peer = peer
        self.grant_s = grant_s
        self.event: GrantLead = GrantLead(int(grant_s * 1000), holder.hand_over_s, ticket=self)

    def set(self, answer: bytes) -> None:
        self.holder.answered(self, is_granted=encoding.loads(answer)[0] == "ok")


class Holder:
    """One holder of grants. The methods may be called on any thread.

    owner        runs something by the grants
    grant_s      the grant time; None: GRANT_TIMEOUTS longest election timeouts of the peer
    hand_over_s  how long the leader is to wait for a recalled grant
    peer         the peer that leads, while it does
    wish         the wish that was not answered yet
    term         the grant that was given and not given back
    has_begun    whether the owner was told to begin with it
    is_current   whether the leadership that gave it goes on
    """

    def __init__(self, owner: Owner, grant_s: float | None, hand_over_s: float) -> None:
        self.owner = owner
        self.grant_s = grant_s
        self.hand_over_s = hand_over_s
        self.lock: threading.RLock = threading.RLock()
        self.peer: LeadingPeer | None = None
        self.stopped: LeadingPeer | None = None
        self.wish: Wish | None = None
        self.confirmed_at: float = -inf
        self.term: LeadTerm | None = None
        self.has_begun: bool = False
        self.is_current: bool = False
        self.over: threading.Event = threading.Event()
        self.closed: bool = False

    # What the peer calls; see `LeadHolder`.

    def leads(self, peer: LeadingPeer) -> None:
        with self.lock:
            if peer is not self.peer:
                self.lost()
            self.peer = peer
            self.ask()

    def on_news(self, news: LeadNews) -> None:
        with self.lock:
            self.confirmed_at = news.confirmed_at
            if self.term is None or not self.is_current:
                return
            self.term._deadlines.renew(news.confirmed_at)
            if news.recalled:
                self.recall(HAND_OVER)
            elif not self.has_begun:
                self.begin()

    def lost(self) -> None:
        with self.lock:
            self.peer, self.wish, self.confirmed_at, self.is_current = None, None, -inf, False
            self.end(NO_LEADER)

    def rest(self, peer: LeadingPeer | None) -> None:
        with self.lock:
            self.stopped = peer
            if self.term is None:
                return
            self.recall(PEER_STOPS)
        self.over.wait(self.hand_over_s + REST_SLACK_S)

    # Grants.

    def ask(self) -> None:
        """Wish for a grant, unless there is one, or a wish for one."""
        peer = self.peer
        if peer is None or peer is self.stopped or self.closed or self.wish or self.term:
            return
        grant_s = self.grant_s or GRANT_TIMEOUTS * peer.config.max_election_timeout
        self.wish = Wish(self, peer, min(grant_s, GRANT_MS_MAX / 1000))
        tell_if_alive(peer.actor_ref, self.wish.event)

    def answered(self, wish: Wish, *, is_granted: bool) -> None:
        with self.lock:
            is_awaited = wish is self.wish
            if is_awaited:
                self.wish = None
            if not is_granted:
                return
            if not is_awaited:  # the peer has lost the lead meanwhile, or the owner has ended
                self.return_to(wish.peer, wish.event.index, ended=True)
                return
            self.over.clear()
            self.has_begun, self.is_current = False, True
            self.term = LeadTerm(
                wish.event.index, wish.peer.address, Deadlines(wish.grant_s, self.confirmed_at)
            )
            self.begin()

    def begin(self) -> None:
        """Have the owner begin, if it is certain that the peer leads; else wait for news."""
        assert self.term is not None
        if since_boot() < self.term._deadlines.stop_at:
            self.has_begun = True
            self.owner.begin_soon(self.term)
            self.look_again(self.term)

    def look_again(self, term: LeadTerm) -> None:
        left_s = term._deadlines.stop_at - since_boot()
        timer.send_after(min(max(left_s, 0.0), LOOK_S), Watch(self, term), LOOK)

    def look(self, term: LeadTerm) -> None:
        """End the grant if it was not renewed in time. The thread of the timer calls this, so that
        a peer that hangs can't prevent it.
        """
        with self.lock:
            if term is not self.term or term.lost.is_set():
                return
            if since_boot() >= term._deadlines.stop_at:
                self.end(SILENCE)
            else:
                self.look_again(term)

    def recall(self, why: str) -> None:
        """Have the owner end, within `hand_over_s`."""
        if self.term is not None:
            self.term._deadlines.recall(since_boot(), self.hand_over_s)
            self.end(why)

    def end(self, why: str) -> None:
        """Have the owner end, until the deadlines of the grant."""
        term = self.term
        if term is None or term.lost.is_set():
            return
        term._end(why)
        if self.has_begun:
            logger.info("%s: grant %d ends: %s", term.peer[0], term.token, why)
            self.owner.end_soon(term)
        else:
            self.give_back(term, ended=True)

    def give_back(self, term: LeadTerm, *, ended: bool) -> None:
        """Note that nothing runs by the grant any more; or, if not `ended`, that something may run
        until its time is over. Then wish for the next grant.
        """
        with self.lock:
            if term is not self.term:
                return
            self.term = None
            self.over.set()
            if self.peer is not None:
                self.return_to(self.peer, term.token, ended=ended)
            self.ask()

    def return_to(self, peer: LeadingPeer, token: int, *, ended: bool) -> None:
        tell_if_alive(peer.actor_ref, ReturnLead(index=token, ended=ended))

    def close(self) -> None:
        """Wish for no more grants, because the owner ends. The present one is to be given back."""
        with self.lock:
            self.closed, self.wish = True, None
            if self.term is not None:
                self.recall(OWNER_ENDS)


@dataclass(frozen=True, slots=True)
class Watch:
    """The receiver of a holder's alarms. It works on the thread of the timer."""

    holder: Holder
    term: LeadTerm

    def tell(self, _message: Any) -> None:
        self.holder.look(self.term)
