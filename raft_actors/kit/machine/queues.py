"""Queues on the replicas: jobs, those that wait for one, and what was done.

A job is ready, delayed, taken or dead. A taken job has a token, the index of the entry that has
given it away, and hangs on the lease of its worker. It is ready again if the lease ends, and when
its time is over: so a job whose worker has died runs again, with a higher attempt.
"""

from heapq import heapify, heappop, heappush
from typing import Any

from raft_actors.effects import CancelTimer, Notify, Timer
from raft_actors.kit.machine import leases
from raft_actors.kit.machine.step import Kind, Refused, Step
from raft_actors.kit.machine.tables import Tables

__all__ = ["RESULTS_MAX", "fire", "kind", "result_topic", "room_topic", "topic_of"]

RESULTS_MAX = 1_000
"""So many results of one queue are kept: the newest."""
READY, DELAYED, TAKEN, DEAD = "ready", "delayed", "taken", "dead"
STATES = (READY, DELAYED, TAKEN, DEAD)

# A job: (state, value, priority, attempts, attempts at most, key, worker, token, lease, reason).
Job = tuple[str, bytes, int, int, int, str, str, int, int, str]


def topic_of(name: str, worker: str) -> str:
    return f"queue {worker} {name}"


def result_topic(job: int) -> str:
    return f"result {job}"


def room_topic(name: str) -> str:
    return f"queue {name}"


def timer_name(job: int) -> str:
    return f"job {job}"


# Commands.


def put(
    step: Step, name: str, value: bytes, priority: int, delay_s: float, key: str, attempts_max: int,
    size_max: int,
) -> tuple[str, int]:  # fmt: skip
    """Add a job. Return ("ok", job), ("full", index), or ("known", the job that has this key). The
    index is that of this command.

    key       no two jobs that are not done have the same; "" for none
    size_max  refuse it if so many jobs are ready or delayed; 0 for any number
    """
    if type(value) is not bytes or type(priority) is not int or type(key) is not str:
        raise Refused("bad_argument", "a job is bytes, its priority a number, and its key a text")
    if type(attempts_max) is not int or attempts_max < 1:
        raise Refused("bad_argument", "a job is tried once at least")
    if type(delay_s) is not float or not 0.0 <= delay_s <= leases.LEASE_S_MAX:
        raise Refused("bad_argument", f"a delay is 0 to {leases.LEASE_S_MAX} s")
    known = step.tables.look("queue", name, "keys").get(key) if key else None
    if known is not None:
        return "known", known
    if size_max:
        now = step.tables.look("queue", name, "counts")
        if now.get(READY, 0) + now.get(DELAYED, 0) >= size_max:
            return "full", step.index
    job = step.index
    step.tables.change("jobs", "")[job] = name
    if key:
        step.tables.change("queue", name, "keys")[key] = job
    added: Job = (READY, value, priority, 0, attempts_max, key, "", 0, 0, "")
    step.tables.change("queue", name, "jobs")[job] = added
    count(step, name, READY, 1)
    if delay_s:
        move(step, name, job, DELAYED)
        step.effects.append(Timer(timer_name(job), delay_s))
    else:
        make_ready(step, name, job)
    return "ok", job


def take(
    step: Step, name: str, lease: int, worker: str, visible_s: float, waits: bool
) -> tuple[Any, int]:
    """Give the next job to `worker`, or note that it waits. Return (job, index): the job is None if
    there is none, else (id, value, attempt, token). The index is that of this command.
    """
    if (mine := look(step.tables, name, worker)[0]) is not None:
        return mine, step.index
    if type(visible_s) is not float or not leases.LEASE_S_MIN <= visible_s <= leases.LEASE_S_MAX:
        raise Refused("bad_argument", f"a job is taken for {leases.LEASE_S_MIN} s at least")
    leases.check(step.tables, lease)
    job = next_ready(step.tables, name)
    if job:
        give(step, name, job, worker, lease, visible_s)
        return look(step.tables, name, worker)[0], step.index
    if waits and worker not in step.tables.look("queue", name, "waiting"):
        step.tables.change("queue", name, "waiting")[worker] = (lease, visible_s)
        leases.hang(step, lease, "queue", name, "waits", worker)
    return None, step.index


def leave(step: Step, name: str, worker: str) -> bool:
    """Wait no more. Return whether `worker` had a job meanwhile: the job is ready again, and the
    attempt does not count.
    """
    waiting = step.tables.look("queue", name, "waiting").get(worker)
    if waiting is not None:
        del step.tables.change("queue", name, "waiting")[worker]
        leases.unhang(step, waiting[0], "queue", name, "waits", worker)
        return False
    job = step.tables.look("queue", name, "workers").get(worker)
    if job is None:
        return False
    now = step.tables.look("queue", name, "jobs")[job]
    step.tables.change("queue", name, "jobs")[job] = (*now[:3], now[3] - 1, *now[4:])
    give_back(step, name, job, "", 0.0)
    return True


