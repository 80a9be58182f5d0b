"""A good trace passes; made wrong in one place, it fails there, by the rule that was broken.

The good one is a story of the simulated world: a group of three is founded, writes, loses its
leader, hands over, loses a process. Each mutation changes as little of it as it can.
"""

import copy
import json

import pytest

from raft_actors.config import Config
from raft_actors.core.messages import AppendEntries, AppendReply, InstallSnapshot
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play
from raft_actors.testing.simulation.world import World
from raft_actors.tools.trace_check import check
from raft_actors.tools.trace_check.report import run_check
from raft_actors.tools.trace_check.rules import RULES
from tests.tools.trace_check.traced import traces_into

STATE = ("term", "vote", "role", "leader", "commit", "base", "last", "last_term", "configuration",
         "group")  # fmt: skip


def tell_a_story(world):
    world.configure("a")
    world.ring(1)
    assert world.leader().name == "a"
    world.write("a", 1, 2)
    world.ring(1)
    world.isolate("a")
    world.write("a", 3)  # nobody hears of it
    world.ring(5)
    second = world.leader().name
    assert second != "a"
    world.write(second, 4)
    world.heal()
    world.ring(3)
    world.isolate("a")
    world.ring(3)
    world.heal()
    world.ring(3)  # its call for a pre-vote is refused
    world.transfer(world.leader().name, "a")
    world.ring(3)
    assert world.leader().name == "a"
    world.write("a", 5)
    world.crash("c")
    world.ring(1)
    world.write("a", 6)
    world.ring(1)
    world.start("c")
    world.ring(1)
    assert world.agrees()


class Traces:
    """The lines of each peer's file, to be searched and changed."""

    def __init__(self, directory):
        self.paths = {path.name[0]: path for path in sorted(directory.glob("*.jsonl"))}
        self.lines = {
            name: [json.loads(line) for line in path.read_text().splitlines()]
            for name, path in self.paths.items()
        }

    def find(self, event, kind=None, where=lambda _line, _before: True, peers="abc"):
        """Return (peer, position) of the first such line. `where` sees the line before, too."""
        for peer in peers:
            before = None
            for position, line in enumerate(self.lines[peer]):
                what = line.get("message") or line.get("what") or {}
                alike = line["event"] == event and kind in (None, what.get("kind"))
                if alike and where(line, before):
                    return peer, position
                before = line
        raise LookupError(f"no {event} {kind} like that in the story")

    def __getitem__(self, spot):
        return self.lines[spot[0]][spot[1]]

    def insert(self, spot, event, message, **state):
        """Insert a line before `spot`, with the state of the line before it but for `state`."""
        peer, position = spot
        line = copy.deepcopy(self.lines[peer][position - 1])
        told = {name: line[name] for name in ("n", "at", "now", *STATE)}
        self.lines[peer].insert(position, {**told, "event": event, "message": message, **state})
        self.number(peer)
        return spot

    def delete(self, spot):
        del self.lines[spot[0]][spot[1]]
        self.number(spot[0])

    def number(self, peer):
        number = 0
        for line in self.lines[peer]:
            number = 1 if line["event"] == "start" else number + 1
            line["n"] = number

    def write(self, directory):
        for name, path in self.paths.items():
            text = "".join(json.dumps(line) + "\n" for line in self.lines[name])
            (directory / path.name).write_text(text)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    directory = tmp_path_factory.mktemp("story")
    with traces_into(directory):
        tell_a_story(World("abc", 1, Config(log_store="memory")))
    return directory


@pytest.fixture
def traces(story):
    return Traces(story)


def test_the_story_keeps_every_rule(story):
    report = check(story)
    assert report.violations == []
    assert (len(report.peers), report.runs) == (3, 4)
    assert report.leaders >= 3
    assert report.messages > 50


@pytest.mark.parametrize("seed", [*range(30), 33, 52, 161])
def test_worlds_full_of_trouble_keep_every_rule(tmp_path, seed):
    """Crashes in the middle of a batch, lost, late and repeated messages, partitions, drift."""
    with traces_into(tmp_path):
        played = play(draw(seed, 600))
    assert not isinstance(played, Failure)
    assert [str(violation) for violation in check(tmp_path).violations] == []


# The mutations. Each returns the line (peer, position) that the check must name.


