"""Workers of web programs: processes that are clients of a group, followed to their ends."""

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from raft_actors import AsyncCluster, Cluster
from tests.helpers import eventually
from tests.node_fixtures import make_script, own_directories
from tests.node_helpers import ROOT, free_port

__all__ = ["make_script", "own_directories"]

MEMBER = """
    import sys
    from raft_actors import Node, Raft
    from raft_actors.kv_store import KVStore
    name, port, data_dir, *members = sys.argv[1:]
    Node.start(name, port=int(port))
    members = [("kv", member) for member in members]
    print(Raft.start_peer(KVStore, name="kv", members=members, data_dir=data_dir)[0])
    for _line in sys.stdin:
        print(Raft.status("kv")[1]["sessions"]["open"])
"""
WORKERS = 4


@pytest.fixture
def members(make_script, tmp_path):
    """Three processes, each a member, by their names; and the URL of their group."""
    names = [f"{name}@127.0.0.1" for name in "abc"]
    ports = [free_port() for _ in names]
    scripts = {
        name: make_script(MEMBER, name, port, tmp_path / name, *names)
        for name, port in zip(names, ports, strict=True)
    }
    assert [script.line() for script in scripts.values()] == ["ok"] * 3
    return scripts, "raft://kv@" + ",".join(f"127.0.0.1:{port}" for port in ports)


def session_counts(scripts):
    return {script.say("sessions") for script in scripts if script.process.poll() is None}


@pytest.fixture
def web(members, monkeypatch):
    """The example, run by uvicorn with four workers; returns a function that makes a request."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    port = free_port()
    monkeypatch.setenv("RAFT_ACTORS_URL", members[1])
    command = ["-m", "uvicorn", "examples.web_app:app", "--workers", str(WORKERS)]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port), "--log-level", "warning"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip

    def ask(method, path):
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def is_up():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(is_up, 60)
        yield process, ask
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_four_workers_answer_while_a_leader_is_killed_and_end_with_ctrl_c(members, web):
    scripts, url = members
    process, ask = web
    with Cluster.connect(url) as observer:
        leader = observer.await_leader(30)

    workers = set()

    def put(number):
        answer = ask("PUT", f"/keys/k{number}?value={number}")
        workers.add(answer["worker"])
        return number

    with ThreadPoolExecutor(16) as pool:
        numbers = iter(range(400, 10_000))
        eventually(lambda: list(pool.map(put, [next(numbers)] * 8)) and len(workers) == WORKERS)
        done = list(pool.map(put, range(200)))
        later = [pool.submit(put, number) for number in range(200, 400)]
        scripts[leader[1]].signal(signal.SIGKILL)
        done += [each.result() for each in later]
        assert done == list(range(400)), "each request was answered, and none with an error"
        kept = pool.map(lambda number: ask("GET", f"/keys/k{number}")["value"], done)
        assert list(kept) == [str(number) for number in done]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask("GET", "/keys/nothing")

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.wait(30)
    eventually(lambda: all(map(is_gone, workers)))
    # A session is opened twice if the answer comes so late that the worker asks again.
    eventually(lambda: max(map(int, session_counts(scripts.values()))) < WORKERS)


# A handle that is made before its process forks, as gunicorn, Celery and multiprocessing do.


shared = {}


def write_in_child(number):
    answer = shared["cluster"].write(("set", number, os.getpid()))
    asked = shared["asynchronous"]
    return answer, asyncio.run(asked.read(("get", number))), os.getpid()


def close_in_child():
    for cluster in shared.values():
        cluster.close()


def begin_in_child():
    multiprocessing.util.Finalize(None, close_in_child, exitpriority=1)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("is_used", [False, True], ids=["unused", "used"])
def test_forked_workers_use_a_handle_of_before_the_fork(members, is_used):
    scripts, url = members
    shared["cluster"], shared["asynchronous"] = Cluster.connect(url), AsyncCluster.connect(url)
    parent = shared["cluster"]
    if is_used:
        assert parent.write(("set", "parent", 1)) == ("ok", "parent", 1)
        assert asyncio.run(shared["asynchronous"].read(("get", "parent"))) == ("ok", 1)
    with multiprocessing.get_context("fork").Pool(WORKERS, begin_in_child) as pool:
        answers = pool.map(write_in_child, range(40), chunksize=1)
        pool.close()
        pool.join()
    assert len({pid for _answer, _read, pid in answers}) > 1
    for number, (answer, read, pid) in enumerate(answers):
        assert (answer, read) == (("ok", number, pid), ("ok", pid))
    assert parent.read(("get", 39))[0] == "ok"
    parent.close()
    shared["asynchronous"].close()
    eventually(lambda: session_counts(scripts.values()) == {"0"})
