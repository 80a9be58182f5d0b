"""Queues: their commands on one replica against a model, and a real group with workers that die."""

import asyncio
import queue
import signal
import threading
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raft_actors import Config, Raft
from raft_actors.kit import AsyncKit, Batteries, Counts, Kit, KitError
from raft_actors.kit.machine import leases, queues
from raft_actors.peer.peers import peers_of
from tests.helpers import eventually
from tests.kit.replica import Replica
from tests.node_fixtures import make_node, own_directories
from tests.node_helpers import Script
from tests.peer_fixtures import peer_of

__all__ = ["make_node", "own_directories"]


def put(replica, value=b"x", *, priority=0, delay_s=0.0, key="", attempts_max=3, size_max=0):
    return replica.ok("queue", "put", "q", value, priority, delay_s, key, attempts_max, size_max)


class Model(RuleBasedStateMachine):
    """Any commands in any order, beside a model: a job is a list of its state and its numbers."""

    @initialize()
    def begin(self):
        self.replica = Replica()
        self.jobs = {}  # id: [state, priority, attempts, key, worker, token]
        self.waiting = []  # (worker, lease)
        self.leases = {}  # worker: lease
        self.number = 0

    def ready(self):
        return sorted((-job[1], number) for number, job in self.jobs.items() if job[0] == "ready")

    def hand_out(self):
        """Give what is ready to those that wait."""
        while self.waiting and self.ready():
            worker, lease = self.waiting.pop(0)
            self.give(self.ready()[0][1], worker, lease)

    def give(self, number, worker, lease):
        job = self.jobs[number]
        job[0], job[2], job[4], job[5] = "taken", job[2] + 1, worker, self.replica.index
        self.leases[worker] = lease

    def back(self, number, *, delayed=False):
        job = self.jobs[number]
        del self.leases[job[4]]
        job[0] = "dead" if job[2] >= 3 else "delayed" if delayed else "ready"
        if job[0] == "dead":
            job[3] = ""
        self.hand_out()

    def some(self, data, state):
        return data.draw(st.sampled_from([n for n, job in self.jobs.items() if job[0] == state]))

    def has(self, state):
        return any(job[0] == state for job in self.jobs.values())

    @rule(priority=st.integers(-1, 1), delayed=st.booleans(), key=st.sampled_from(["", "k", "l"]))
    def put(self, priority, delayed, key):
        answer, number = put(
            self.replica, priority=priority, delay_s=float(delayed), key=key, size_max=4
        )
        known = [n for n, job in self.jobs.items() if key and job[3] == key]
        if known:
            assert (answer, number) == ("known", known[0])
        elif sum(job[0] in {"ready", "delayed"} for job in self.jobs.values()) >= 4:
            assert (answer, number) == ("full", self.replica.index)
        else:
            assert (answer, number) == ("ok", self.replica.index)
            self.jobs[number] = ["delayed" if delayed else "ready", priority, 0, key, "", 0]
            self.hand_out()

    @rule(waits=st.booleans())
    def take(self, waits):
        lease = self.replica.ok("lease", "grant", "", 9.0)
        self.number += 1
        worker = f"w{self.number}"
        found, index = self.replica.ok("queue", "take", "q", lease, worker, 30.0, waits)
        assert index == self.replica.index
        if self.ready():
            number = self.ready()[0][1]
            self.give(number, worker, lease)
            job = self.jobs[number]
            assert found == (number, b"x", job[2], job[5])
            again, _ = self.replica.ok("queue", "take", "q", lease, worker, 30.0, waits)
            assert again == found, "the same command twice"
        else:
            assert found is None
            if waits:
                self.waiting.append((worker, lease))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), how=st.sampled_from(["leaves", "its lease ends"]))
    def wait_no_more(self, data, how):
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        worker, lease = self.waiting.pop(place)
        if how == "leaves":
            assert self.replica.ok("queue", "leave", "q", worker) is False
        else:
            self.replica.fire(leases.timer_name(lease))

    @precondition(lambda self: self.has("taken"))
    @rule(data=st.data(), how=st.sampled_from(["ack", "nack", "late", "fail", "lease", "time",
                                               "leave", "wrong"]))  # fmt: skip
    def end(self, data, how):
        number = self.some(data, "taken")
        job = self.jobs[number]
        worker, token = job[4:]
        match how:
            case "ack":
                self.replica.ok("queue", "ack", "q", number, token, b"r")
                del self.leases[worker]
                del self.jobs[number]
                assert self.replica.read("queue", "result", "q", number) == ("done", b"r")
            case "nack" | "late":
                self.replica.ok("queue", "nack", "q", number, token, float(how == "late"), "oh")
                self.back(number, delayed=how == "late")
            case "fail":
                self.replica.ok("queue", "fail", "q", number, token, "no use")
                del self.leases[worker]
                job[0], job[3] = "dead", ""
                assert number in [each[0] for each in self.replica.read("queue", "dead", "q")]
            case "lease":
                self.replica.fire(leases.timer_name(self.leases[worker]))
                self.back(number)
            case "time":
                self.replica.fire(f"job {number}")
                self.back(number)
            case "leave":
                assert self.replica.ok("queue", "leave", "q", worker) is True
                job[2] -= 1
                self.back(number)
            case "wrong":
                answer = self.replica.write("queue", "ack", "q", number, token - 1, None)
                assert answer == ("refused", ("job_lost", number))

    @precondition(lambda self: self.has("delayed"))
    @rule(data=st.data())
    def delay_is_over(self, data):
        number = self.some(data, "delayed")
        self.replica.fire(f"job {number}")
        self.jobs[number][0] = "ready"
        self.hand_out()

    @precondition(lambda self: self.has("dead"))
    @rule(data=st.data())
    def retry(self, data):
        number = self.some(data, "dead")
        assert self.replica.ok("queue", "retry_dead", "q", number) is True
        self.jobs[number][0], self.jobs[number][2] = "ready", 0
        self.hand_out()

    @rule()
    def restart_from_a_snapshot(self):
        other = self.replica.restored()
        assert other.items() == self.replica.items()
        self.replica = other

    @invariant()
    def the_queue_is_that_of_the_model(self):
        states = Counter(job[0] for job in self.jobs.values())
        assert self.replica.read("queue", "counts", "q") == tuple(
            states[state] for state in queues.STATES
        )
        for number, job in self.jobs.items():
            assert self.replica.read("queue", "result", "q", number)[0] == job[0]
            if job[0] == "taken":
                found, _waits = self.replica.read("queue", "look", "q", job[4])
                assert found == (number, b"x", job[2], job[5])
        for worker, _lease in self.waiting:
            assert self.replica.read("queue", "look", "q", worker) == (None, True)
        timed = {f"job {n}" for n, job in self.jobs.items() if job[0] in {"taken", "delayed"}}
        assert {name for name in self.replica.timers if name.startswith("job")} == timed


