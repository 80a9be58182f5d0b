"""PeerReplay: one peer's lines, each judged by what the peer was before it.

The rules here need no other peer's trace. What they show of leaders, entries and messages goes to
the cluster, which compares it with what the others show.
"""

from collections import defaultdict
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from raft_actors.core.server import TERMS_AT_ONCE
from raft_actors.names import Address
from raft_actors.tools.trace_check.files import Line, Run, address
from raft_actors.tools.trace_check.log_view import Configuration, Image, entries_of, is_group
from raft_actors.tools.trace_check.rules import Departure
from raft_actors.tools.trace_check.sent import check_sent

if TYPE_CHECKING:
    from raft_actors.tools.trace_check.cluster import Cluster

__all__ = ["PeerReplay"]

ROUNDING_S = 1e-4  # more than two rounded times can be wrong by
STATE = ("term", "vote", "role", "leader", "commit", "base", "last", "last_term", "configuration",
         "group")  # fmt: skip

CLAIMS = {"AppendEntries", "InstallSnapshot", "RequestVote", "TimeoutNow"}
"""Messages in a term of their own, not answers in it."""
FOUNDING = ("role", "leader")
"""What changes when a founder gives up, for it hears that its name belongs to another disk."""

Disk = tuple[Address, int]
"""A peer, and the incarnation of the data directory that spoke for it."""


