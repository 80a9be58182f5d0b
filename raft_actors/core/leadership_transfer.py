"""Leadership transfer: how a leader hands the leadership over to another member (thesis 3.10)."""

from typing import Any

from raft_actors.core.lead_grants import LeadGrants
from raft_actors.core.leader_base import PendingTransfer
from raft_actors.core.messages import Message, TimeoutNow, Transfer
from raft_actors.names import Address

__all__ = ["LeadershipTransfer"]

HAND_OVER_S_MAX = 1.0
"""Longest time of a transfer, seconds. It is short, also with a long election timeout, because
commands are refused meanwhile. A request for a transfer is also postponed no longer than that,
because the node that sends it may be about to end."""


class LeadershipTransfer(LeadGrants):
    """The part of a leader that ends its own leadership."""

    __slots__ = ()

    def on_transfer(self, event: Transfer, until: float | None = None) -> None:
        """Begin to hand over to another member: take no more commands, and wait until the target
        has all entries.

        So no command gets an unknown outcome by the change of leaders.

        until  when to refuse the request, if it was postponed because a new leader does not know
               yet which members are alive; None at the first call
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
        elif target in state.digests.compared.wrong():
            state.answer(event.ticket, ("error", "diverged"))
        elif self.transfer is not None and self.transfer.ticket is not None:
            state.answer(event.ticket, ("error", "transfer_in_progress"))
        elif self.is_changing():
            state.answer(event.ticket, ("error", "change_in_progress"))
        elif not self.is_alive(target):
            self.refuse_for_silence(event, [target], until)
        elif not self.may_hand_over():
            self.await_grants(event)
        else:
            self.begin_transfer(target, event.ticket)

    def refuse_for_silence(
        self, event: Transfer, silent: list[Address], until: float | None
    ) -> None:
        if until is None:
            until = self.state.now + HAND_OVER_S_MAX
        if not (self.may_answer_yet(silent) and self.postpone(event, until)):
            self.state.answer(event.ticket, ("error", ("peers_not_responding", silent)))

    def await_grants(self, event: Transfer) -> None:
        """Postpone the transfer until the grants are returned. Meanwhile the leader takes commands:
        what runs by the grants may need some to come to an end.
        """
        assert self.recalled_until is not None, "the grants were recalled"
        if not self.postpone(event, self.recalled_until):
            self.state.answer(event.ticket, ("error", "transfer_in_progress"))

    def begin_transfer(self, target: Address, ticket: Any) -> None:
        state = self.state
        give_up_at = state.now + min(state.config.max_election_timeout, HAND_OVER_S_MAX)
        self.transfer = PendingTransfer(target, ticket, give_up_at)
        self.progress[target].owes_message = True

    def end_transfer(self, answer: Any) -> None:
        transfer, self.transfer = self.transfer, None
        if transfer is not None and transfer.ticket is not None:
            self.state.answer(transfer.ticket, answer)

    def fittest(self, match_min: int = 0, *, needy: bool = False) -> Address:
        """Return the voter with the longest log; of several, the one that answered last. Only
        voters count that are alive, keep a state and have the log up to `match_min`. If there is
        none, return this peer.
        """
        fitness = {
            member: (progress.match, progress.heard)
            for member in self.transfer_candidates(needy=needy)
            if (progress := self.progress[member]).match >= match_min and self.is_alive(member)
        }
        return max(fitness, key=fitness.__getitem__, default=self.state.peer)

    def yield_to_a_quicker_disk(self) -> None:
        """Hand over to a follower that had saved all entries before this peer's slow save returned.

        During a save this peer reads no message and sends no heartbeat, so a longer save would let
        the followers start an election. If all disks are slow, there is no such follower, and this
        peer stays the leader.
        """
        quicker = self.fittest(self.written)
        is_busy = self.transfer is not None or self.recalled_until is not None
        if not is_busy and quicker != self.state.peer:
            self.on_transfer(Transfer(quicker, None))

    def hand_over_state(self) -> None:
        """Hand over from a peer without a state to a member with one, as soon as one is alive.

        A witness does so even during a change of members: a newcomer, or a member that was away,
        may need a snapshot, and a witness has none to send. If nobody else is left, it hands over
        to a member that asks for another state: when nobody can give it one, that member goes on
        with the state that it has.
        """
        keeper = self.fittest()
        if keeper == self.state.peer and self.state.is_witness:
            keeper = self.fittest(needy=True)
        if self.transfer is None and keeper != self.state.peer and self.may_hand_over():
            self.begin_transfer(keeper, None)

    def finish_transfer(self, transfer: PendingTransfer) -> None:
        """Send TimeoutNow to the target, once it has the whole log (thesis 3.10) and no client
        waits for an answer.

        Entries without a waiting client need not be committed before. A witness may not be able to
        commit its first entry: the majority may need a member that lacks entries which only the
        target, with its snapshot, can send.
        """
        if all(ticket is None for ticket in self.tickets):
            last_index = self.state.log.last_index
            if self.progress[transfer.target].match == last_index:
                self.state.send(self.timeout_now(transfer.target))

    def step_down(self) -> None:
        """Send TimeoutNow to a successor, and become a follower."""
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
        return TimeoutNow(
            source=state.peer, target=successor, group=state.group, term=state.term,
            released=self.released(),
        )  # fmt: skip

    def last_messages(self) -> list[Message]:
        """Return a TimeoutNow for a successor, so that the others need not wait for an election
        timeout.

        That is safe also if this leader ends because it can't save entries that it has sent
        already: the successor must win the votes of a majority like every candidate, so it has all
        committed entries (§5.4.1).
        """
        successor = self.fittest()
        return [] if successor == self.state.peer else [self.timeout_now(successor)]