def message(kind, source, target, term, group, **fields):
    return {
        "kind": kind,
        "source": [source, f"{source}@pretend"],
        "target": [target, f"{target}@pretend"],
        "group": group,
        "term": term,
        "source_incarnation": 0,
        "target_incarnation": 0,
        **fields,
    }


def others_than(peer):
    return [name for name in "abc" if name != peer]


def group_of(traces):
    return traces[traces.find("send", "AppendEntries")]["message"]["group"]


def peer(name):
    return [name, f"{name}@pretend"]


def rose(field):
    return lambda line, before: before is not None and line[field] > before[field]


def last_line(traces, name):
    return name, len(traces.lines[name])


def whole(traces):
    name, position = traces.find("send", "AppendEntries")
    del traces.lines[name][position]
    return name, position


def whole_with_an_event_of_a_later_version(traces):
    spot = traces.find("save")
    traces[spot]["event"] = "saved"
    return spot


def calm_where_the_log_begins(traces):
    spot = traces.find("save")
    traces[spot]["base"] += 1
    return spot


def snapshot(traces):
    """The log begins behind a snapshot that nobody took."""
    spot = traces.find("receive", "AppendReply")
    traces[spot]["base"] += 1
    return spot


def calm(traces):
    spot = traces.find("send", "AppendEntries")
    traces[spot]["commit"] += 1
    return spot


def no_exception(traces):
    spot = traces.find("receive", "AppendReply")
    traces[spot]["raised"] = "AssertionError('x also leads term 2')"
    return spot


def term_falls(traces):
    spot = traces.find("step", "Tick", lambda line, _before: line["term"] > 1)
    traces[spot]["term"] -= 1
    return spot


def term_falls_by_a_restart(traces):
    spot = traces.find("start", where=lambda line, before: before is not None)
    traces[spot]["term"] -= 1
    return spot


def term_rises(traces):
    spot = traces.find("step", "Tick", lambda line, _before: line["role"] == "leader")
    traces[spot]["term"] += 2
    return spot


def newer_term(traces):
    spot = traces.find("receive", "AppendEntries", rose("term"))
    name, position = spot
    traces[spot].update({key: traces[name, position - 1][key] for key in STATE})
    traces[spot].pop("entries", None)
    return spot


def older_term(traces):
    spot = last_line(traces, "b")
    late = message("VoteReply", "c", "b", 1, group_of(traces), granted=True)
    return traces.insert(spot, "receive", late, role="leader")


def other_group(traces):
    spot = last_line(traces, "b")
    term = traces["b", spot[1] - 1]["term"]
    strange = message("RequestVote", "c", "b", term + 1, "0" * 16,
                      last_index=99, last_term=9, forced=True)  # fmt: skip
    return traces.insert(spot, "receive", strange, term=term + 1, vote=peer("c"))


def outsider(traces):
    name, position = traces.find("receive", "AppendEntries")
    before = traces[name, position]
    asked = message("RequestVote", "stranger", name, before["term"] + 1, group_of(traces),
                    last_index=99, last_term=9, forced=True)  # fmt: skip
    return traces.insert(
        (name, position + 1), "receive", asked, term=before["term"] + 1, vote=peer("stranger"),
        leader=None,
    )  # fmt: skip


def other_incarnation(traces):
    spot = traces.find("receive", "AppendEntries", lambda line, _before: "entries" in line)
    traces[spot]["message"]["target_incarnation"] = 1
    return spot


def group_kept(traces):
    spot = traces.find("receive", "AppendEntries", lambda line, _before: line["group"])
    traces[spot]["group"] = "0" * 16
    return spot


def pre_vote_harmless(traces):
    spot = traces.find("receive", "RequestPreVote")
    traces[spot]["term"] += 1
    return spot


def stood(line, before):
    """A founder waits for all, so it has one promise too many."""
    roles = before["role"], line["role"]
    return roles == ("pre_candidate", "candidate") and "founding" not in line


def pre_vote_first(traces):
    spot = traces.find("receive", "PreVoteReply", stood)
    traces[spot]["message"]["granted"] = False
    return spot


def pre_vote_granted(traces):
    """The one who is promised a vote asks with a shorter log."""
    spot = traces.find("send", "PreVoteReply", lambda line, _before: line["last"] > 0)
    asker = traces[spot]["message"]["target"]
    asked = [line["message"] for line in traces.lines[spot[0]][: spot[1]]
             if line["event"] == "receive" and line["message"]["kind"] == "RequestPreVote"
             and line["message"]["source"] == asker]  # fmt: skip
    asked[-1]["last_index"] -= 1
    return spot