class PeerReplay:
    """What is known of one peer, from run to run.

    disk      the log as it was saved; `ballot` likewise, (term, vote)
    log       the log in memory
    offered   (index, term) of the snapshots that leaders have sent
    accepted  the newest (term, index) up to which a leader has proven the log to be its own
    incarnation  of its data directory
    claimed   the newest (term, index) that a leader was told to be saved
    heard     when a leader spoke last, by the peer's own clock
    promised_until  by the same clock: a leader's lease may rest on it
    promises  for each term, who promised a vote in it; `promised` whom it may promise one itself
    voters    whose votes counted before the line: by the log, or by a founder's word
    before    the line before; `what` is the line that is judged, at `place`
    """

    def __init__(self, peer: Address, cluster: "Cluster") -> None:
        self.peer = list(peer)
        self.address = peer
        self.cluster = cluster
        self.ballot: tuple[int, Any] = (0, None)
        self.disk = Image()
        self.known = False  # whether a run of it was replayed
        self.ended = True
        self.incarnation = 0
        self.claimed = (0, 0)
        self.commit = 0

    def replay(self, run: Run) -> None:
        """Judge a run. Raises Departure at the first line that breaks a rule."""
        for number, line in enumerate(run.lines, 1):
            if line.what["n"] != number:
                raise Departure(
                    "whole", line.place, f"line {line.what['n']} where {number} was due"
                )
            self.place, self.what = line.place, line.what
            try:
                self.take(line)
                if number > 1:
                    self.judge_group()
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise Departure("whole", line.place, f"it lacks something: {error!r}") from error
            self.before = line.what
        self.ended = run.ended

    def take(self, line: Line) -> None:
        what = line.what
        event = what["event"]
        if event == "start":
            self.start(what)
            return
        if "raised" in what:
            self.depart("no_exception", what["raised"])
        if self.begins_a_batch(what):
            self.promised.clear()
        if event == "receive":
            self.receive(what["message"])
        elif event == "step":
            self.step(what["what"])
        else:
            for name in STATE:
                if what[name] != self.before[name]:
                    self.depart("calm", f"{name} became {what[name]}, from {self.before[name]}")
            if event not in EFFECTS:
                self.depart("whole", f"an event {event!r}, which this version does not know")
            EFFECTS[event](self, what)

    def judge_group(self) -> None:
        before, now = self.before["group"], self.what["group"]
        if now == before:
            return
        heard = self.what.get("message", {})
        founded = now == self.log.group and self.commit
        told = heard.get("group") == now and (
            heard.get("commit") or heard["kind"] == "InstallSnapshot"
        )
        if before or not (founded or told):
            self.depart("group_kept", f"its group became {now!r}, from {before!r}")

    def begins_a_batch(self, what: dict[str, Any]) -> bool:
        """Whether all that the events before had to say is said; `Written` comes in between."""
        events = {"receive", "step"}
        if what["event"] not in events or self.before["event"] in events:
            return False
        return what["event"] == "receive" or bool(what["what"]["kind"] != "Written")

    def depart(self, rule: str, detail: str) -> None:
        raise Departure(rule, self.place, detail)

    # A run begins.

    def start(self, what: dict[str, Any]) -> None:
        loaded = Image(what["base"], what["base_term"])
        loaded.replace(what["base"] + 1, what["entries"])
        if what.get("configured"):
            loaded.configurations[what["configuration"]] = what["configured"]
        is_forced = self.known and "" != self.before["group"] != what["group"] != ""
        # Else `raft-actors recover force-configuration` has written to its directory meanwhile.
        if self.known and self.incarnation == what["incarnation"] and not is_forced:
            self.compare(loaded, (what["term"], what["vote"]))
        self.known = True
        self.incarnation = what["incarnation"]
        self.ballot = (what["term"], what["vote"])
        self.disk, self.log = loaded, loaded.copy()
        self.check_log(what)
        self.cluster.entries(self, loaded.base + 1, loaded)
        self.commit = self.applied = what["commit"]
        self.election_timeout = what["min_election_timeout"]
        self.heard = self.promised_until = -inf
        self.promise_s = what.get("promise_ms", 0) / 1000
        if what["term"]:
            self.promise()
        self.votes: set[Disk] = set()
        self.promises: dict[int, set[Disk]] = defaultdict(set)
        self.promised: set[tuple[Address, int]] = set()
        self.matches: dict[Disk, int] = {}
        self.accepted = (0, 0)
        self.told_to_stand = self.led = -1
        self.offered: set[tuple[int, int]] = set()
        self.voters: Configuration | None = None

    def compare(self, loaded: Image, ballot: tuple[int, Any]) -> None:
        """Compare what the store gave back with what was saved, as far as the trace has it.

        A killed run may have saved one batch more than it could tell.
        """
        saved_term, saved_vote = self.ballot
        term, vote = ballot
        if term < saved_term:
            self.depart("term_falls", f"term {term} is loaded, {saved_term} was saved")
        if term == saved_term and vote != saved_vote and (self.ended or saved_vote is not None):
            self.depart("one_vote", f"vote {vote} is loaded, {saved_vote} was saved")
        if self.ended and term != saved_term:
            self.depart("loaded", f"term {term} is loaded, {saved_term} was saved")
        disk = self.disk
        if loaded.base > disk.base and disk.term_at(loaded.base) != loaded.base_term:
            return  # it begins behind a leader's snapshot, of another history than its log was
        first = max(disk.base, loaded.base) + 1
        last = min(disk.last, loaded.last)
        mine, theirs = disk.between(first, last), loaded.between(first, last)
        same = next((n for n, pair in enumerate(zip(mine, theirs, strict=True))
                     if pair[0] != pair[1]), len(mine))  # fmt: skip
        differs_at = first + same
        if self.ended and (differs_at <= last or disk.last != loaded.last):
            self.depart(
                "loaded",
                f"a log of {loaded.last} entries is loaded, {disk.last} were saved; they differ "
                f"from entry {differs_at} on",
            )
        if differs_at <= min(disk.last, self.commit):
            self.depart("committed", f"entry {differs_at}, committed, is gone from the store")
        claimed = self.claimed[1] if self.claimed[0] == term else 0
        if differs_at <= min(disk.last, claimed):
            self.depart("loaded", f"entry {differs_at}, saved and claimed, is gone from the store")
        if differs_at > last and loaded.last < disk.last:
            self.depart("loaded", f"entries {loaded.last + 1} to {disk.last} are gone")

    # Events.

    def receive(self, message: dict[str, Any]) -> None:
        before, what = self.before, self.what
        kind, source = message["kind"], address(message["source"])
        if address(message["target"]) != self.address:
            self.depart("received", f"a message for {message['target']}")
        if message["target_incarnation"] not in (0, self.incarnation):
            founded = self.before.get("founding") and not what.get("founding")
            self.unchanged("other_incarnation", f"a {kind} for another data directory",
                           but=FOUNDING if founded else ())  # fmt: skip
            return
        if self.is_of_another_group(message):
            self.unchanged("other_group", f"a {kind} of group {message['group']!r}")
            return
        if kind == "RequestPreVote":
            self.unchanged("pre_vote_harmless", f"asked by {source}")
            self.note_pre_vote_request(message, source)
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
                self.unchanged("newer_term", f"a {kind} of {source}, whom it asked nothing")
                return
            heeded = min(message["term"], before["term"] + TERMS_AT_ONCE)
            if what["term"] < heeded:
                self.depart("newer_term", f"a {kind} of term {message['term']} is not heeded")
            self.heard = -inf
            if heeded < message["term"]:
                self.moved(heeded)
                return
        handler = getattr(self, f"receive_{kind}", None)
        if handler is not None:
            handler(message, source)
        self.moved(max(message["term"], before["term"]), asked_by=message)

    def is_stranger(self, peer: Address) -> bool:
        """Whether it is asked nothing here, as far as is known: what it answers is ignored."""
        known = self.before.get("founding") or self.log.configuration
        everyone = [*known["members"], *known["learners"], *known["old"]] if known else []
        return list(peer) not in everyone

    def is_of_another_group(self, message: dict[str, Any]) -> bool:
        """Whether it changes nothing here: for a member, what comes in another group's name, and a
        founder's call for a vote; for a founder, what comes from one that names other members.
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
        elif event["kind"] == "SnapshotInstalled":
            self.snapshot_installed(event["snapshot"])
        self.moved(self.before["term"])

    def snapshot_taken(self, snapshot: dict[str, Any]) -> None:
        base = self.what["base"]
        if not base <= snapshot["index"] <= self.applied:
            self.depart(
                "snapshot", f"a snapshot of entry {snapshot['index']}, applied are {self.applied}; "
                f"the log begins after {base}",
            )  # fmt: skip
        self.log.compact(base)
        self.disk.compact(base)

    def snapshot_installed(self, snapshot: dict[str, Any]) -> None:
        index, term = snapshot["index"], snapshot["term"]
        if (index, term) not in self.offered or index <= self.commit:
            self.depart(
                "snapshot", f"a snapshot of entry {index} that no leader sent, or that is old"
            )
        self.log.install(snapshot)
        if self.disk.term_at(index) == term:
            self.disk.compact(index)
        self.commit = self.applied = index
        self.accepted = max(self.accepted, (self.before["term"], index))

    def receive_InstallSnapshot(  # noqa: N802
        self, message: dict[str, Any], source: Address
    ) -> None:
        self.note_leader(message, source)
        self.offered.add((message["index"], message["last_term"]))
        if message["index"] <= self.commit:
            # The leader has all that is committed (§5.4).
            self.accepted = max(self.accepted, (message["term"], self.commit))

    def note_leader(self, message: dict[str, Any], source: Address) -> None:
        what, term = self.what, message["term"]
        if what["term"] != term or what["role"] != "follower" or what["leader"] != list(source):
            self.depart("newer_term", f"{source} leads term {term}, but is not followed")
        self.cluster.leads(message["group"], term, source, self.place)
        self.heard = what["now"]

    def receive_PreVoteReply(self, message: dict[str, Any], source: Address) -> None:  # noqa: N802
        if message["granted"]:
            self.promises[message["asked"]].add((source, message["source_incarnation"]))

    def receive_VoteReply(self, message: dict[str, Any], source: Address) -> None:  # noqa: N802
        before = self.before
        if message["granted"] and message["term"] == before["term"]:
            self.votes.add((source, message["source_incarnation"]))

    def receive_TimeoutNow(self, message: dict[str, Any], _source: Address) -> None:  # noqa: N802
        self.told_to_stand = message["term"] + 1

    def receive_AppendReply(self, message: dict[str, Any], source: Address) -> None:  # noqa: N802
        before = self.before
        if before["role"] == "leader" and message["term"] == before["term"]:
            disk = source, message["source_incarnation"]
            self.matches[disk] = max(self.matches.get(disk, 0), message["match"])

    def receive_AppendEntries(self, message: dict[str, Any], source: Address) -> None:  # noqa: N802
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
                    self.depart("committed", f"committed entry {first} is replaced")
                self.cluster.entries(self, first, expected)
        self.check_log(what, "append_taken")
        self.check_told(what, expected)
        if what["commit"] > commit:
            self.depart(
                "follower_commit",
                f"commit {what['commit']}: the leader's is {message['commit']}, and the request "
                f"proves {match}",
            )

    def check_told(self, what: dict[str, Any], expected: Image) -> None:
        """Compare the entries that the line tells with those that the rules give."""
        if "entries" in what and (
            expected.between(what["first"], expected.last) != entries_of(what["entries"])
        ):
            self.depart("append_taken", f"other entries than those received, from {what['first']}")

    # What any event may lead to.

    def moved(self, highest_term: int, asked_by: dict[str, Any] | None = None) -> None:
        """Judge how the state changed. `highest_term` is the highest that was heard of."""
        what = self.what
        self.voters = self.before.get("founding") or self.log.configuration
        self.judge_term(highest_term)
        self.judge_vote(asked_by)
        if what["role"] != "pre_candidate":
            self.promises.clear()
        elected = what["role"] == "leader" and not self.led_before()
        if elected:
            self.judge_election()
        if asked_by is None or asked_by["kind"] != "AppendEntries":
            self.judge_own_entries()
        if elected:
            self.cluster.elected(self, what["term"], self.log)
        if what["role"] != "follower":
            self.heard = -inf
        self.judge_commit(asked_by)

    def led_before(self) -> bool:
        before = self.before
        return bool(before["role"] == "leader" and before["term"] == self.what["term"])

    def judge_term(self, highest_term: int) -> None:
        before, what = self.before["term"], self.what["term"]
        if what < before:
            self.depart("term_falls", f"term {what} after {before}")
        stands = what == highest_term + 1 and self.what["role"] in {"candidate", "leader"}
        if what > highest_term and not stands:
            self.depart("term_rises", f"term {what} after {before}, as {self.what['role']}")
        if stands:
            self.votes = {self.own_disk}
            promised = self.promises[what] | {self.own_disk}
            if self.told_to_stand != what and not is_majority(promised, self.voters):
                self.depart("pre_vote_first", f"stood in term {what}, promised {sorted(promised)}")

    def judge_vote(self, asked_by: dict[str, Any] | None) -> None:
        before, what = self.before, self.what
        vote, role = what["vote"], what["role"]
        if what["term"] == before["term"] and vote == before["vote"]:
            return
        if what["term"] == before["term"] and before["vote"] is not None:
            self.depart(
                "one_vote", f"voted for {vote} in term {what['term']}, after {before['vote']}"
            )
        if vote is None:
            if role in {"candidate", "leader"}:
                self.depart("vote_asked", f"{role} without its own vote")
            return
        if vote == self.peer:
            if role not in {"candidate", "leader"}:
                self.depart("vote_asked", f"voted for itself as {role}")
            return
        if (
            asked_by is None
            or asked_by["kind"] != "RequestVote"
            or asked_by["source"] != vote
            or asked_by["term"] != what["term"]
        ):
            self.depart("vote_asked", f"voted for {vote}, who did not ask in term {what['term']}")
            return
        if not self.is_up_to_date(asked_by):
            self.depart(
                "up_to_date",
                f"voted for {vote}, whose log ends at {asked_by['last_index']} in term "
                f"{asked_by['last_term']}; its own at {before['last']} in {before['last_term']}",
            )

    def is_up_to_date(self, request: dict[str, Any]) -> bool:
        theirs = request["last_term"], request["last_index"]
        return bool(theirs >= (self.before["last_term"], self.before["last"]))

    def judge_election(self) -> None:
        before, what = self.before, self.what
        if what["vote"] != self.peer:
            self.depart("vote_asked", "leader without its own vote")
        if before["role"] != "candidate" and what["term"] == before["term"]:
            self.depart("majority", f"leader, straight from {before['role']}")
        if not is_majority(self.votes, self.voters):
            self.depart(
                "majority", f"leader of term {what['term']} by the votes of {sorted(self.votes)}"
            )
        self.matches = {}
        self.led = what["term"]

    def judge_own_entries(self) -> None:
        """Only a leader writes its log by itself: at the end, in its own term."""
        before, what = self.before, self.what
        views = what.get("entries", [])
        if views:
            if what["role"] != "leader":
                self.depart("leader_appends", f"a {what['role']} wrote entries by itself")
            if what["first"] != before["last"] + 1:
                self.depart(
                    "leader_appends", f"entry {what['first']} is replaced by a leader's own"
                )
            if any(view[0] != what["term"] for view in views):
                self.depart("leader_appends", f"an entry of another term than {what['term']}")
            self.log.replace(what["first"], views)
            self.cluster.entries(self, what["first"], self.log)
        self.check_log(what)

    def check_log(self, what: dict[str, Any], rule: str = "leader_appends") -> None:
        log = self.log
        if what["base"] != log.base:
            self.depart(
                "snapshot",
                f"the log begins after {what['base']}; by the rules it does after {log.base}",
            )
        known = log.term_at(log.last)
        if what["last"] != log.last or known not in (what["last_term"], None):
            self.depart(
                rule,
                f"the log ends at {what['last']} in term {what['last_term']}; by the rules it "
                f"does at {log.last} in {known}",
            )

    def judge_commit(self, asked_by: dict[str, Any] | None) -> None:
        what = self.what
        commit = what["commit"]
        if commit < self.commit:
            self.depart("commit_falls", f"commit {commit} after {self.commit}")
        if commit == self.commit:
            return
        if commit > what["last"]:
            self.depart("leader_commit", f"commit {commit} beyond the log's end, {what['last']}")
        leads = what["role"] == "leader"
        if leads:
            self.judge_leader_commit(commit)
        elif asked_by is None or asked_by["kind"] != "AppendEntries":
            self.depart("follower_commit", f"commit {commit} without a leader's word")
        first, self.commit = self.commit + 1, commit
        self.cluster.committed(self, first, commit, leads=leads)

    def judge_leader_commit(self, commit: int) -> None:
        """A change of members counts from its entry on: in its step by the old or the new."""
        term = self.what["term"]
        if self.log.term_at(commit) != term:
            self.depart(
                "leader_commit",
                f"commit {commit} in term {term}: that entry is of term {self.log.term_at(commit)}",
            )
        holders = {member for member, match in self.matches.items() if match >= commit}
        if self.disk.last >= commit:
            holders.add(self.own_disk)
        if not (is_majority(holders, self.voters) or is_majority(holders, self.log.configuration)):
            self.depart("leader_commit", f"commit {commit} is saved by {sorted(holders)} only")

    def unchanged(self, rule: str, detail: str, but: tuple[str, ...] = ()) -> None:
        what = self.what
        for name in STATE:
            if what[name] != self.before[name] and name not in but:
                self.depart(rule, f"{detail}: {name} became {what[name]}, from {self.before[name]}")
        if "entries" in what:
            self.depart(rule, f"{detail}: the log changed")

    # Effects.

    def on_send(self, what: dict[str, Any]) -> None:
        check_sent(self, what["message"])

    def note_pre_vote_request(self, message: dict[str, Any], source: Address) -> None:
        if (
            message["term"] >= self.before["term"]
            and not self.hears_a_leader()
            and self.is_up_to_date(message)
        ):
            self.promised.add((source, message["term"] + 1))

    def on_save(self, what: dict[str, Any]) -> None:
        first, views = what["first"], what["entries"]
        if "restart" in what:
            self.disk = Image(*what["restart"])
            self.disk.configurations = dict(self.log.configurations)
        if views:
            if self.log.between(first, first + len(views) - 1) != entries_of(views):
                self.depart("saved_log", f"entries that are not those of the log, from {first}")
            if first > self.disk.last + 1:
                self.depart("saved_log", f"entry {first} after {self.disk.last}")
            self.disk.replace(first, views)
        ballot = what["ballot"]
        if ballot is not None:
            self.ballot = ballot[0], ballot[1]
        if self.ballot != (what["term"], what["vote"]):
            self.depart(
                "vote_durable",
                f"term and vote are {what['term']}, {what['vote']}; saved are {self.ballot}",
            )
        if self.disk.last != self.log.last:
            self.depart("saved_log", f"the log ends at {self.log.last}; saved {self.disk.last}")

    def on_apply(self, what: dict[str, Any]) -> None:
        if what["first"] != self.applied + 1:
            self.depart("applied", f"entry {what['first']} after {self.applied}")
        if what["through"] > self.commit:
            self.depart("applied", f"entry {what['through']}; committed is {self.commit}")
        self.applied = what["through"]

    def on_end(self, what: dict[str, Any]) -> None:
        """Nothing follows from it but what `Run.ended` says."""

    # What is asked often.

    @property
    def own_disk(self) -> "Disk":
        return self.address, self.incarnation

    def hears_a_leader(self) -> bool:
        """Whether it was to take a leader for being at work when the line began."""
        if self.before["role"] == "leader":
            return True
        now = self.what["now"] + ROUNDING_S
        return bool(now < self.promised_until or now < self.heard + self.election_timeout)

    def promise(self) -> None:
        if self.promise_s:
            self.promised_until = self.what["now"] + self.promise_s


EFFECTS: dict[str, Callable[[PeerReplay, dict[str, Any]], None]] = {
    "send": PeerReplay.on_send, "save": PeerReplay.on_save, "apply": PeerReplay.on_apply,
    "end": PeerReplay.on_end,
}  # fmt: skip


def is_majority(disks: set[Disk], configuration: Configuration | None) -> bool:
    """Whether these are more than half of the voters, and of the old ones while there are any (§6).

    A disk is its peer's only if the configuration says so, or names none at all. Yes if it is not
    known who votes.
    """
    if configuration is None:
        return True
    known = {address(peer): number for peer, number in configuration.get("incarnations", ())}
    peers = {peer for peer, number in disks if not known or known.get(peer) == number}
    for part in (configuration["members"], configuration.get("old")):
        if part and 2 * len(peers.intersection(map(address, part))) <= len(part):
            return False
    return True
