"""Checker: checks what must hold after every step. Each check looks only at what the step changed.

Raft's Figure 3: a term has one leader; a leader only appends; logs that agree on an entry agree on
all entries before it; a leader has all committed entries; no two replicas apply different commands
at an index. And properties of this library: no peer promises what is not on its disk, no peer votes
twice in a term, committed entries are on the disks of a quorum. `AnswerChecker` checks the answers
to clients.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

from raft_actors import encoding
from raft_actors.core.configuration import NOBODY, Configuration
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    VERSION,
    first_damaged,
    kind_of,
    payload_of,
    request_of,
    term_of,
    version_of,
)
from raft_actors.core.messages import AppendEntries, AppendReply, Message, RequestVote, VoteReply
from raft_actors.machine.sessions import FORGOTTEN, said_in
from raft_actors.names import Address
from raft_actors.stores.log_store import StoredBallot
from raft_actors.testing.simulation.answer_checker import AnswerChecker
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checked import CheckedPeer, CheckedWorld
from supervision.foreign import text_of

__all__ = ["Checker"]


class Checker:
    """What is known of a world: the committed entries, the votes, the outcome of each command.

    committed      the entries that some peer has committed, from index 1 on
    committed_in   for each of them, the term of the first peer that committed it
    commands       the indexes of those that are commands
    outcomes       the outcome of each command by its index: reply, state, and the first peer
    sessions       the sessions after each command by its index, and the first peer
    effects        the effects of each command by its index, and the first peer
    duties         the timers and the outbox after each command, and the first peer
    moves          the indexes at which machines were upgraded to another version
    configuration  the newest committed configuration
    answers        the requests of clients and their answers
    """

    def __init__(self, world: CheckedWorld) -> None:
        self.world = world
        self.committed: list[bytes] = []
        self.committed_in: list[int] = []
        self.commands: list[int] = []
        self.answers: AnswerChecker = AnswerChecker()
        self.leader_of: dict[int, str] = {}
        self.vote_of: dict[tuple[str, int, int], str] = {}
        self.written: dict[tuple[int, int], tuple[bytes, int]] = {}
        self.ballots: dict[str, StoredBallot] = {}
        self.outcomes: dict[int, tuple[bytes, Any, str]] = {}
        self.sessions: dict[int, tuple[int, list[Any], str]] = {}
        self.duties: dict[int, tuple[list[Any], str]] = {}
        self.configuration: Configuration = NOBODY
        self.moves: set[int] = set()
        self.effects: dict[int, tuple[list[Any], str]] = {}

    # After a step of `peer`.

    def look(self, peer: CheckedPeer) -> None:
        core = peer.core
        if core.commit_index != peer.seen:
            self.note_commit(peer)
        if core.role.name == "leader" and self.leader_of.get(core.term) != peer.name:
            self.note_leader(peer)

    def note_leader(self, peer: CheckedPeer) -> None:
        """A term has one leader (§5.2), and it has all entries committed before its term (§5.4)."""
        term = peer.core.term
        self.note_leader_of(term, peer.name)
        known = bisect_left(self.committed_in, term)
        log = peer.core.log
        base = log.base
        if log.last_index < known or (
            base < known and log.between(base + 1, known) != self.committed[base:known]
        ):
            raise Broken(
                f"{peer.name} leads term {term} without all of the entries 1 to {known}, "
                "which were committed in older terms (§5.4, leader completeness)"
            )

    def note_leader_of(self, term: int, name: str) -> None:
        first = self.leader_of.setdefault(term, name)
        if first != name:
            raise Broken(f"{first} and {name} both lead term {term} (§5.2, election safety)")

    def note_commit(self, peer: CheckedPeer) -> None:
        """What a peer takes for committed is what every other does, and on a quorum's disks."""
        seen, commit, committed = peer.seen, peer.core.commit_index, self.committed
        if commit < seen:
            raise Broken(f"{peer.name}'s commit index fell from {seen} to {commit}")
        peer.seen = commit
        seen = max(seen, peer.core.log.base)  # what a snapshot stands for, `restored` looks at
        entries = peer.core.log.between(seen + 1, commit) if seen < commit else []
        known = committed[seen:commit]
        if entries[: len(known)] != known:
            index = next(n for n, (a, b) in enumerate(zip(entries, known, strict=False)) if a != b)
            raise Broken(
                f"{peer.name} takes another entry for committed at index {seen + 1 + index} than "
                f"was committed there (§5.4.3, state machine safety)"
            )
        for frame in entries[len(known) :]:
            committed.append(frame)
            self.committed_in.append(peer.core.term)
            if kind_of(frame) == COMMAND:
                self.commands.append(len(committed))
                self.answers.note_committed(request_of(frame), len(committed))
            elif kind_of(frame) == CONFIG:
                self.configuration = Configuration.decode(payload_of(frame), len(committed))
                self.world.witnesses.update(name for name, _node in self.configuration.witnesses)
        if len(known) < len(entries):
            self.check_quorum_holds(peer, commit)

    def check_quorum_holds(self, peer: CheckedPeer, index: int) -> None:
        """Committed is what a quorum has on disk: on the disks that are the members'."""
        holders: list[Address] = []
        for configuration in self.in_force(peer, index):
            holders = [each for each in configuration.everyone
                       if self.holds(each, configuration, index)]  # fmt: skip
            if configuration.has_quorum(holders):
                return
        raise Broken(
            f"{peer.name} takes entry {index} for committed, and only "
            f"{', '.join(name for name, _node in holders) or 'nobody'} has it on disk (§5.3)"
        )

    def holds(self, member: Address, configuration: Configuration, index: int) -> bool:
        """Return whether the disk that this configuration knows the member by has, or had, it."""
        name, _node = member
        disk, known = self.world.disks[name], configuration.incarnation_of(member)
        if disk.incarnation == known:
            first, log = disk.store.first, disk.store.log
        else:
            first, log = self.world.former.get((name, known), (1, []))
        if self.world.rotted.get(name, {}).get(index) == self.committed[index - 1]:
            return True  # it votes for nobody who lacks it, although its disk has lost it
        place = index - first
        return place < 0 or (place < len(log) and log[place] == self.committed[index - 1])

    def in_force(self, peer: CheckedPeer, index: int) -> Iterator[Configuration]:
        """The configurations under which entry `index` may have been committed.

        The newest in the log counts from its append on (§6), so it is the last one at or before
        the entry, or one that came after it.
        """
        configuration = peer.core.configuration
        yield configuration
        while configuration.index > index:
            configuration = peer.core.configuration_at(configuration.previous)
            yield configuration

    # When a process starts.

    def check_disk(self, name: str) -> None:
        """A crash damages no entry: what was torn is not in the log. Only rot damages entries."""
        store = self.world.disks[name].store
        damaged = first_damaged(store.log, store.first)
        if damaged and damaged not in self.world.rotted.get(name, {}):
            raise Broken(
                f"entry {damaged} on the disk of {name} is not what its leader wrote, and has not "
                "rotted: of a torn batch nothing after the tear may stay in the log"
            )

    # When a disk has synced.

    def saved(
        self, name: str, ballot: StoredBallot | None, first: int, entries: list[bytes]
    ) -> None:
        if ballot is not None:
            self.check_ballot(name, ballot)
        if entries:
            disk = self.world.disks[name]
            prev_term = disk.term_before(first)
            peer = self.world.peers[name]
            for index, frame in enumerate(entries, first):
                term = term_of(frame)
                known = self.written.setdefault((index, term), (frame, prev_term))
                if known != (frame, prev_term):
                    raise Broken(
                        f"{name} has an entry {index} of term {term} that differs from another's, "
                        "or follows on one of another term (§5.3, log matching)"
                    )
                prev_term = term
            seen = peer.seen
            if first <= seen:
                fate = entries[: seen - first + 1]
                if fate != self.committed[first - 1 : first - 1 + len(fate)]:
                    raise Broken(f"{name} replaces committed entries from {first} on (§5.4.3)")
            if first + len(entries) - 1 < seen:
                raise Broken(f"{name} cuts off committed entries up to {seen} (§5.4.3)")

    def restarted(self, name: str, index: int) -> None:
        """A log that begins anew behind a snapshot loses nothing that is committed."""
        seen = self.world.peers[name].seen if name in self.world.peers else 0
        if index < seen:
            raise Broken(f"{name} begins its log anew at {index}, and had {seen} committed (§7)")

    def restored(self, peer: CheckedPeer, index: int, term: int) -> None:
        """A snapshot is the state after committed entries, on every replica the same (§7)."""
        if index > len(self.committed) or term_of(self.committed[index - 1]) != term:
            raise Broken(
                f"{peer.name} has a snapshot of entry {index}, which is not committed (§7)"
            )
        self.look_at_state(peer, index, f"from its snapshot of entry {index}",
                           "snapshot and restore must agree")  # fmt: skip

    def resumed(self, peer: CheckedPeer, index: int) -> None:
        """A state on disk is the state after some committed entry, the same as on every replica."""
        if index > len(self.committed):
            raise Broken(
                f"{peer.name} has the state after entry {index} on its disk, which is not committed"
            )
        self.look_at_state(peer, index, f"on its disk, as that after entry {index}",
                           "keep all of it in the DiskDict")  # fmt: skip

    def look_at_state(self, peer: CheckedPeer, index: int, whence: str, rule: str) -> None:
        """The state at `index` is the one after the last command, or the last move, before it."""
        peer.count = bisect_right(self.commands, index)
        changes = self.commands[: peer.count][-1:] + [move for move in self.moves if move <= index]
        if changes and (newest := max(changes)) in self.outcomes:
            state, before = self.world.picture(peer.applied.state), self.outcomes[newest][1]
            if before != state:
                raise Broken(
                    f"{peer.name} has the state {state!r} {whence}; there it was {before!r}: {rule}"
                )
        if peer.count:
            self.check_sessions(peer, self.commands[peer.count - 1])

    def check_ballot(self, name: str, ballot: StoredBallot) -> None:
        term, voted_for = ballot[:2]
        before_term, before_vote = self.ballots.get(name, (0, None))[:2]
        if term < before_term:
            raise Broken(f"{name}'s term falls from {before_term} to {term} (§5.1)")
        if term == before_term and before_vote not in (None, voted_for):
            raise Broken(f"{name} changes its vote of term {term} (§5.2)")
        self.ballots[name] = ballot

    # When a message leaves.

    def sent(self, name: str, message: Message) -> None:
        """A peer sends in a term, votes and acknowledges only what is on its disk (Figure 2)."""
        disk = self.world.disks[name]
        term = message.term
        ballot = disk.store.ballot
        if ballot[0] < term:
            raise Broken(f"{name} speaks in term {term}, and has term {ballot[0]} on disk")
        kind = type(message)
        if kind is AppendEntries:
            if self.leader_of.get(term) != name:
                core = self.world.peers[name].core
                if core.term == term and core.role.name == "leader":
                    self.note_leader(self.world.peers[name])
                else:  # it was the leader, and has received a newer term in the same batch
                    self.note_leader_of(term, name)
        elif kind is AppendReply:
            if message.match > disk.last_index:  # type: ignore[attr-defined]
                raise Broken(
                    f"{name} acknowledges entry {message.match}, and has "  # type: ignore[attr-defined]
                    f"{disk.last_index} on disk (Figure 2)"
                )
        elif kind is RequestVote:
            self.note_vote(name, term, name)
        elif kind is VoteReply and message.granted:  # type: ignore[attr-defined]
            target = message.target
            self.note_vote(name, term, target[0])
            if ballot[0] == term and ballot[1] != target:
                raise Broken(f"{name} gives a vote in term {term} that is not on its disk")

    def note_vote(self, name: str, term: int, candidate: str) -> None:
        disk = self.world.disks[name].incarnation
        first = self.vote_of.setdefault((name, disk, term), candidate)
        if first != candidate:
            raise Broken(f"{name} votes for {first} and {candidate} in term {term} (§5.2)")

    # When a command is applied.

    def applied(self, peer: CheckedPeer, index: int, command: bytes, reply: bytes) -> None:
        """Each committed command is applied once, in order, with one outcome on all replicas
        (§2).
        """
        if index > len(self.committed) or index > peer.seen:
            self.note_commit(peer)
        commands, count = self.commands, peer.count
        if count >= len(commands) or commands[count] != index:
            raise Broken(f"{peer.name} applies entry {index} out of order, or again")
        peer.count += 1
        if payload_of(self.committed[index - 1]) != command:
            raise Broken(f"{peer.name} applies another command at {index} than is committed there")
        state = self.world.picture(peer.applied.state)
        known = self.outcomes.setdefault(index, (reply, state, peer.name))
        reply_before, state_before, who = known
        if FORGOTTEN in (reply, reply_before):
            reply_before = reply  # a restarted peer has forgotten the reply: that is allowed
        if reply_before != reply or state_before != state:
            what = f"command {text_of(encoding.loads(command))} at {index}"
            here = f"{text_of(said_in(reply))} with state {state!r}"
            there = f"{text_of(said_in(reply_before))} with state {state_before!r}"
            if who == peer.name:
                raise Broken(
                    f"replicas differ after {what}: {who}, started again, replies {here}; before "
                    f"it replied {there}: something outside the state counts"
                )
            raise Broken(
                f"replicas differ after {what}: {peer.name} replies {here}, {who} replied {there}"
            )
        self.check_sessions(peer, index)

    def check_sessions(self, peer: CheckedPeer, index: int) -> None:
        """All replicas have the same time, sessions, timers and messages in the outbox after a
        command, the sessions in the same order: the first one expires first (thesis 6.3). Which
        replies they know may differ, see `Sessions.pass_over`.
        """
        table = peer.applied.sessions
        sessions = [
            table.limits,
            *((number, each.used_ms, each.newest) for number, each in table.by_number.items()),
        ]
        now_ms, known, who = self.sessions.setdefault(index, (table.now_ms, sessions, peer.name))
        if now_ms != table.now_ms:
            raise Broken(
                f"replicas differ in the time after entry {index}: {peer.name} has "
                f"{table.now_ms} ms, {who} had {now_ms} ms"
            )
        if known != sessions:
            raise Broken(
                f"replicas differ in the sessions after entry {index}: {peer.name} has {sessions}, "
                f"{who} had {known}"
            )
        duties = list(peer.applied.duties.stored())
        there, who = self.duties.setdefault(index, (duties, peer.name))
        if there != duties:
            raise Broken(
                f"replicas differ in the timers and the outbox after entry {index}: {peer.name} "
                f"has {duties}, {who} had {there}"
            )

    def moved(self, peer: CheckedPeer, index: int) -> None:
        """All replicas upgrade their states at the same entry, and get the same state."""
        state = self.world.picture(peer.applied.state)
        _reply, before, who = self.outcomes.setdefault(index, (b"", state, peer.name))
        if before != state:
            raise Broken(
                f"replicas differ after they moved on to version {peer.applied.version} at {index}:"
                f" {peer.name} has the state {state!r}, {who} had {before!r}"
            )
        self.moves.add(index)

    def left_behind(self, peer: CheckedPeer) -> None:
        """A group moves to a newer version only when every member can run it. So a peer that can't
        run it was no member then, or it was a member when the group was formed with the founder's
        version.
        """
        has = peer.applied.machine.version
        for index, frame in enumerate(self.committed, 1):
            kind = kind_of(frame)
            if kind == CONFIG:
                configuration = Configuration.decode(payload_of(frame), index)
            elif kind == VERSION and version_of(frame) > has:
                if index > 2 and peer.address in configuration.everyone:
                    raise Broken(
                        f"{peer.name} is a member, and can't follow its group to version "
                        f"{version_of(frame)} at entry {index}"
                    )
                return
