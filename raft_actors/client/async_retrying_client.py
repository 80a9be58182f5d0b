"""AsyncRetryingClient: does what `RetryingClient` does, but waits on an asyncio loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from raft_actors.client.applied_wait import make_wait
from raft_actors.client.async_parking import result_soon
from raft_actors.client.async_wait import wait_for
from raft_actors.client.call import Call
from raft_actors.client.failures import no_session
from raft_actors.client.leader_finder import LOOK_S
from raft_actors.client.parking import Parking
from raft_actors.client.retrying_client import RETRY, RetryingClient, opening
from raft_actors.client.rpc import PeerRef
from raft_actors.client.session import PAUSE_S, ClientSession
from raft_actors.errors import Unavailable
from raft_actors.names import Address

__all__ = ["AsyncRetryingClient"]

THREADS = 16
"""How many threads may ask all members for their status at the same time."""


@dataclass(slots=True)
class OfLoop:
    """What the tasks of one loop share.

    opening  the lock of the task that opens a session
    waiting  the lock of the first of the tasks that wait for a free sequence number
    search   the search for the leader, one for all tasks. It goes on when a task that waits for it
             is cancelled, and ends when no task waits any more
    seekers  how many tasks wait for the leader
    """

    loop: asyncio.AbstractEventLoop
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: asyncio.Lock = field(default_factory=asyncio.Lock)
    search: asyncio.Future[None] | None = None
    seekers: int = 0


class AsyncRetryingClient:
    """Sends the calls that its `client` makes, for the tasks of one loop.

    All calls wait on the loop, each until its own deadline, and use no threads.
    """

    def __init__(self, client: RetryingClient) -> None:
        self.client = client
        self.threads: ThreadPoolExecutor = ThreadPoolExecutor(
            THREADS, thread_name_prefix="async-cluster"
        )
        self.of_loop: OfLoop | None = None

    def close(self) -> None:
        """Refuse new calls. Calls under way end by themselves; if they need a thread, they use the
        loop's own executor.
        """
        self.client.close_soon()
        self.threads.shutdown(wait=False)

    async def begin(self, command: Any, timeout: float | None) -> Call:
        """Send a command for the first time."""
        call = self.client.write_call(command, timeout)
        try:
            await self.send(call)
        except BaseException:
            call.give_up()
            raise
        return call

    async def run(self, call: Call) -> Any:
        """Send the call and wait for the reply. If the task is cancelled, the call is given up."""
        try:
            await self.send(call)
            return await self.finish(call)
        except BaseException:
            call.give_up()
            raise

    async def send(self, call: Call) -> None:
        """Make an attempt. A command first waits for a session with a free sequence number, and a
        call for the leader waits until a leader is known.
        """
        if call.needs_session():
            await self.take_sequence(call)
        if call.read_targets is not None:
            target: Address | None = next(call.read_targets)
        else:
            target = self.client.finder.leader or await self.await_leader(call)
        self.client.ask(call, target)

    async def finish(self, call: Call) -> Any:
        """Wait for the reply, and send the call again while that is safe, until the deadline.

        After a cancellation it may be called again for the same call.
        """
        client = self.client
        try:
            while True:
                if call.needs_session():
                    await self.send(call)
                future = call.future
                if future is not None:
                    await wait_for(future, call.begin_wait())
                    future.abandon()
                reply = client.receive(call)
                if reply is not RETRY:
                    break
                await asyncio.sleep(client.pause_s(call))
                call.tries += 1
                await self.send(call)
        except asyncio.CancelledError:
            raise
        except BaseException:
            client.end(call)
            raise
        client.end(call)
        return reply

    async def await_applied(self, index: int, at: PeerRef | None, timeout: float | None) -> None:
        wait, deadline = make_wait(self.client, index, at, timeout)
        try:
            if not await result_soon(wait, deadline):
                raise wait.error()
        finally:
            wait.parking.close()

    # What a call may have to wait for. None of these waits blocks the loop's thread.

    async def take_sequence(self, call: Call) -> None:
        """Give the call a sequence number of the session. Opens a session if there is none."""
        session = self.client.session or await self.open_session(call)
        if not session.has_free_sequence():
            await self.await_free_sequence(session, call)
        session.next(call)

    async def open_session(self, call: Call) -> ClientSession:
        client, lock = self.client, self.shared().opening
        if not await acquired(lock, call):
            raise no_session()
        try:
            if client.session is None:
                number = await self.run(opening(call.deadline))
                client.session = ClientSession(number)
            return client.session
        finally:
            lock.release()

    async def await_free_sequence(self, session: ClientSession, call: Call) -> None:
        """Wait for a free sequence number in a session, until the deadline: then `next` raises."""
        lock = self.shared().waiting
        if await acquired(lock, call):
            try:
                while not session.has_free_sequence() and call.remaining() > 0:
                    if not session.forget_ended():
                        await asyncio.sleep(PAUSE_S)
            finally:
                lock.release()

    async def await_leader(self, call: Call) -> Address | None:
        """Wait until a leader is known. None at the deadline."""
        finder, shared = self.client.finder, self.shared()
        shared.seekers += 1
        try:
            while finder.leader is None and call.remaining() > 0:
                if shared.search is None or shared.search.done():
                    shared.search = asyncio.ensure_future(self.search(shared, call.target))
                await asyncio.wait({shared.search}, timeout=call.remaining())
                if shared.search.done():
                    shared.search.result()
        finally:
            shared.seekers -= 1
        return finder.leader if call.remaining() > 0 else None

    async def search(self, shared: OfLoop, other_than: Address | None) -> None:
        """Search for the leader, as long as a call waits for it."""
        finder = self.client.finder
        parking = Parking(finder)
        search = finder.begin_search(parking, other_than)
        try:
            while finder.leader is None and shared.seekers:
                finder.found(await result_soon(search, time.monotonic() + LOOK_S))
        finally:
            parking.close()

    def shared(self) -> OfLoop:
        """Return what the tasks of the running loop share."""
        loop = asyncio.get_running_loop()
        if self.of_loop is None or self.of_loop.loop is not loop:
            self.of_loop = OfLoop(loop)
        return self.of_loop

    async def aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function on a thread, and wait for it on the loop."""
        self.client.finder.router.node.check_process()
        return await self.on_thread(self.threads, function, *arguments)

    def on_thread(
        self, threads: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Run a function on the handle's threads; after `close`, on the loop's own executor. Raises
        Unavailable.
        """
        loop = asyncio.get_running_loop()
        mine = None if self.client.closed else threads
        try:
            return loop.run_in_executor(mine, function, *arguments)
        except RuntimeError as error:  # the system has no thread left
            raise Unavailable(f"no member could be asked ({error}): try again") from error


async def acquired(lock: asyncio.Lock, call: Call) -> bool:
    """Acquire the lock before the deadline of `call`. Returns whether that succeeded; then the
    caller releases the lock.
    """
    try:
        async with asyncio.timeout(call.remaining()):
            return await lock.acquire()
    except TimeoutError:
        return False