def sticky(traces):
    name, position = traces.find("receive", "AppendEntries", peers="b")
    before = traces[name, position]
    asked = message("RequestVote", "c", "b", before["term"] + 1, group_of(traces),
                    last_index=99, last_term=9, forced=False)  # fmt: skip
    return traces.insert(
        (name, position + 1), "receive", asked, term=before["term"] + 1, vote=peer("c"),
        leader=None,
    )  # fmt: skip


def one_vote(traces):
    name, position = traces.find("receive", "RequestVote", lambda line, before: (
        line["vote"] == line["message"]["source"] != before["vote"]))  # fmt: skip
    line = traces[name, position]
    rival = next(each for each in others_than(name) if peer(each) != line["vote"])
    asked = {**line["message"], "source": peer(rival)}
    return traces.insert((name, position + 1), "receive", asked, vote=peer(rival))


def one_vote_across_a_restart(traces):
    spot = traces.find("start", where=lambda line, before: before is not None and line["vote"])
    traces[spot]["vote"] = peer("b") if traces[spot]["vote"] != peer("b") else peer("c")
    return spot


def vote_durable(traces):
    name, position = traces.find("send", "VoteReply", lambda line, before: (
        line["message"]["granted"] and before["event"] == "save"))  # fmt: skip
    traces.delete((name, position - 1))
    return name, position - 1


def voted(line, before):
    return line["vote"] == line["message"]["source"] and before["vote"] != line["vote"]


def vote_asked(traces):
    spot = traces.find("receive", "RequestVote", voted)
    taken = {spot[0], traces[spot]["vote"][0]}
    traces[spot]["vote"] = peer(next(name for name in "abc" if name not in taken))
    return spot


def up_to_date(traces):
    spot = traces.find(
        "receive", "RequestVote", lambda line, before: voted(line, before) and before["last"] > 0
    )
    traces[spot]["message"].update(last_index=traces[spot]["last"] - 1)
    return spot


def won(line, before):
    return before["role"] == "candidate" and line["role"] == "leader"


def majority(traces):
    spot = traces.find("receive", "VoteReply", won)
    traces[spot]["message"]["granted"] = False
    return spot


def one_leader(traces):
    spot = traces.find(
        "receive",
        "AppendEntries",
        lambda line, before: (
            before["leader"] == peer("a") == line["leader"] and "entries" not in line
        ),
        peers="c",
    )
    for told in (traces[spot], traces[spot]["message"]):
        told["leader" if told is traces[spot] else "source"] = peer("b")
    return spot


def leader_appends(traces):
    spot = traces.find("step", "Propose", lambda line, _before: line.get("entries"))
    traces[spot]["entries"][0][0] += 1
    return spot


def leader_appends_in_the_middle(traces):
    spot = traces.find("step", "Propose", lambda line, _before: line.get("entries"))
    traces[spot]["first"] -= 1
    return spot


def append_source(traces):
    spot = last_line(traces, "b")
    before = traces["b", spot[1] - 1]
    assert before["role"] == "follower"
    sent = message("AppendEntries", "b", "c", before["term"], group_of(traces),
                   prev_index=0, prev_term=0, commit=0, round=0, entries=[])  # fmt: skip
    return traces.insert(spot, "send", sent)


def with_entries(line, _before):
    return line["message"]["entries"]


def append_true(traces):
    spot = traces.find("send", "AppendEntries", with_entries)
    traces[spot]["message"]["entries"][-1][1] = "0" * 16
    return spot


def append_taken(traces):
    spot = traces.find("receive", "AppendEntries", lambda line, _before: line.get("entries"))
    traces[spot]["last"] -= 1
    return spot


def append_taken_where_logs_differ(traces):
    spot = traces.find("receive", "AppendEntries", lambda line, before: (
        line.get("entries") and before["last"] == line["message"]["prev_index"] > 0))  # fmt: skip
    traces[spot]["message"]["prev_term"] += 7
    return spot


def log_matching(traces):
    spot = traces.find("receive", "AppendEntries", lambda line, _b: (
        line.get("entries") and line["last"] > 1), peers="c")  # fmt: skip
    digest = traces[spot]["entries"][-1][1]
    text = json.dumps(traces.lines["c"]).replace(digest, "0" * 16)
    traces.lines["c"] = json.loads(text)
    return spot


