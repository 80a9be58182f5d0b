"""Locks of real groups: holders that end, are paused, or can't reach the group."""

import asyncio
import os
import signal
import threading
import time

import pytest

from raft_actors import AsyncCluster, Cluster, Config, Raft
from raft_actors.errors import Unavailable
from raft_actors.kit import AsyncKit, Batteries, Kit, LeaseLost, LockLost
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from tests.helpers import eventually
from tests.node_fixtures import make_node, own_directories
from tests.node_helpers import Script
from tests.peer_fixtures import peer_of

__all__ = ["make_node", "own_directories"]

TTL_S = 1.0


def in_a_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_one_holds_a_lock_and_the_others_get_it_in_the_order_in_which_they_came(kits):
    first = kits().lock("a")
    assert first.acquire()
    assert first.owned
    got, waiting = [], []
    for number in range(3):
        lock = kits().lock("a")

        def take(lock=lock, number=number):
            with lock as token:
                got.append((number, token))

        waiting.append(in_a_thread(take))
        eventually(lambda number=number: len(kits().lock_info("a").waiting) == number + 1)
    assert got == []
    first.release()
    for thread in waiting:
        thread.join(30)
    assert [number for number, _token in got] == [0, 1, 2]
    tokens = [first.token, *(token for _number, token in got)]
    assert tokens == sorted({*tokens}), "each holder has a higher token"
    assert not first.owned
    with pytest.raises(RuntimeError, match="is not held here"):
        first.release()


def test_who_does_not_want_to_wait_long_leaves_the_queue(kits):
    holder, other = kits().lock("a"), kits().lock("a")
    with holder:
        assert other.acquire(blocking=False) is False
        assert other.acquire(timeout=0.05) is False
        assert kits().lock_info("a").waiting == ()
        assert other.locked()
    assert not other.locked()
    with pytest.raises(ValueError, match="does not block"):
        other.acquire(blocking=False, timeout=1.0)
    with other, pytest.raises(RuntimeError, match="another object"):
        other.acquire()


def test_a_wait_that_is_interrupted_leaves_the_queue(kits):
    holder, other = kits().lock("a"), kits().lock("a")
    with holder:
        main = threading.main_thread().ident
        in_a_thread(
            lambda: (
                eventually(lambda: kits().lock_info("a").waiting),
                signal.pthread_kill(main, signal.SIGINT),
            )
        )
        with pytest.raises(KeyboardInterrupt):
            other.acquire()
        eventually(lambda: kits().lock_info("a").waiting == ())


def test_a_lock_survives_its_leader_and_its_holder_goes_on(kits, members):
    lock = kits().lock("a", ttl=TTL_S)
    with lock as token:
        for _ in range(3):
            leader = eventually(lambda: Raft.leader(members[0]))
            assert Raft.transfer_leadership(leader)[0] == "ok"
            time.sleep(TTL_S / 2)
            assert lock.check() == token
    assert kits().lock_info("a").holder is None


def test_clocks_of_people_decide_nothing(kits, members, monkeypatch):
    lock = kits().lock("a", ttl=TTL_S)
    with lock as token:
        for hours in (-1, 1, -100):
            for name in members:
                monkeypatch.setattr(
                    peer_of(name), "wall_clock", lambda hours=hours: time.time() + 3600 * hours
                )
            time.sleep(TTL_S / 2)
            assert lock.check() == token


def test_what_a_kit_holds_is_free_when_the_kit_is_closed(kits, members):
    kit = Kit(members)
    lock = kit.lock("a")
    assert lock.acquire()
    kit.close()
    assert kits().lock_info("a").holder is None
    with pytest.raises(LockLost):
        lock.check()


def test_a_lock_that_is_taken_away_has_a_higher_token_and_its_holder_is_told_at_its_release(kits):
    lock, other = kits().lock("a"), kits().lock("a")
    assert lock.acquire()
    assert kits().force_release("a", lock.token)
    with other as token:
        assert token > lock.token
        with pytest.raises(LockLost, match="taken away"):
            lock.release()


def test_an_error_inside_of_the_block_is_not_replaced_by_that_of_its_end(kits):
    kit = kits()

    def work():
        with kit.lock("a") as token:
            kit.force_release("a", token)
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()


def test_a_group_that_cannot_be_reached_is_said_in_words_and_owes_nothing(make_peer):
    name, _ = make_peer(Batteries)
    other, _ = make_peer(Batteries)
    assert Raft.set_configuration(name, [name, other])[0] == "ok"
    with Kit([name, other], timeout=0.5) as kit:
        lock = kit.lock("a", ttl=TTL_S)
        assert lock.acquire()
        Raft.stop(other)
        with pytest.raises(Unavailable):
            kit.lock("b").acquire()
        eventually(lambda: not lock.owned)
        with pytest.raises(LockLost, match="could not reach the group"):
            lock.check()
        make_peer(Batteries, name=other)
        assert kit.lock("b").acquire(timeout=30.0)
        eventually(lambda: kit.lock_info("a").holder is None)
        assert kit.lock_info("b").waiting == ()


