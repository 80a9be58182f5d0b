"""Semaphores, locks for readers and writers, and flags of real groups."""

import asyncio
import threading
import time

import pytest

from raft_actors import Raft
from raft_actors.kit import AsyncKit, ConfigurationConflict, Kit, LockLost
from tests.helpers import eventually

TTL_S = 1.0


def in_a_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_a_semaphore_lets_so_many_in_and_the_next_one_when_one_goes(kits):
    one, two = (kits().semaphore("gpus", 2) for _ in range(2))
    assert one.acquire()
    assert two.acquire()
    assert one.acquire(blocking=False) is False
    assert one.acquire(timeout=0.05) is False
    info = kits().semaphore_info("gpus")
    assert (info.permits, info.available, info.waiting) == (2, 0, ())
    got = []
    waiting = in_a_thread(lambda: got.append(one.acquire(n=2)))
    eventually(lambda: kits().semaphore_info("gpus").waiting)
    two.release()
    assert got == []
    one.release()
    waiting.join(30)
    assert got == [True]
    assert one.check() > 0
    one.release()
    with pytest.raises(ValueError, match="more often than acquired"):
        one.release()
    with pytest.raises(ConfigurationConflict, match="has 2 permits or parties, not 3"):
        kits().semaphore("gpus", 3).acquire()
    assert kits().resize("gpus", 3) == 2
    assert kits().semaphore("gpus", 3).available() == 3


def test_permits_of_a_kit_that_cannot_keep_its_lease_go_to_others(kits, members, monkeypatch):
    """As when its process is killed: nothing keeps the lease alive."""
    dead = Kit(members, timeout=30.0)
    semaphore = dead.semaphore("one", 1, ttl=TTL_S)
    assert semaphore.acquire()
    token = semaphore.check()
    dead._keeper.close()
    other = kits().semaphore("one", 1, ttl=TTL_S)
    assert other.acquire(timeout=30.0)
    assert other.check() > token
    with pytest.raises(LockLost):
        semaphore.check()
    with pytest.raises(LockLost):
        semaphore.release()
    dead.close()


def test_readers_share_and_writers_are_alone(kits):
    lock = kits().rwlock("prices")
    reader, other, writer = lock.read(), lock.read(), lock.write()
    got = []
    with reader, other:
        assert writer.acquire(blocking=False) is False
        waiting = in_a_thread(lambda: got.append(writer.acquire()))
        assert eventually(lambda: not kits().rwlock("prices").read().acquire(blocking=False))
        assert got == []
    waiting.join(30)
    assert got == [True]
    assert writer.token > other.token
    assert reader.locked()
    with pytest.raises(RuntimeError, match="for writing already"):
        writer.acquire()
    writer.release()
    assert not reader.locked()


def test_a_flag_wakes_all_that_wait_for_it_also_after_a_change_of_leaders(kits, members):
    flag, got = kits().flag("ready"), []
    assert flag.wait(timeout=0.05) is False
    waiting = [in_a_thread(lambda: got.append(kits().flag("ready").wait(60))) for _ in range(3)]
    leader = eventually(lambda: Raft.leader(members[0]))
    assert Raft.transfer_leadership(leader)[0] == "ok"
    time.sleep(0.1)
    assert flag.set() is True
    assert flag.set() is False
    for thread in waiting:
        thread.join(30)
    assert got == [True] * 3
    assert flag.clear() is True
    assert flag.is_set() is False


def test_they_are_awaited_too(members):
    async def main():
        async with AsyncKit(members, timeout=30.0) as kit, AsyncKit(members) as other:
            semaphore = kit.semaphore("s", 1)
            async with semaphore as token:
                assert semaphore.check() == token
                assert await semaphore.available() == 0
                waiting = asyncio.create_task(other.semaphore("s", 1).acquire())
                while not (await kit.semaphore_info("s")).waiting:
                    await asyncio.sleep(0.01)
            assert await waiting
            async with kit.rwlock("r").read():
                assert not await other.rwlock("r").write().acquire(timeout=0.05)
            flag = kit.flag("f")
            waiting = asyncio.create_task(other.flag("f").wait())
            assert not await flag.is_set()
            assert await flag.set()
            assert await waiting
            assert await flag.clear()
            assert await kit.resize("s", 2) == 1

    asyncio.run(main())