def saves_before_a_reply(line, before):
    """The second line after a save without a ballot: that one is followed by Written."""
    return before["event"] == "step" and before["what"]["kind"] == "Written"


def reply_saved(traces):
    name, position = traces.find("send", "AppendReply", lambda line, before: (
        saves_before_a_reply(line, before) and line["last"] > 1))  # fmt: skip
    assert traces[name, position - 2]["event"] == "save"
    traces.delete((name, position - 2))
    return name, position - 1


def reply_matched(traces):
    """A leader of a new term has proven nothing yet, and is told that all matches."""
    spot = last_line(traces, "b")
    before = traces["b", spot[1] - 1]
    term, group = before["term"] + 1, group_of(traces)
    heartbeat = message("AppendEntries", "c", "b", term, group, prev_index=0, prev_term=0,
                        commit=0, round=0, entries=[])  # fmt: skip
    reply = message("AppendReply", "b", "c", term, group, match=before["last"], round=0)
    traces.insert(spot, "receive", heartbeat, term=term, vote=None, leader=peer("c"))
    name, position = spot
    saved = {"ballot": [term, None, 1], "first": before["last"] + 1, "entries": []}
    traces.insert((name, position + 1), "save", None, **saved)
    return traces.insert((name, position + 2), "send", reply)


def saved_log(traces):
    spot = traces.find("save", where=lambda line, _before: line["entries"])
    traces[spot]["entries"][-1][1] = "0" * 16
    return spot


def loaded(traces):
    """The process dies right after a save, and finds less than it had saved."""
    name, start = traces.find("start", where=lambda _line, before: before is not None)
    lines = traces.lines[name]
    saved = max(n for n in range(start) if lines[n]["event"] == "save" and lines[n]["entries"])
    line = lines[start]
    line["entries"] = line["entries"][: lines[saved]["last"] - 1]
    line["last"], line["last_term"] = len(line["entries"]), line["entries"][-1][0]
    del lines[saved + 1 : start]
    return name, saved + 1


def commit_falls(traces):
    spot = traces.find("step", "Tick", lambda line, _before: line["commit"] > 1)
    traces[spot]["commit"] -= 1
    return spot


def leader_commit(traces):
    spot = traces.find("receive", "AppendReply", rose("commit"))
    traces[spot]["message"]["match"] = 0
    return spot


def follower_commit(traces):
    spot = traces.find("receive", "AppendEntries", rose("commit"))
    traces[spot]["message"]["commit"] = 0
    return spot


def committed(traces):
    spot = last_line(traces, "c")
    before = traces["c", spot[1] - 1]
    rewrites = message(
        "AppendEntries",
        "a",
        "c",
        before["term"],
        group_of(traces),
        prev_index=0,
        prev_term=0,
        commit=1,
        round=0,
        entries=[[before["term"], "0" * 16]],
    )
    return traces.insert(spot, "receive", rewrites, last=1, last_term=before["term"])


def committed_is_gone_from_the_store(traces):
    spot = traces.find("start", where=lambda _line, before: before is not None)
    traces[spot]["entries"][0][1] = "0" * 16
    return spot


def applied(traces):
    spot = traces.find("apply")
    traces[spot]["first"] += 1
    return spot


def handed_over(traces):
    spot = last_line(traces, "b")
    told = message("TimeoutNow", "b", "c", traces["b", spot[1] - 1]["term"], group_of(traces))
    return traces.insert(spot, "send", told)


def received(traces):
    spot = traces.find("receive", "AppendReply")
    traces[spot]["message"]["round"] += 99
    return spot