def ack(step: Step, name: str, job: int, token: int, result: bytes | None) -> None:
    """Note that a job is done, and what it has returned."""
    held(step.tables, name, job, token)
    take_back(step, name, job)
    forget(step, name, job)
    if result is not None:
        results = step.tables.change("queue", name, "results")
        results[job] = result
        if len(results) > RESULTS_MAX:
            del results[next(iter(results))]
    step.effects.append(Notify(result_topic(job)))


def nack(step: Step, name: str, job: int, token: int, delay_s: float, reason: str) -> str:
    """Give a job back, to be tried again in `delay_s`. Return its state."""
    held(step.tables, name, job, token)
    if type(delay_s) is not float or not 0.0 <= delay_s <= leases.LEASE_S_MAX:
        raise Refused("bad_argument", f"a delay is 0 to {leases.LEASE_S_MAX} s")
    give_back(step, name, job, reason, delay_s)
    return state_of(step.tables, name, job)


def fail(step: Step, name: str, job: int, token: int, reason: str) -> None:
    """Note that it is of no use to try a job again."""
    held(step.tables, name, job, token)
    take_back(step, name, job)
    die(step, name, job, reason)


def extend(step: Step, name: str, job: int, token: int, visible_s: float) -> None:
    """Begin the time of a taken job anew."""
    held(step.tables, name, job, token)
    if type(visible_s) is not float or not leases.LEASE_S_MIN <= visible_s <= leases.LEASE_S_MAX:
        raise Refused("bad_argument", f"a job is taken for {leases.LEASE_S_MIN} s at least")
    step.effects.append(Timer(timer_name(job), visible_s))


def retry_dead(step: Step, name: str, job: int) -> bool:
    """Make a dead job ready, with all its attempts. Return whether there was such a job."""
    if state_of(step.tables, name, job) != DEAD:
        return False
    now = step.tables.look("queue", name, "jobs")[job]
    step.tables.change("queue", name, "jobs")[job] = (*now[:3], 0, *now[4:9], "")
    move(step, name, job, READY)
    make_ready(step, name, job)
    return True


def release(step: Step, name: str, what: str, worker: str) -> None:
    """The lease of `worker` has ended."""
    if what == "waits":
        del step.tables.change("queue", name, "waiting")[worker]
        step.effects.append(Notify(topic_of(name, worker)))  # it need not wait any more
        return
    job = step.tables.look("queue", name, "workers")[worker]
    give_back(step, name, job, "its worker has ended", 0.0)


def fire(step: Step, job: int) -> None:
    """The time of a job is over: its delay, or the time for which it was taken."""
    name = step.tables.look("jobs", "").get(job)
    if name is None:
        return
    match state_of(step.tables, name, job):
        case "delayed":
            move(step, name, job, READY)
            make_ready(step, name, job)
        case "taken":
            give_back(step, name, job, "its time was over", 0.0)


# Steps of these.


def give(step: Step, name: str, job: int, worker: str, lease: int, visible_s: float) -> None:
    jobs = step.tables.change("queue", name, "jobs")
    state, value, priority, attempts, attempts_max, key, *_ = jobs[job]
    assert state == READY, "it was found among those"
    jobs[job] = (
        READY, value, priority, attempts + 1, attempts_max, key, worker, step.index, lease, "",
    )  # fmt: skip
    move(step, name, job, TAKEN)
    step.tables.change("queue", name, "workers")[worker] = job
    leases.hang(step, lease, "queue", name, "has", worker)
    step.effects += [Timer(timer_name(job), visible_s), Notify(room_topic(name))]


def take_back(step: Step, name: str, job: int) -> None:
    """Part a job from its worker."""
    _state, _v, _p, _a, _m, _key, worker, _token, lease, _r = step.tables.look(
        "queue", name, "jobs"
    )[job]
    leases.unhang(step, lease, "queue", name, "has", worker)
    del step.tables.change("queue", name, "workers")[worker]
    step.effects.append(CancelTimer(timer_name(job)))


def give_back(step: Step, name: str, job: int, reason: str, delay_s: float) -> None:
    """Try a taken job again, now or later, unless it was tried as often as it may be."""
    take_back(step, name, job)
    _state, _value, _priority, attempts, attempts_max, *_ = step.tables.look("queue", name, "jobs")[
        job
    ]
    if attempts >= attempts_max:
        die(step, name, job, reason)
    elif delay_s:
        move(step, name, job, DELAYED)
        step.effects.append(Timer(timer_name(job), delay_s))
    else:
        move(step, name, job, READY)
        make_ready(step, name, job)