TestModel = Model.TestCase


@pytest.mark.parametrize(
    "command",
    [("put", "q", "text", 0, 0.0, "", 1, 0), ("put", "q", b"", 0.5, 0.0, "", 1, 0),
     ("put", "q", b"", 0, -1.0, "", 1, 0), ("put", "q", b"", 0, 0.0, "", 0, 0),
     ("take", "q", 99, "w", 30.0, True), ("take", "q", 99, "w", 0, True),
     ("ack", "q", 5, 5, None), ("nack", "q", 5, 5, 0.0, ""), ("extend", "q", 5, 5, 1.0)],
    ids=repr,
)  # fmt: skip
def test_a_command_that_can_not_be_done_changes_nothing(command):
    replica = Replica()
    put(replica)
    before = replica.items()
    assert replica.write("queue", *command)[0] == "refused"
    assert replica.items() == before


def test_only_so_many_results_are_kept(monkeypatch):
    monkeypatch.setattr(queues, "RESULTS_MAX", 2)
    replica = Replica()
    lease = replica.ok("lease", "grant", "", 9.0)
    done = []
    for _ in range(3):
        put(replica)
        (job, *_, token), _index = replica.ok("queue", "take", "q", lease, "w", 30.0, False)
        replica.ok("queue", "ack", "q", job, token, b"r")
        done.append(replica.read("queue", "result", "q", job))
    assert done == [("done", b"r")] * 3
    assert len(replica.items()["queue", "q", "results"]) == 2
    assert ("jobs", "") not in replica.items()


def test_jobs_are_put_taken_and_acknowledged(kits):
    q = kits().queue("q", max_attempts=2)
    numbers = [q.put({"n": n}) for n in range(3)]
    urgent = q.put("urgent", priority=5)
    assert q.put("once", key="k") > 0
    assert q.put("again", key="k") == 0
    assert q.qsize() == 5
    with q.get() as job:
        assert (job.id, job.item, job.attempt) == (urgent, "urgent", 1)
    job = q.get()
    assert (job.id, job.item) == (numbers[0], {"n": 0})
    job.ack(result=[1, 2])
    assert q.result(job.id) == [1, 2]
    with pytest.raises(KitError, match="not this worker's any more"):
        job.ack()
    with pytest.raises(TimeoutError):
        q.result(numbers[1], timeout=0.05)
    for attempt in (1, 2):
        job = q.get()
        assert (job.id, job.attempt) == (numbers[1], attempt)
        job._backoff_s = lambda: 0.0
        with pytest.raises(ZeroDivisionError), job:
            _ = 1 / 0
    (dead,) = q.dead()
    assert (dead.id, dead.item, dead.attempts) == (numbers[1], {"n": 1}, 2)
    assert dead.reason == "ZeroDivisionError: division by zero"
    with pytest.raises(KitError, match="was given up"):
        q.result(numbers[1])
    assert q.retry_dead(dead.id)
    job = q.get()
    assert (job.id, job.attempt) == (numbers[1], 1)
    job.extend(60.0)
    job.nack(delay=60.0)
    q.get().fail("no use")
    assert (q.counts().delayed, q.counts().dead, q.counts().ready) == (1, 1, 1)