MUTATIONS = [
    (whole, "whole"), (whole_with_an_event_of_a_later_version, "whole"),
    (calm, "calm"), (calm_where_the_log_begins, "calm"), (no_exception, "no_exception"),
    (term_falls, "term_falls"), (term_falls_by_a_restart, "term_falls"),
    (term_rises, "term_rises"), (newer_term, "newer_term"), (older_term, "older_term"),
    (other_group, "other_group"), (outsider, "outsider"),
    (other_incarnation, "other_incarnation"),
    (group_kept, "group_kept"), (pre_vote_harmless, "pre_vote_harmless"),
    (pre_vote_first, "pre_vote_first"), (pre_vote_granted, "pre_vote_granted"),
    (sticky, "sticky"), (one_vote, "one_vote"), (one_vote_across_a_restart, "one_vote"),
    (vote_durable, "vote_durable"), (vote_asked, "vote_asked"), (up_to_date, "up_to_date"),
    (majority, "majority"), (one_leader, "one_leader"), (leader_appends, "leader_appends"),
    (leader_appends_in_the_middle, "leader_appends"), (append_source, "append_source"),
    (append_true, "append_true"), (append_taken, "append_taken"),
    (append_taken_where_logs_differ, "append_taken"), (log_matching, "log_matching"),
    (reply_saved, "reply_saved"), (reply_matched, "reply_matched"), (saved_log, "saved_log"),
    (loaded, "loaded"), (commit_falls, "commit_falls"), (leader_commit, "leader_commit"),
    (follower_commit, "follower_commit"), (committed, "committed"),
    (committed_is_gone_from_the_store, "committed"), (applied, "applied"),
    (handed_over, "handed_over"), (received, "received"), (snapshot, "snapshot"),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "rule"), MUTATIONS, ids=[m.__name__ for m, _ in MUTATIONS])
def test_a_wrong_trace_is_told_at_its_line(traces, tmp_path, mutate, rule):
    name, position = mutate(traces)
    traces.write(tmp_path)
    violations = check(tmp_path).violations
    # What an invented message costs besides: nobody has sent it.
    first = next(each for each in violations if rule == "received" or each.rule != "received")
    assert str(first).startswith(f"{tmp_path / traces.paths[name].name}:{position + 1}: "), first
    assert first.rule == rule, first
    says, source = RULES[rule]
    assert says in str(first)
    assert source in str(first)


def test_every_rule_has_a_mutation():
    """One has a test of its own, below."""
    apart = {"leader_complete"}
    assert {rule for _mutate, rule in MUTATIONS} | apart == set(RULES)


def test_a_snapshot_that_no_leader_sent_is_found(tmp_path):
    """A follower that was away is sent a snapshot; then the trace forgets that it was sent."""
    config = Config(log_store="memory", snapshot_entries=3, snapshot_trailing=1)
    with traces_into(tmp_path):
        world = World("abc", 1, config)
        world.configure("a")
        world.ring(1)
        world.crash("c")
        for number in range(8):
            world.write(world.leader().name, number)
            world.ring(1)
        world.start("c")
        world.ring(1)
        assert world.agrees()
    assert check(tmp_path).violations == []
    traces = Traces(tmp_path)
    installed = traces.find("step", "SnapshotInstalled", peers="c")
    traces.delete(traces.find("receive", "InstallSnapshot", peers="c"))
    traces.write(tmp_path)
    violation = check(tmp_path).violations[0]
    assert violation.rule == "snapshot"
    assert violation.place.number == installed[1]


def test_a_leader_without_a_committed_entry_is_found_by_comparing_traces(tmp_path):
    """Two lone voters, made to look like one group: what b does is right as far as b can know."""
    for name in "ab":
        with traces_into(tmp_path):
            world = World(name, 1, Config(log_store="memory"))
            world.configure(name)
            world.write(name, 1)
            world.ring(1)
    traces = Traces(tmp_path)
    ours = traces[traces.find("step", "Configure", peers="a")]["entries"][0][2]["group"]
    spot = traces.find("step", "Configure", peers="b")
    theirs = traces[spot]["entries"][0][2]["group"]
    text = json.dumps(traces.lines["b"][: spot[1] + 1]).replace(theirs, ours)
    for old, new in (("term", 1), ("last_term", 1), ("term", 0)):
        text = text.replace(f'"{old}": {new}', f'"{old}": {new + 1}')
    text = text.replace('"entries": [[1,', '"entries": [[2,')
    traces.lines["b"] = json.loads(text)
    traces.write(tmp_path)
    (violation,) = check(tmp_path).violations
    assert violation.rule == "leader_complete"
    assert violation.place.path == traces.paths["b"]
    assert violation.place.number == spot[1] + 1


# What a killed process leaves.


def test_a_cut_last_line_and_a_lost_tail_are_no_violations(traces, tmp_path):
    """The others' messages from the lost tail are counted, and taken on their word."""
    name, position = traces.find("receive", "AppendReply", where=lambda line, _b: line["term"] > 1)
    lost = traces.lines[name][position:]
    assert any(line["event"] == "send" for line in lost)
    del traces.lines[name][position:]
    traces.write(tmp_path)
    path = tmp_path / traces.paths[name].name
    path.write_text(path.read_text() + '{"n":99,"at":17')
    report = check(tmp_path)
    assert report.violations == []
    assert report.unproven > 0


