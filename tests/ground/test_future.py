"""Future: answered once, by whoever is first, and heard by everyone who waits."""

import math
import threading

import pytest

from raft_actors.future import Future


def test_the_first_answer_counts():
    future = Future()
    assert not future.done()
    assert future.set(1)
    assert not future.set(2)
    assert not future.set_exception(ValueError())
    assert future.done()
    assert (future.get(0), future.get()) == (1, 1)


def test_an_exception_is_raised_where_the_answer_is_awaited():
    future = Future()
    future.set_exception(KeyError("k"))
    lengths = []
    for _ in range(3):
        with pytest.raises(KeyError) as raised:
            future.get(0)
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1, "it does not grow each time it is raised"


def test_a_wait_ends_after_its_time():
    for timeout in (0, 0.01, -1):
        with pytest.raises(TimeoutError):
            Future().get(timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e12])
def test_waiting_for_ever_is_said_in_many_ways(timeout):
    """Planted: hand the number to the lock as it is, OverflowError."""
    future = Future()
    threading.Timer(0.01, future.set, ["late"]).start()
    assert future.get(timeout) == "late"


def test_a_callback_that_raises_harms_neither_the_others_nor_who_answers(caplog):
    """Planted: let it through. A client's callback would end the peer that answers."""
    future, heard = Future(), []

    def raises(_future):
        raise RuntimeError("callback")

    for callback in (raises, heard.append, raises, heard.append):
        future.add_done_callback(callback)
    assert future.set(1)
    assert heard == [future, future]
    assert caplog.text.count("RuntimeError: callback") == 2
    future.add_done_callback(heard.append)
    assert len(heard) == 3


def test_each_callback_runs_once_however_it_races_with_the_answer():
    """Planted: don't look again after the callback is in the list."""
    for _ in range(300):
        future, heard = Future(), []
        start = threading.Barrier(4)

        def answer(future=future, start=start):
            start.wait()
            future.set(7)

        def listen(future=future, start=start, heard=heard):
            start.wait()
            for _ in range(5):
                future.add_done_callback(lambda done: heard.append(done.get(0)))

        threads = [threading.Thread(target=each) for each in (answer, answer, listen, listen)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard == [7] * 10