def test_who_waits_for_a_job_gets_it_first_come_first_served(kits, members):
    q = kits().queue("q")
    with pytest.raises(queue.Empty):
        q.get(block=False)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.05)
    got = []

    def work(number, each):
        with each.get() as job:
            got.append((number, job.item))

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=work, args=(number, kits().queue("q"))))
        threads[-1].start()
        eventually(lambda number=number: waiting_everywhere(members) == number + 1)
    for item in "abc":
        q.put(item)
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [(0, "a"), (1, "b"), (2, "c")]


def waiting_everywhere(members):
    """How many workers wait, as every replica knows it."""
    states = [peer_of(name).replica.applier.applied.state for name in members]
    return min(len(state.look("queue", "q", "waiting")) for state in states)


def test_a_full_queue_is_waited_for(kits):
    q = kits().queue("q", maxsize=2)
    for item in "ab":
        q.put(item)
    with pytest.raises(queue.Full, match="2 jobs"):
        q.put("c", block=False)
    with pytest.raises(queue.Full):
        q.put("c", timeout=0.05)
    threading.Timer(0.1, lambda: q.get().ack()).start()
    assert q.put("c", timeout=30.0)


def test_a_job_whose_time_is_over_goes_to_another_worker(kits):
    q, other = kits().queue("q", visibility=0.3), kits().queue("q")
    q.put("x")
    late = q.get()
    again = other.get(timeout=30.0)
    assert (again.id, again.attempt, again.token > late.token) == (late.id, 2, True)
    with pytest.raises(KitError, match="another one has got it"):
        late.ack()
    again.ack()


WORKER = """
import sys
from raft_actors.kit import Kit

kit = Kit.connect(sys.argv[1], "kit", timeout=60.0)
print("ready")
for job in kit.queue("q", ttl=1.0, visibility=60.0):
    with open(sys.argv[2], "a") as done:
        done.write(f"{job.item} {job.attempt}\\n")
    job.ack()
"""


def test_every_job_is_done_though_workers_and_leaders_die(make_node, tmp_path):
    """Three nodes; workers are light clients in processes of their own, killed with -9."""
    nodes = [make_node(f"{letter}@h") for letter in "abc"]
    members = [("kit", node.name) for node in nodes]
    for node in nodes:
        config = Config(data_dir=tmp_path / node.name)
        assert peers_of(node).start(Batteries, "kit", config, members)[0] == "ok"
    addresses = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    done = tmp_path / "done"
    done.touch()
    workers = [Script(WORKER, addresses, done) for _ in range(2)]
    try:
        for worker in workers:
            assert worker.line() == "ready"
        with Kit.connect(addresses, "kit", timeout=60.0) as kit:
            q = kit.queue("q")
            for number in range(200):
                q.put(number)
                if number % 50 == 25:
                    workers[0].signal(signal.SIGKILL)
                    workers[0].kill()
                    workers[0] = Script(WORKER, addresses, done)
                if number == 100:
                    leader = next(n for n in nodes if n.name == kit.cluster.leader[1])
                    assert peers_of(leader).stop("kit") == "ok"
            eventually(lambda: q.counts() == Counts(0, 0, 0, 0))
    finally:
        for worker in workers:
            worker.kill()
    lines = [line.split() for line in done.read_text().splitlines()]
    attempts = Counter(int(number) for number, _attempt in lines)
    assert sorted(attempts) == list(range(200)), "none is lost"
    doubles = {number for number, count in attempts.items() if count > 1}
    again = {int(number) for number, attempt in lines if int(attempt) > 1}
    assert doubles <= again, "each job that was done twice has a higher attempt the second time"


def test_queues_are_awaited_too(members):
    async def main():
        async with AsyncKit(members, timeout=30.0) as kit:
            q = kit.queue("q", value=int, max_attempts=1)
            number = await q.put(1)
            async with await q.get() as job:
                await job.extend(30.0)
                await job.ack(result=2)
            assert await q.result(number) == 2
            with pytest.raises(queue.Empty):
                await q.get(timeout=0.05)
            await q.put(2)
            await (await q.get()).nack(delay=0.0)
            (dead,) = await q.dead()
            assert await q.retry_dead(dead.id)
            async for job in q:
                await job.fail("no use")
                break
            assert (await q.counts()).dead == 1
            waiting = asyncio.create_task(q.get())
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(main())
    assert Raft.leader(members[0])