def die(step: Step, name: str, job: int, reason: str) -> None:
    now = step.tables.look("queue", name, "jobs")[job]
    step.tables.change("queue", name, "jobs")[job] = (*now[:9], reason)
    move(step, name, job, DEAD)
    if now[5]:
        del step.tables.change("queue", name, "keys")[now[5]]
        step.tables.change("queue", name, "jobs")[job] = (DEAD, *now[1:5], "", *now[6:9], reason)
    step.effects.append(Notify(result_topic(job)))


def forget(step: Step, name: str, job: int) -> None:
    """Remove a job that is done."""
    state, _value, _priority, _attempts, _max, key, *_ = step.tables.change(
        "queue", name, "jobs"
    ).pop(job)
    count(step, name, state, -1)
    del step.tables.change("jobs", "")[job]
    if key:
        del step.tables.change("queue", name, "keys")[key]


def move(step: Step, name: str, job: int, state: str) -> None:
    jobs = step.tables.change("queue", name, "jobs")
    now = jobs[job]
    jobs[job] = (state, *now[1:])
    count(step, name, now[0], -1)
    count(step, name, state, 1)


def count(step: Step, name: str, state: str, more: int) -> None:
    counts = step.tables.change("queue", name, "counts")
    left = counts.get(state, 0) + more
    if left:
        counts[state] = left
    else:
        del counts[state]


def make_ready(step: Step, name: str, job: int) -> None:
    """Give a job that is ready to the worker that has waited longest, if one waits."""
    heap = step.tables.orders.get(("queue", name, "jobs"))
    if heap is not None:
        heappush(heap, place_of(step.tables, name, job))
    waiting = step.tables.look("queue", name, "waiting")
    if waiting:
        worker = next(iter(waiting))
        lease, visible_s = step.tables.change("queue", name, "waiting").pop(worker)
        leases.unhang(step, lease, "queue", name, "waits", worker)
        following = next_ready(step.tables, name)
        give(step, name, following, worker, lease, visible_s)
        step.effects.append(Notify(topic_of(name, worker)))


def place_of(tables: Tables, name: str, job: int) -> tuple[int, int]:
    """Return what ready jobs are sorted by: the highest priority first, then the oldest."""
    return -tables.look("queue", name, "jobs")[job][2], job


def next_ready(tables: Tables, name: str) -> int:
    """Return the ready job that is next; 0 if there is none.

    The heap is beside the state, and made anew after a restart. It may have jobs that are not ready
    any more.
    """
    jobs = tables.look("queue", name, "jobs")
    heap = tables.orders.get(("queue", name, "jobs"))
    if heap is None:
        ready = (job for job, now in jobs.items() if now[0] == READY)
        heap = tables.orders["queue", name, "jobs"] = [place_of(tables, name, job) for job in ready]
        heapify(heap)
    while heap:
        job: int = heap[0][1]
        if job in jobs and jobs[job][0] == READY:
            return job
        heappop(heap)
    return 0


def held(tables: Tables, name: str, job: int, token: int) -> None:
    """Raise Refused if the job was given to another worker since, or is done."""
    now = tables.look("queue", name, "jobs").get(job)
    if now is None or now[0] != TAKEN or now[7] != token:
        raise Refused("job_lost", job)


def state_of(tables: Tables, name: str, job: int) -> str:
    now = tables.look("queue", name, "jobs").get(job)
    return "" if now is None else str(now[0])


# Queries.


def look(tables: Tables, name: str, worker: str) -> tuple[Any, bool]:
    """Return the job that `worker` has, see `take`, and whether it waits for one."""
    job = tables.look("queue", name, "workers").get(worker)
    if job is None:
        return None, worker in tables.look("queue", name, "waiting")
    now = tables.look("queue", name, "jobs")[job]
    return (job, now[1], now[3], now[7]), False


def counts(tables: Tables, name: str) -> tuple[int, ...]:
    now = tables.look("queue", name, "counts")
    return tuple(now.get(state, 0) for state in STATES)


def dead(tables: Tables, name: str) -> tuple[tuple[int, bytes, int, str], ...]:
    """Return (job, value, attempts, reason) of the dead jobs, the oldest first; 1,000 at most."""
    found = []
    for job, now in sorted(tables.look("queue", name, "jobs").items()):
        if now[0] == DEAD:
            found.append((job, now[1], now[3], now[9]))
        if len(found) == RESULTS_MAX:
            break
    return tuple(found)


def result(tables: Tables, name: str, job: int) -> tuple[str, bytes | None]:
    """Return the state of a job, and its result: ("done", bytes), ("dead", None). The state is ""
    for a job that is done and whose result is not known any more.
    """
    found = tables.look("queue", name, "results").get(job)
    return ("done", found) if found is not None else (state_of(tables, name, job), None)


kind: Kind = Kind(
    verbs={"put": put, "take": take, "leave": leave, "ack": ack, "nack": nack, "fail": fail,
           "extend": extend, "retry_dead": retry_dead},
    queries={"look": look, "counts": counts, "dead": dead, "result": result},
    release=release,
)  # fmt: skip
