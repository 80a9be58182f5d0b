"""Elections, barriers and memberships of real groups."""

import asyncio
import threading
from threading import BrokenBarrierError

import pytest

from raft_actors import Raft
from raft_actors.kit import AsyncKit, ConfigurationConflict, Kit, LockLost
from tests.helpers import eventually

TTL_S = 1.0


def in_a_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_candidates_lead_one_after_the_other_and_those_that_look_see_it(kits, members):
    seen, led = [], []

    def look():
        for leader in kits().election("e").observe():
            seen.append(None if leader is None else leader.value)
            if leader is not None and leader.value == "the end":
                return

    observer = in_a_thread(look)
    first = kits().election("e")
    with first.campaign("a", timeout=30.0) as term:
        assert first.leader().token == term.check() == term.token
        second = in_a_thread(
            lambda: kits().election("e").run(lambda their: led.append(their.token))
        )
        with pytest.raises(TimeoutError, match="somebody else leads"):
            kits().election("e").campaign("b", timeout=0.05).__enter__()
        leader = eventually(lambda: Raft.leader(members[0]))
        assert Raft.transfer_leadership(leader)[0] == "ok"
        first.proclaim("a2")
        eventually(lambda: "a2" in seen)
    second.join(30)
    assert led[0] > term.token
    assert term.lost.is_set()
    with pytest.raises(LockLost):
        first.proclaim("late")
    with first.campaign("the end"):
        observer.join(30)
    assert seen[0] is None
    assert seen[-1] == "the end"


def test_a_leader_that_cannot_keep_its_lease_is_told_and_another_leads(kits, members):
    dead = Kit(members, timeout=30.0)
    election = dead.election("e", ttl=TTL_S)

    def lead():
        with election.campaign("dead") as term:
            dead._keeper.close()
            with kits().election("e", ttl=TTL_S).campaign("next", timeout=30.0) as following:
                assert following.token > term.token
                with pytest.raises(LockLost):
                    term.check()

    with pytest.raises(LockLost, match="was lost before its release"):
        lead()
    dead.close()


def test_parties_wait_for_each_other_and_one_that_gives_up_breaks_the_barrier(kits):
    places, broken = [], []

    def wait():
        try:
            places.append(kits().barrier("b", 3).wait())
        except BrokenBarrierError:
            broken.append(True)

    for _ in range(2):
        in_a_thread(wait)
    barrier = kits().barrier("b", 3)
    eventually(lambda: barrier.n_waiting() == 2)
    with pytest.raises(ConfigurationConflict):
        kits().barrier("b", 4).wait()
    assert barrier.wait(timeout=30.0) == 2
    eventually(lambda: sorted(places) == [0, 1])

    in_a_thread(wait)
    eventually(lambda: barrier.n_waiting() == 1)
    with pytest.raises(BrokenBarrierError, match="broke"):
        barrier.wait(timeout=0.05)
    eventually(lambda: broken)
    assert barrier.broken()
    with pytest.raises(BrokenBarrierError, match="is broken"):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken()


def test_members_are_seen_until_they_leave_or_end(kits, members):
    seen = []

    def look():
        for present in kits().membership("m").watch():
            seen.append([*present.values()])
            if seen[-1] == ["last"]:
                return

    observer = in_a_thread(look)
    eventually(lambda: seen == [[]])
    dead = Kit(members, timeout=30.0)
    lost = dead.membership("m", "dead", ttl=TTL_S)
    told = threading.Event()
    assert lost.join() == lost.join() == lost.id
    lost.on_lost(told.set)
    assert kits().membership("m").members() == {lost.id: "dead"}
    eventually(lambda: seen[-1] == ["dead"])
    dead._keeper.close()
    eventually(lambda: seen == [[], ["dead"], []])
    eventually(lambda: not lost.joined)
    assert told.is_set()
    with kits().membership("m", "last") as member:
        assert [*kits().membership("m").members()] == [member]
        observer.join(30)
    assert lost.leave() is False
    dead.close()


def test_they_are_awaited_too(members):
    async def main():
        async with AsyncKit(members, timeout=30.0) as kit, AsyncKit(members) as other:
            election = kit.election("e")
            async with election.campaign("a") as term:
                async for leader in other.election("e").observe():
                    assert leader.token == term.check()
                    break
                await election.proclaim("b")
                assert (await other.election("e").leader()).value == "b"

                async def lead(their, more):
                    return their.token + more

                waiting = asyncio.create_task(other.election("e").run(lead, 0))
            assert await waiting > term.token
            barriers = (kit.barrier("b", 2), other.barrier("b", 2))
            places = await asyncio.gather(*(barrier.wait() for barrier in barriers))
            assert sorted(places) == [0, 1]
            await barriers[0].abort()
            assert await barriers[1].broken()
            await barriers[0].reset()
            assert await barriers[0].n_waiting() == 0
            member = kit.membership("m", 7)
            async with member as name:
                assert await other.membership("m").members() == {name: 7}
                async for present in other.membership("m").watch():
                    assert present == {name: 7}
                    break

    asyncio.run(main())
