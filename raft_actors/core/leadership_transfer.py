"""Leadership transfer: how a leader makes room for another (thesis 3.10)."""

from typing import Any

from raft_actors.core.leader_base import LeaderBase, PendingTransfer
from raft_actors.core.messages import Message, TimeoutNow, Transfer
from raft_actors.names import Address

__all__ = ["LeadershipTransfer"]

HAND_OVER_S_MAX = 1.0
"""Writers are sent away meanwhile, so not for long, whatever the election timeout; who asks for it
may be about to end, and waits no longer for those that have not answered yet."""


class LeadershipTransfer(LeaderBase):
    """The part of a leader that deals with its own end."""

    __slots__ = ()

    def on_transfer(self, event: Transfer, until: float | None = None) -> None:
        """Make room for another member: take no more commands, and wait until it has them all.

        Then nothing is lost by the change, and nothing is left with an unknown outcome.

        until  when to refuse it, if it was postponed: a new leader has not heard yet who lives
        """
        state = self.state
        target = event.target or self.fittest()
        if target == state.peer and event.target is not None:
            state.answer(event.ticket, ("ok", target))
        elif target == state.peer and self.transfer_candidates():
            self.refuse_for_silence(event, self.transfer_candidates(), until)
        elif target not in state.others():
            state.answer(event.ticket, ("error", "no_such_member"))
        elif target in state.configuration.witnesses:
            state.answer(event.ticket, ("error", "keeps_no_state"))
        elif self.transfer is not None and self.transfer.ticket is not None:
            state.answer(event.ticket, ("error", "transfer_in_progress"))
        elif self.is_changing():
            state.answer(event.ticket, ("error", "change_in_progress"))
        elif not self.is_alive(target):
            self.refuse_for_silence(event, [target], until)
        else:
            self.begin_transfer(target, event.ticket)

    def refuse_for_silence(
        self, event: Transfer, silent: list[Address], until: float | None
    ) -> None:
        if until is None:
            until = self.state.now + HAND_OVER_S_MAX
        if not (self.may_answer_yet(silent) and self.postpone(event, until)):
            self.state.answer(event.ticket, ("error", ("peers_not_responding", silent)))

    def begin_transfer(self, target: Address, ticket: Any) -> None:
        state = self.state
        give_up_at = state.now + min(state.config.max_election_timeout, HAND_OVER_S_MAX)
        self.transfer = PendingTransfer(target, ticket, give_up_at)
        self.progress[target].owes_message = True

    def end_transfer(self, answer: Any) -> None:
        transfer, self.transfer = self.transfer, None
        if transfer is not None and transfer.ticket is not None:
            self.state.answer(transfer.ticket, answer)

    def fittest(self, match_min: int = 0) -> Address:
        """The voter with the longest log, of those the one heard last; this peer if there's none.

        Only who lives can take an office over, and has the log up to `match_min` at least.
        """
        fitness = {
            member: (progress.match, progress.heard)
            for member in self.transfer_candidates()
            if (progress := self.progress[member]).match >= match_min and self.is_alive(member)
        }
        return max(fitness, key=fitness.__getitem__, default=self.state.peer)

    def yield_to_a_quicker_disk(self) -> None:
        """Hand over to a follower that had saved all by the time this peer's slow save was done.

        Its answer waited here while the save kept this peer from reading it, and from speaking:
        one more hiccup, and the followers elect by themselves. If all disks are slow nobody is
        quicker, and the office stays where it is.
        """
        quicker = self.fittest(self.written)
        if self.transfer is None and not self.is_changing() and quicker != self.state.peer:
            self.begin_transfer(quicker, None)

    def hand_over_state(self) -> None:
        """A witness makes room for one that keeps the state, as soon as there is one.

        Also in the middle of a change: whose log begins too late for a newcomer, or for a member
        that was away, can't help it without a snapshot, and a witness has none to send.
        """
        keeper = self.fittest()
        if self.transfer is None and keeper != self.state.peer:
            self.begin_transfer(keeper, None)

    def finish_transfer(self, transfer: PendingTransfer) -> None:
        """Tell the successor to stand, once it lacks nothing (thesis 3.10).

        And once nobody waits for an answer. What nobody waits for need not be committed: to commit
        a witness's first entry it may take one whom only the successor can bring up to date.
        """
        if all(ticket is None for ticket in self.tickets):
            last_index = self.state.log.last_index
            if self.progress[transfer.target].match == last_index:
                self.state.send(self.timeout_now(transfer.target))

    def step_down(self) -> None:
        """Name a successor, and lead no more."""
        state = self.state
        successor = self.fittest()
        if successor != state.peer:
            state.send(self.timeout_now(successor))
        state.become_follower(leader=None)

    def timeout_now(self, successor: Address) -> Message:
        state = self.state
        # TimeoutNow lets its target win although followers promised to elect nobody: no lease
        # reads from here on (thesis 6.4.1).
        self.lease.broken = True
        return TimeoutNow(source=state.peer, target=successor, group=state.group, term=state.term)

    def last_messages(self) -> list[Message]:
        """Name a successor: else the others wait for an election timeout.

        Who is to follow a leader that can't save what it has sent already lacks nothing that is
        committed: it is elected by a majority like anyone (§5.4.1).
        """
        successor = self.fittest()
        return [] if successor == self.state.peer else [self.timeout_now(successor)]