def test_after_an_orderly_end_nothing_is_excused(traces, tmp_path):
    """The same cut, but the run says that it ended: what was received after it was never sent."""
    name, position = traces.find("receive", "AppendReply", where=lambda line, _b: line["term"] > 1)
    del traces.lines[name][position:]
    last = {key: traces.lines[name][-1][key] for key in ("at", "now", *STATE)}
    number = traces.lines[name][-1]["n"] + 1
    traces.lines[name].append({**last, "n": number, "event": "end", "reason": "'shutdown'"})
    traces.write(tmp_path)
    violations = check(tmp_path).violations
    assert {each.rule for each in violations} == {"received"}


def test_a_peer_without_a_trace_is_taken_on_its_word(traces, tmp_path):
    del traces.paths["b"]
    traces.write(tmp_path)
    report = check(tmp_path)
    assert report.violations == []
    assert report.unproven > 0


def test_damage_in_the_middle_is_named(traces, tmp_path):
    traces.write(tmp_path)
    path = tmp_path / traces.paths["b"].name
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = lines[4][:40] + "\n"
    path.write_text("".join(lines))
    (violation,) = check(tmp_path).violations
    assert str(violation).startswith(f"{path}:5: it is no line of a trace")


def test_a_line_that_nests_too_deep_is_named_too(traces, tmp_path):
    traces.write(tmp_path)
    path = tmp_path / traces.paths["b"].name
    path.write_text(f"{'[' * 100_000}\n{path.read_text()}")
    (violation,) = check(tmp_path).violations
    assert str(violation).startswith(f"{path}:1: it is no line of a trace")


def test_no_trace_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no traces .* name the directory that"):
        check(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"is no .*/nowhere: name the directory"):
        check(tmp_path / "nowhere")


def test_a_directory_of_empty_traces_is_no_success(tmp_path, capsys):
    (tmp_path / "kv@a@here.1.jsonl").write_text("")
    (tmp_path / "kv@b@here.2.jsonl").write_text('{"n":1,"event":"sta')
    assert run_check(tmp_path) == 2
    assert "have no lines: nothing was checked" in capsys.readouterr().err


def test_a_last_word_is_in_the_trace(tmp_path):
    """A leader whose disk is full names a successor as it goes."""
    with traces_into(tmp_path):
        world = World("abc", 1, Config(log_store="memory"))
        world.configure("a")
        world.ring(1)
        leader = world.leader().name
        world.full.add(leader)
        world.write(leader)
        world.settle()
    traces = Traces(tmp_path)
    assert traces.find("send", "TimeoutNow", peers=leader)
    report = check(tmp_path)
    assert report.violations == []
    assert report.unproven == 0


def test_an_answer_to_what_came_before_a_snapshot_keeps_every_rule(tmp_path):
    """A heartbeat that speaks of the log's beginning is answered when the snapshot is in."""
    config = Config(log_store="memory", snapshot_entries=3, snapshot_trailing=1)
    with traces_into(tmp_path):
        world = World("abc", 1, config)
        world.configure("a", "ab")
        world.ring(1)
        for number in range(8):
            world.write("a", number)
            world.ring(1)
        world.configure("a", "ab", "c")
        while not (snapshots := [each for each in world.wire if type(each) is InstallSnapshot]):
            if world.wire:
                world.deliver([world.wire.pop(0)])
            else:
                world.pass_time(0.05)
        (snapshot,) = snapshots
        world.wire.clear()
        heartbeat = AppendEntries(
            source=snapshot.source, target=snapshot.target, group=snapshot.group,
            term=snapshot.term, prev_index=0, prev_term=0, entries=[],
            commit=world.peers["a"].core.commit_index, round=snapshot.round + 1,
        )  # fmt: skip
        world.peers["a"].core.stamp_incarnations([heartbeat])
        world.send("a", [heartbeat])
        world.peers["a"].replica.trace.sent([heartbeat])
        world.peers["a"].replica.trace.flush()
        world.wire.clear()
        world.deliver([snapshot, heartbeat])
        assert world.peers["c"].core.log.base
        (answer,) = [each for each in world.wire if type(each) is AppendReply]
        assert answer.match == 0
    assert check(tmp_path).violations == []
