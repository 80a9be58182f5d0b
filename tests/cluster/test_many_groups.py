"""Nodes with many peers that die at any time: each group keeps its own, and keeps all of it.

In a test run once. By hand as often as one likes:

    RAFT_ACTORS_ROUNDS=20 pytest --timeout 0 -s tests/cluster/test_many_groups.py
"""

import itertools
import os
import signal
import threading

from raft_actors import Cluster, Raft
from raft_actors.errors import NotApplied, OutcomeUnknown
from tests.cluster.many import GROUPS, group
from tests.cluster.stage import NAMES
from tests.helpers import eventually

ROUNDS = int(os.environ.get("RAFT_ACTORS_ROUNDS", "1"))
COUNT = int(os.environ.get("RAFT_ACTORS_GROUPS", "8"))
WRITERS = 2  # of each group, on one handle
CALL_S = 2.0
PATIENCE_S = 60
WAYS = itertools.cycle(("linearizable", "lease", "follower"))


class Group:
    """One group: its writers, and what they know of it.

    acknowledged  the commands that were answered
    unknown       those that may have happened
    seen          how many of them a read has found
    strange       what no client should see
    """

    def __init__(self, stage, number):
        self.name = group(number)
        self.members = [(self.name, stage.address(name)[1]) for name in NAMES]
        self.founder = self.members[number % len(NAMES)]  # so that the leaders are spread
        self.acknowledged = set()
        self.unknown = set()
        self.seen = 0
        self.strange = []
        self.ended = threading.Event()

    def is_up(self):
        return all(Raft.status(member)[0] == "ok" for member in self.members)

    def form(self):
        eventually(self.is_up, PATIENCE_S)
        answer = Raft.set_configuration(self.founder, self.members)
        assert answer[0] == "ok", answer

    def begin(self):
        cluster = Cluster(self.members, timeout=CALL_S)
        self.threads = [
            threading.Thread(target=self.run, args=(cluster, writer)) for writer in range(WRITERS)
        ]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.ended.set()

    def run(self, cluster, writer):
        try:
            for number in itertools.count():
                if self.ended.is_set():
                    return
                self.write(cluster, (self.name, writer, number))
                self.read(cluster, next(WAYS))
        except Exception as error:
            self.strange.append(error)
            raise

    def write(self, cluster, command):
        try:
            cluster.write(command)
        except NotApplied:
            return
        except OutcomeUnknown:
            self.unknown.add(command)
        else:
            self.acknowledged.add(command)

    def read(self, cluster, way):
        before = max(self.seen, len(self.acknowledged))
        try:
            found = cluster.read("count", consistency=way)
        except NotApplied:
            return
        assert found >= before, f"a {way} read does not see what was answered before it"
        self.seen = max(self.seen, found)

    def converged(self):
        """Whether all members have a leader, and have applied the same."""
        if len({Raft.leader(member) for member in self.members} - {None}) != 1:
            return False
        answers = [Raft.status(member) for member in self.members]
        if any(answer[0] != "ok" for answer in answers):
            return False
        fields = ("last_applied", "commit_index", "last_index")
        return len({status[field] for _, status in answers for field in fields}) == 1

    def check(self):
        eventually(self.converged, PATIENCE_S)
        assert Raft.leader(self.founder) in self.members
        known = self.acknowledged | self.unknown
        for member in self.members:
            state = Raft.read(member, "all", timeout=PATIENCE_S, consistency="stale")
            assert self.acknowledged <= state.keys(), f"lost by {member}"
            assert state.keys() <= known, f"{member} has what nobody wrote to it"
            assert set(state.values()) == {1}, f"a command ran twice at {member}"


class Groups(list):
    """All groups of the three nodes, with writers on each while the body runs."""

    def __enter__(self):
        for each in self:
            each.begin()
        self.wait_for_more()
        return self

    def __exit__(self, *_):
        for each in self:
            each.end()
        for each in self:
            for thread in each.threads:
                thread.join()

    def wait_for_more(self, count=20):
        """Wait until `count` more are acknowledged in each group."""
        goals = [len(each.acknowledged) + count for each in self]

        def reached():
            assert not [error for each in self for error in each.strange]
            return all(
                len(each.acknowledged) >= goal for each, goal in zip(self, goals, strict=True)
            )

        eventually(reached, PATIENCE_S)

    def all_up(self):
        return all(each.is_up() for each in self)


def test_many_groups_on_nodes_that_are_killed_keep_each_their_own(stage):
    stage.starter = "tests.cluster.many:start"
    stage.environment[GROUPS] = str(COUNT)
    groups = Groups(Group(stage, number) for number in range(COUNT))
    stage.start(*NAMES)
    for each in groups:
        each.form()
    with groups:
        for _ in range(ROUNDS):
            for name in NAMES:
                stage.kill(name)
                groups.wait_for_more()
                stage.start(name)
                eventually(groups.all_up, PATIENCE_S)
            stage.signal(NAMES[0], signal.SIGSTOP)
            groups.wait_for_more()
            stage.signal(NAMES[0], signal.SIGCONT)
            groups.wait_for_more()
            stage.kill(*NAMES)
            stage.start(*NAMES)
            groups.wait_for_more()
    for each in groups:
        each.check()
    for name in NAMES:
        assert stage.processes[name].poll() is None
        assert "Traceback" not in stage.log(name).read_text(), "no peer failed by itself"
    print(f"\n{ROUNDS} rounds, {COUNT} groups: "
          f"{sum(len(each.acknowledged) for each in groups):,} commands acknowledged, "
          f"{sum(len(each.unknown) for each in groups)} unknown")  # fmt: skip