def test_a_kit_of_another_machine_says_so(trio):
    with Kit(trio(KVStore)) as kit, pytest.raises(TypeError, match="is not Batteries"):
        kit.lock_info("a")


def test_a_lease_tells_what_hangs_on_it_when_it_is_lost(kits):
    told = []
    with kits().lease(ttl=TTL_S) as lease:
        lease.on_lost(lambda: told.append("lost"))
        time.sleep(TTL_S * 1.5)
        assert lease.alive
        assert not told
    assert (told, lease.lost.is_set(), lease.remaining()) == (["lost"], True, 0.0)
    lease.on_lost(lambda: told.append("at once"))
    assert told == ["lost", "at once"]


def test_who_wants_to_know_the_end_of_a_lock_is_told_at_its_release_and_once(kits):
    """Planted: the callback stays with the lease, which other locks share."""
    kit, told = kits(), []
    lock, other = kit.lock("a"), kit.lock("b")
    with other:
        with lock:
            lock.on_lost(lambda: told.append("released"))
            assert not told
        assert told == ["released"]
        (lease,) = kit._core.leases.by_id.values()
        assert not lease._callbacks
        with pytest.raises(LockLost, match="not held here"):
            lock.on_lost(print)
    kit.close()
    assert told == ["released"]


def test_a_kit_keeps_a_hundred_locks_with_one_lease(kits):
    kit = kits()
    locks = [kit.lock(f"lock {number}", ttl=TTL_S) for number in range(100)]
    for lock in locks:
        assert lock.acquire()
    assert len(kit._core.leases.by_id) == 1
    time.sleep(TTL_S * 1.2)
    assert all(lock.owned for lock in locks)


def test_a_forked_child_holds_nothing(kits):
    kit = kits()
    lock = kit.lock("a")
    with lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if not lock.owned else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock.owned


HOLDER = """
import sys
from raft_actors.kit import Kit, LockLost

kit = Kit.connect(sys.argv[1], "kit", timeout=30.0)
lock = kit.lock("a", ttl=1.0)
for line in sys.stdin:
    match line.strip():
        case "acquire": lock.acquire(); print(lock.token)
        case "check":
            try:
                print(lock.check())
            except LockLost:
                print("lost")
"""


@pytest.fixture
def address(make_node, tmp_path):
    """Where a node listens whose peer "kit" runs Batteries."""
    node = make_node("kit@h")
    config = Config(data_dir=tmp_path / "kit")
    assert peers_of(node).start(Batteries, "kit", config, [("kit", node.name)])[0] == "ok"
    return f"127.0.0.1:{node.port}"


def test_a_holder_that_is_killed_or_paused_loses_the_lock_within_its_time(address):
    """From outside, as programs do it: light clients in processes of their own."""
    tokens = []
    with Kit.connect(address, "kit", timeout=30.0) as kit:
        mine = kit.lock("a", ttl=1.0)
        for how in (signal.SIGKILL, signal.SIGSTOP):
            holder = Script(HOLDER, address)
            try:
                tokens.append(int(holder.say("acquire")))
                assert int(holder.say("check")) == tokens[-1]
                holder.signal(how)
                assert mine.acquire(timeout=30.0)
                tokens.append(mine.check())
                if how == signal.SIGSTOP:
                    holder.signal(signal.SIGCONT)
                    assert holder.say("check") == "lost"
                mine.release()
            finally:
                holder.kill()
    assert tokens == sorted({*tokens})


def test_locks_are_awaited_too(members):
    async def main():
        async with AsyncKit(members, timeout=30.0) as kit, AsyncKit(members) as other:
            lock, theirs = kit.lock("a", ttl=TTL_S), other.lock("a")
            async with lock as token:
                assert await lock.locked()
                assert lock.check() == token
                assert await theirs.acquire(timeout=0.05) is False
                waiting = asyncio.create_task(theirs.acquire())
                while not (await kit.lock_info("a")).waiting:
                    await asyncio.sleep(0.01)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                while (await kit.lock_info("a")).waiting:
                    await asyncio.sleep(0.01)
                waiting = asyncio.create_task(theirs.acquire())
                await asyncio.sleep(TTL_S * 1.2)
                assert lock.owned
            assert await waiting
            assert theirs.token > token
            await theirs.release()
            async with kit.lease(TTL_S) as lease:
                assert lease.alive
            assert not lease.alive
            with pytest.raises(LockLost):
                await kit.force_release("a", 1)

    asyncio.run(main())


def test_a_handle_of_the_user_stays_open(members):
    async def main():
        async with AsyncCluster(members) as cluster:
            async with AsyncKit(cluster) as kit, kit.lock("a"):
                pass
            await cluster.barrier()

    asyncio.run(main())
    with Cluster(members) as cluster:
        with Kit(cluster) as kit, kit.lock("a"):
            pass
        cluster.barrier()


def test_a_lease_that_ended_in_the_log_is_lost_here_at_the_next_keepalive(kits, members):
    with kits().lease(ttl=TTL_S) as lease:
        with Cluster(members) as cluster:
            assert cluster.write(("lease", "end", "", lease.id)) == ("ok", True)
        eventually(lambda: lease.lost.is_set())
    assert issubclass(LockLost, LeaseLost)
