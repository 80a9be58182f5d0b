"""Reconfiguration: how a leader changes the members, or the version that the machines run as."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import CONFIG, VERSION, version_bytes
from raft_actors.core.lead_grants import LeadGrants
from raft_actors.core.membership_change import CATCH_UP_TIMEOUTS, MembershipChange
from raft_actors.core.messages import Configure, RequestPreVote
from raft_actors.names import Address

__all__ = ["REMOVED_MAX", "Reconfiguration"]

REMOVED_MAX = 16
"""A removed peer that asks for pre-votes is sent the log, unless so many removed peers are sent it
already. The others ask again later."""


class Reconfiguration(LeadGrants):
    """The part of a leader that changes configurations and machine versions (§6; thesis 4)."""

    __slots__ = ()

    def on_configure(self, event: Configure, until: float | None = None) -> None:
        """Begin a change of members, unless the group has these members already or there is an
        objection.

        A request for the present members calls off a change that still waits for its newcomers.

        until  when to refuse the request, if it was postponed, see `passes_soon`; None at the first
               call
        """
        state = self.state
        in_force = state.configuration
        target = in_force.changed(
            members=event.members, learners=event.learners, witnesses=event.witnesses
        )
        as_it_is = target.is_like(in_force)
        if as_it_is and event.expected in (None, in_force.index) and not event.dry_run:
            self.call_off()
        problem = self.objection(event, target, as_it_is=as_it_is)
        if problem is not None:
            if until is None:
                until = state.now + state.config.max_election_timeout
            passes = self.passes_soon(problem, as_it_is=as_it_is)
            if not (passes and self.postpone(event, until)):
                state.answer(event.ticket, ("error", problem))
        elif event.dry_run:
            state.answer(event.ticket, ("ok", target.settled()))
        elif as_it_is:
            state.answer(event.ticket, ("ok", in_force))
        else:
            newcomers = set(target.members) - {*in_force.members, state.peer}
            self.watch(newcomers)
            self.change = MembershipChange(
                target, event.ticket, newcomers, goal=state.log.last_index, now=state.now
            )
            self.advance(self.change)

    def objection(self, event: Configure, target: Configuration, *, as_it_is: bool) -> Any:
        """Return the reason to refuse the change, or None."""
        state = self.state
        in_force = state.configuration
        if set(event.members) <= set(target.witnesses):
            return "no_members"
        changing = target.changes_parts(in_force)
        if changing:
            return ("remove_first", changing)
        if self.transfer is not None or self.is_removed():
            return "election_in_progress"
        if event.expected not in (None, in_force.index):
            return ("configuration_changed", in_force.index)
        if self.is_in_doubt() or (self.change is not None and not as_it_is):
            return "change_in_progress"
        if as_it_is:
            return None
        newcomers = set(target.members).difference(in_force.everyone)
        return self.would_lose_quorum(target, newcomers)

    def would_lose_quorum(
        self, target: Configuration, newcomers: Iterable[Address] = ()
    ) -> tuple[str, list[Address]] | None:
        """Return the silent voters, if a joint configuration to `target` could not commit without
        them; else None.

        A voter is silent if it has not answered lately in this term. A voter also counts as silent
        if its acknowledgement would not count, because it has another data directory than the one
        in the configuration or has not named one. `newcomers` are not judged here, because they
        have to catch up first.
        """
        state = self.state
        heard_since = state.now - state.config.max_election_timeout
        would_be = target.bound(self.heard_incarnations())
        silent = [
            peer
            for peer, progress in self.progress.items()
            if would_be.votes(peer)
            and peer not in newcomers
            and (
                progress.heard < heard_since
                or peer in self.amnesiacs
                or not would_be.counts(peer, progress.incarnation)
            )
        ]
        if would_be.has_quorum({*would_be.members, *would_be.old}.difference(silent)):
            return None
        return ("would_lose_quorum", silent)

    def passes_soon(self, problem: Any, *, as_it_is: bool) -> bool:
        """Tell whether the problem will probably pass soon, so that the change is postponed, for an
        election timeout at most, and not refused.

        That is so if the uncommitted entry is not of a client's change, but the first entry of the
        term or an entry that adds data directories; and if a new leader has not yet had the time to
        receive answers of all living members.
        """
        match problem:
            case "change_in_progress":
                return as_it_is or (self.change is None and not self.state.configuration.old)
            case ("would_lose_quorum", silent):
                return self.may_answer_yet(silent)
        return False

    def call_off(self) -> None:
        """Give up the change if its configuration is not in the log yet."""
        if self.change is not None and not self.change.appended:
            self.give_up(self.change, "called_off")

    def give_up(self, change: MembershipChange, reason: Any) -> None:
        self.change = None
        self.watch(())
        self.state.answer(change.ticket, ("error", reason))

    def is_in_doubt(self) -> bool:
        """Return whether the configuration is joint or not known to be committed.

        A configuration of an earlier term counts as not committed until this term's first entry
        commits. Otherwise two leaders could count configurations as committed whose majorities have
        no common member (thesis 4.1, and its erratum).
        """
        in_force = self.state.configuration
        return bool(in_force.old) or max(in_force.index, self.first) > self.state.commit_index

    def is_unsettled(self) -> bool:
        """Return whether a change is going on: the next one has to wait (§6)."""
        return self.change is not None or self.is_in_doubt()

    def learn_incarnations(self) -> None:
        """Append a configuration with the data directories that have answered and are not in it
        yet. That is a change like every other.

        A member that has lost entries which it had acknowledged is handled in two steps: first its
        data directory is taken out of the configuration, then it is put in again. In between the
        member counts in no quorum, so everything that is committed then is saved by a majority
        without it.
        """
        state = self.state
        if self.is_unsettled() or self.transfer is not None:
            return
        known = state.configuration
        if self.amnesiacs.intersection(dict(known.incarnations)):
            learned = known.unbound(self.amnesiacs)
        else:
            self.amnesiacs.clear()
            learned = known.bound(self.heard_incarnations())
        if learned.incarnations != known.incarnations:
            self.append_configuration(learned, None)
            self.commit()

    def heard_incarnations(self) -> dict[Address, int]:
        """The incarnations of the peers that have answered, and of this peer."""
        heard = {peer: progress.incarnation for peer, progress in self.progress.items()}
        return {**heard, self.state.peer: self.state.incarnation}

    def advance(self, change: MembershipChange) -> None:
        """Append the configuration of the change, if all newcomers have caught up with the log."""
        state = self.state
        for peer, race in list(change.racing.items()):
            if race.keeps_up(
                self.progress[peer],
                last_index=state.log.last_index,
                now=state.now,
                within=state.config.min_election_timeout,
            ):
                del change.racing[peer]
        if change.racing:
            return
        target = change.target.bound(self.heard_incarnations())
        if problem := self.would_lose_quorum(target):  # voters may have failed meanwhile
            self.give_up(change, problem)
            return
        if state.peer not in target.members and not self.may_hand_over():
            return  # called again when the grants are returned, and at each heartbeat
        change.appended = True
        if target.old:
            self.append_configuration(target, None)
        else:
            self.change = None
            self.append_configuration(target, change.ticket)
        self.commit()

    def give_up_on_the_slow(self, change: MembershipChange) -> None:
        """End a change whose newcomers don't answer, or don't catch up (thesis 4.2.1). A newcomer
        that can't be sent an entry because of its size makes no progress, but answers: it is called
        too slow, not silent.
        """
        still = change.silent(now=self.state.now, timeout=self.timeout)
        if silent := [peer for peer in still if peer not in self.stuck]:
            self.give_up(change, ("peers_not_responding", silent))
        elif slow := still or change.too_slow():
            self.give_up(change, ("newcomers_too_slow", slow))

    def settle(self) -> None:
        """Append the configuration that follows a committed joint one, whichever leader began the
        change (§6).
        """
        configuration = self.state.configuration
        if configuration.old and configuration.index <= self.state.commit_index:
            change, self.change = self.change, None
            self.append_configuration(configuration.settled(), change and change.ticket)
            self.commit()

    def set_grant_time(self, grant_ms: int) -> bool:
        """Append a configuration with this grant time, if it has another; return False if that has
        to wait for a change that is going on.

        A shorter time is safe, because older leaders' grants were over before this leader gave its
        first one; the caller counts its own grants.
        """
        known = self.state.configuration
        if known.grant_ms != grant_ms:
            if self.is_unsettled():
                return False
            changed = replace(known, grant_ms=grant_ms, previous=known.index)
            self.append_configuration(changed, None)
        return True

    def append_configuration(self, configuration: Configuration, ticket: Any) -> None:
        self.append(CONFIG, configuration.encode(), ticket)
        self.watch(())

    @property
    def timeout(self) -> float:
        """How long the leader waits for a peer that does not answer, seconds."""
        return CATCH_UP_TIMEOUTS * self.state.config.max_election_timeout

    def watch(self, newcomers: Iterable[Address]) -> None:
        """Send the log to everyone in the configuration and to `newcomers`. All other peers that
        were sent it so far have been removed: they are sent the log until they know that.
        """
        state = self.state
        voters = state.voters
        wanted = {*voters.everyone, *newcomers} - {state.peer}
        for peer in wanted & self.removed.keys():  # a member again, maybe with another disk
            del self.removed[peer], self.progress[peer]
        for peer in sorted(wanted - self.progress.keys()):
            self.progress[peer] = self.progress_of(peer)
        for peer in self.progress.keys() - wanted:
            self.removed.setdefault(peer, state.now + self.timeout)
        for peer, progress in self.progress.items():
            progress.incarnation = progress.incarnation or voters.incarnation_of(peer)
            progress.is_counted = self.counts(peer, progress)
        self.measure()

    def on_stranger(self, request: RequestPreVote) -> None:
        """Refuse the pre-vote. If the sender is of this group but no member any more, it was away
        when it was removed: it is sent the log now, so that it learns of the removal and stops
        asking for votes.
        """
        state, peer = self.state, request.source
        self.on_pre_vote_request(request)
        is_told = peer in self.progress or len(self.removed) >= REMOVED_MAX
        if request.group == state.group and not is_told:
            self.progress[peer] = self.progress_of(peer)
            self.removed[peer] = state.now + self.timeout

    def forget_who_left(self) -> None:
        """Send nothing more to a removed peer that has the configuration without it and knows that
        this is committed, or to which `timeout` has passed.
        """
        known = self.state.configuration.index
        for peer, until in list(self.removed.items()):
            if self.state.now > until:
                del self.removed[peer], self.progress[peer]
            elif min(self.progress[peer].match, self.state.commit_index) >= known:
                self.removed[peer] = min(until, self.state.now)  # after this heartbeat

    # The version that the group's machines run as.

    def move_version(self) -> None:
        """Append the move to the newest version that the state machines of all members can run as.

        It must be all members, with the learners, and not only a majority, because a member without
        that version would have to stop. The move is an entry of the log, so each replica makes it
        between the same two commands. A new leader first waits until its first entry commits,
        because a move by an earlier leader may not be committed yet.
        """
        state = self.state
        if not self.may_move_version() or state.commit_index < self.first or self.transfer:
            return
        others = {*state.voters.everyone} - {state.peer}
        newest = state.machine_version_max
        for other in others:
            newest = min(newest, self.progress[other].machine_version_max)
        if newest > max(self.machine_version, state.machine_version):
            self.append_version(newest)

    def may_move_version(self) -> bool:
        state = self.state
        return state.machine_version_max > max(self.machine_version, state.machine_version)

    def append_version(self, version: int) -> None:
        self.machine_version = version
        self.append(VERSION, version_bytes(version), None)
