"""PeerReplay: judges each line of one peer by the peer's state before the line.

The rules here need no other peer's trace. The leaders, entries and messages of the lines go to the
cluster, which compares them with those of the other peers.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from raft_actors.core.server import TERMS_AT_ONCE
from raft_actors.names import Address
from raft_actors.tools.trace_check import elections, log_rules
from raft_actors.tools.trace_check.files import Line, Run, address
from raft_actors.tools.trace_check.log_view import ConfigurationLine, LogView, entries_of, is_group
from raft_actors.tools.trace_check.peer_state import Message, PeerState
from raft_actors.tools.trace_check.restart import check_loaded
from raft_actors.tools.trace_check.rules import TraceLine, Violation
from raft_actors.tools.trace_check.sent import check_sent

__all__ = ["PeerReplay"]

STATE = ("term", "vote", "role", "leader", "commit", "base", "last", "last_term", "configuration",
         "group")  # fmt: skip

CLAIMS = {"AppendEntries", "InstallSnapshot", "RequestVote", "TimeoutNow"}
"""Messages that claim their term. The others are answers."""
FOUNDING = ("role", "leader")
"""The fields that change when a founder gives up, because a message says that its name belongs to
another data directory."""


class PeerReplay(PeerState):
    """Replays the runs of one peer, line by line."""

    accepted: tuple[int, int]
    applied: int
    asks_for_state: bool
    ballot: tuple[int, Any]
    before: dict[str, Any]
    disk: LogView
    ended: bool
    heard: float
    place: TraceLine
    voters: ConfigurationLine | None
    what: dict[str, Any]

    def replay(self, run: Run) -> None:
        """Judge a run. Raises Violation at the first line that breaks a rule."""
        for number, line in enumerate(run.lines, 1):
            if line.what["n"] != number:
                raise Violation(
                    "whole", line.place, f"line {line.what['n']} where {number} was expected"
                )
            self.place, self.what = line.place, line.what
            try:
                self.take(line)
                if number > 1:
                    self.judge_group()
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise Violation("whole", line.place, f"a field is missing: {error!r}") from error
            self.before = line.what
        self.ended = run.ended

    def take(self, line: Line) -> None:
        what = line.what
        event = what["event"]
        if event == "start":
            self.start(what)
            return
        if "raised" in what:
            self.fail("no_exception", what["raised"])
        if self.begins_a_batch(what):
            self.promised.clear()
        if event == "receive":
            self.receive(what["message"])
        elif event == "step":
            self.step(what["what"])
        else:
            for name in STATE:
                if what[name] != self.before[name]:
                    self.fail("calm", f"{name} became {what[name]}, from {self.before[name]}")
            if event not in EFFECTS:
                self.fail("whole", f"an event {event!r}, which this version does not know")
            EFFECTS[event](self, what)

    def judge_group(self) -> None:
        before, now = self.before["group"], self.what["group"]
        if now == before:
            return
        message = self.what.get("message", {})
        founded = now == self.log.group and self.commit
        joined = message.get("group") == now and (
            message.get("commit") or message["kind"] == "InstallSnapshot"
        )
        if before or not (founded or joined):
            self.fail("group_kept", f"its group became {now!r}, from {before!r}")

    def begins_a_batch(self, what: dict[str, Any]) -> bool:
        """Return whether all effects of the events before are in the trace. An event `Written` is
        part of the batch before it.
        """
        events = {"receive", "step"}
        if what["event"] not in events or self.before["event"] in events:
            return False
        return what["event"] == "receive" or bool(what["what"]["kind"] != "Written")

    # A run begins.

    def start(self, what: dict[str, Any]) -> None:
        loaded = LogView(what["base"], what["base_term"])
        loaded.replace(what["base"] + 1, what["entries"])
        if what.get("configured"):
            loaded.configurations[what["configuration"]] = what["configured"]
        is_forced = self.known and "" != self.before["group"] != what["group"] != ""
        # Otherwise `raft-actors recover force-configuration` has changed its directory meanwhile.
        if self.known and self.incarnation == what["incarnation"] and not is_forced:
            check_loaded(self, loaded, (what["term"], what["vote"]), what["owed"][1])
        self.begin_run(loaded, what)
        log_rules.check_log(self, what)
        self.cluster.entries(self, loaded.base + 1, self.log)

    # Events.

    def receive(self, message: Message) -> None:
        before, what = self.before, self.what
        kind, source = message["kind"], address(message["source"])
        if address(message["target"]) != self.address:
            self.fail("received", f"a message for {message['target']}")
        if message["target_incarnation"] not in (0, self.incarnation):
            founded = self.before.get("founding") and not what.get("founding")
            self.unchanged("other_incarnation", f"a {kind} for another data directory",
                           but=FOUNDING if founded else ())  # fmt: skip
            return
        if self.is_of_another_group(message):
            self.unchanged("other_group", f"a {kind} of group {message['group']!r}")
            return
        if self.is_outsiders(message, source):
            self.unchanged("outsider", f"a {kind} of {source}, which is no member")
            return
        if kind == "RequestPreVote":
            self.unchanged("pre_vote_harmless", f"asked by {source}")
            elections.note_pre_vote_request(self, message, source)
            return
        if message["term"] < before["term"]:
            if kind != "PreVoteReply":
                self.unchanged("older_term", f"a {kind} of term {message['term']}")
                return
        elif message["term"] > before["term"]:
            if kind == "RequestVote" and not message["forced"] and self.hears_a_leader():
                self.unchanged("sticky", f"{source} asked for a vote in term {message['term']}")
                return
            if kind not in CLAIMS and what["term"] == before["term"] and self.is_stranger(source):
                self.unchanged("newer_term", f"a {kind} of {source}, which it has asked nothing")
                return
            accepted = min(message["term"], before["term"] + TERMS_AT_ONCE)
            if what["term"] < accepted:
                self.fail("newer_term", f"a {kind} of term {message['term']} is ignored")
            self.heard = -inf
            if accepted < message["term"]:
                self.moved(accepted)
                return
        if kind in RECEIVED:
            RECEIVED[kind](self, message, source)
        self.moved(max(message["term"], before["term"]), asked_by=message)

    def is_stranger(self, peer: Address) -> bool:
        """Return whether `peer` is no member, as far as this peer knows. Answers of such a peer are
        ignored, because it is asked nothing.
        """
        known = self.before.get("founding") or self.log.configuration
        everyone = [*known["members"], *known["learners"], *known["old"]] if known else []
        return list(peer) not in everyone

    def is_outsiders(self, message: Message, source: Address) -> bool:
        """Return whether this is a claim of a peer that is no member, while there is a leader."""
        before = self.before
        return (
            message["kind"] in CLAIMS
            and message["term"] >= before["term"]
            and before["leader"] != list(source)
            and self.is_stranger(source)
            and self.hears_a_leader()
        )

    def is_of_another_group(self, message: Message) -> bool:
        """Return whether the message must change nothing, because it is of another group. For a
        member these are messages with another group id, and a founder's requests for votes; for a
        founder, messages of a founder that names other members.
        """
        group, theirs = self.before["group"], message["group"]
        if group and theirs != group:
            return is_group(theirs) or message["kind"] == "RequestVote"
        founding = self.before.get("founding")
        return bool(founding and theirs and not is_group(theirs) and theirs != founding["group"])

    def step(self, event: dict[str, Any]) -> None:
        leader = self.before["leader"]
        if event["kind"] == "NodeLost" and leader is not None and leader[1] == event["node"]:
            self.heard = -inf
        if event["kind"] == "SnapshotTaken":
            self.snapshot_taken(event["snapshot"])
        elif event["kind"] == "Reseed":
            self.asks_for_state = True
        elif event["kind"] == "SnapshotInstalled":
            self.snapshot_installed(event["snapshot"])
        self.moved(self.before["term"])

    def snapshot_taken(self, snapshot: dict[str, Any]) -> None:
        base = self.what["base"]
        if not base <= snapshot["index"] <= self.applied:
            self.fail(
                "snapshot", f"a snapshot of entry {snapshot['index']}, applied are {self.applied}; "
                f"the log begins after {base}",
            )  # fmt: skip
        self.log.compact(base)
        self.disk.compact(base)

    def snapshot_installed(self, snapshot: dict[str, Any]) -> None:
        index, term = snapshot["index"], snapshot["term"]
        is_old = index <= self.commit and not self.asks_for_state
        self.asks_for_state = False
        if (index, term) not in self.offered or is_old:
            self.fail(
                "snapshot", f"a snapshot of entry {index} that no leader sent, or that is old"
            )
        if index <= self.commit:  # only the state is replaced
            self.log.compact(self.what["base"])
            self.disk.compact(self.what["base"])
            self.applied = index
            return
        self.log.install(snapshot)
        if self.disk.term_at(index) == term:
            self.disk.compact(index)
        self.commit = self.applied = index
        self.accepted = max(self.accepted, (self.before["term"], index))

    def install_snapshot(self, message: Message, source: Address) -> None:
        self.note_leader(message, source)
        self.offered.add((message["index"], message["last_term"]))
        if message["index"] <= self.commit:
            # The leader has all that is committed (§5.4).
            self.accepted = max(self.accepted, (message["term"], self.commit))

    def note_leader(self, message: Message, source: Address) -> None:
        what, term = self.what, message["term"]
        if what["term"] != term or what["role"] != "follower" or what["leader"] != list(source):
            self.fail("newer_term", f"{source} leads term {term}, but is not followed")
        self.cluster.leads(message["group"], term, source, self.place)
        self.heard = what["now"]

    def append_reply(self, message: Message, source: Address) -> None:
        before = self.before
        if before["role"] == "leader" and message["term"] == before["term"]:
            disk = source, message["source_incarnation"]
            self.matches[disk] = max(self.matches.get(disk, 0), message["match"])

    def append_entries(self, message: Message, source: Address) -> None:
        what = self.what
        term, prev, views = message["term"], message["prev_index"], message["entries"]
        self.note_leader(message, source)
        expected = self.log
        known = expected.term_at(prev)
        match = prev + len(views)
        commit = self.commit
        if known == message["prev_term"] or prev < expected.base or known is None:
            first = expected.extend(prev, views)
            commit = max(commit, min(message["commit"], match))
            self.accepted = max(self.accepted, (term, match))
            self.promise()
            if first <= match:
                if first <= self.commit:
                    self.fail("committed", f"committed entry {first} is replaced")
                self.cluster.entries(self, first, expected)
        log_rules.check_log(self, what, "append_taken")
        log_rules.check_entries(self, what, expected)
        if what["commit"] > commit:
            self.fail(
                "follower_commit",
                f"commit {what['commit']}: the leader's is {message['commit']}, and the request "
                f"proves the log up to {match}",
            )

    # What any event may lead to.

    def moved(self, highest_term: int, asked_by: Message | None = None) -> None:
        """Judge how the state changed.

        highest_term  the highest term that this peer knows
        asked_by      the message that caused the change, if there is one
        """
        what = self.what
        self.voters = self.before.get("founding") or self.log.configuration
        elections.judge_term(self, highest_term)
        elections.judge_vote(self, asked_by)
        if what["role"] != "pre_candidate":
            self.promises.clear()
        elected = what["role"] == "leader" and not self.led_before()
        if elected:
            elections.judge_election(self)
        if asked_by is None or asked_by["kind"] != "AppendEntries":
            log_rules.judge_own_entries(self)
        if elected:
            self.cluster.elected(self, what["term"], self.log)
        if what["role"] != "follower":
            self.heard = -inf
        log_rules.judge_commit(self, asked_by)

    def led_before(self) -> bool:
        before = self.before
        return bool(before["role"] == "leader" and before["term"] == self.what["term"])

    def unchanged(self, rule: str, detail: str, but: tuple[str, ...] = ()) -> None:
        what = self.what
        for name in STATE:
            if what[name] != self.before[name] and name not in but:
                self.fail(rule, f"{detail}: {name} became {what[name]}, from {self.before[name]}")
        if "entries" in what:
            self.fail(rule, f"{detail}: the log changed")

    # Effects.

    def on_send(self, what: dict[str, Any]) -> None:
        check_sent(self, what["message"])

    def on_save(self, what: dict[str, Any]) -> None:
        first, views = what["first"], what["entries"]
        if "restart" in what:
            self.disk = LogView(*what["restart"])
            self.disk.configurations = dict(self.log.configurations)
        if views:
            if self.log.between(first, first + len(views) - 1) != entries_of(views):
                self.fail("saved_log", f"entries that are not those of the log, from {first}")
            if first > self.disk.last + 1:
                self.fail("saved_log", f"entry {first} after {self.disk.last}")
            self.disk.replace(first, views)
        ballot = what["ballot"]
        if ballot is not None:
            self.ballot = ballot[0], ballot[1]
        if self.ballot != (what["term"], what["vote"]):
            self.fail(
                "vote_durable",
                f"term and vote are {what['term']}, {what['vote']}; saved are {self.ballot}",
            )
        if self.disk.last != self.log.last:
            self.fail("saved_log", f"the log ends at {self.log.last}; saved {self.disk.last}")

    def on_apply(self, what: dict[str, Any]) -> None:
        if what["first"] != self.applied + 1:
            self.fail("applied", f"entry {what['first']} after {self.applied}")
        if what["through"] > self.commit:
            self.fail("applied", f"entry {what['through']}; committed is {self.commit}")
        self.applied = what["through"]

    def on_end(self, what: dict[str, Any]) -> None:
        """The end of a run changes nothing here; `Run.ended` records it."""


RECEIVED: dict[str, Callable[[PeerReplay, Message, Address], None]] = {
    "PreVoteReply": elections.note_promise,
    "VoteReply": elections.note_vote,
    "TimeoutNow": elections.note_timeout_now,
    "AppendEntries": PeerReplay.append_entries,
    "AppendReply": PeerReplay.append_reply,
    "InstallSnapshot": PeerReplay.install_snapshot,
}
EFFECTS: dict[str, Callable[[PeerReplay, dict[str, Any]], None]] = {
    "send": PeerReplay.on_send,
    "save": PeerReplay.on_save,
    "apply": PeerReplay.on_apply,
    "end": PeerReplay.on_end,
}
