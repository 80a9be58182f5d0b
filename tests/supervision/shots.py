"""Run as a program: interrupt the main thread at hundreds of moments, then look for held locks.

Exits 0 if another thread can still do everything that was interrupted, and no process is left.
"""

import faulthandler
import random
import signal
import sys
import threading
import time
from functools import partial

import pykka

from supervision import Process, kill, names, timer
from supervision.timer import CANCELLED_MAX

from .helpers import Worker

SECONDS = 2.0


def rename(ref):
    names.register("handler", ref)
    names.unregister("handler")


def end(ref):
    ref.watch(lambda _reason: None)
    Worker.start()
    kill(Worker.start())


WORKS = {
    "names": rename,
    "timer": lambda ref: timer.send_after(100, ref, "late").cancel(),
    "watch": lambda ref: ref.watch(lambda _reason: None)(),
    "ask": lambda ref: ref.ask("question"),
    "end": end,
    "sweep": lambda ref: [timer.send_after(100, ref, n).cancel() for n in range(CANCELLED_MAX + 2)],
}


class Interrupt(KeyboardInterrupt):
    pass


def interrupt(_number, _frame):
    raise Interrupt


def shoot(work, draw):
    """Do the work, interrupted at some moment. Tells whether it was."""
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, 3e-4))
            work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupt:
        return True
    return False


def processes():
    """Those with a thread. One interrupted in `Thread.start` may have one that never started."""
    owners = [
        getattr(getattr(thread, "_target", None), "__self__", None)
        for thread in threading.enumerate()
    ]
    return [owner for owner in owners if isinstance(owner, Process)]


def main():
    worker = Worker.start()
    works = [partial(work, worker) for work in WORKS.values()]
    draw, hits = random.Random(5), 0
    sys.unraisablehook = lambda _: None  # it may hit a finalizer, too
    signal.signal(signal.SIGALRM, interrupt)
    until = time.monotonic() + SECONDS
    while signal.getsignal(signal.SIGALRM) is interrupt:
        try:
            while time.monotonic() < until:
                hits += sum(shoot(work, draw) for work in works)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        except Interrupt:  # a shot may come late, when the work is done
            hits += 1
    names.unregister("handler")
    faulthandler.dump_traceback_later(30, exit=True)
    other = threading.Thread(target=lambda: [work() for work in works])
    other.start()
    other.join()
    pykka.ActorRegistry.stop_all()
    while left := [process.actor_ref for process in processes() if process.actor_ref.is_alive()]:
        time.sleep(0.01)
    print(hits, "interrupts", left)
    return 0 if hits > 20 else 1


if __name__ == "__main__":
    sys.exit(main())
