"""No test of this directory finds or leaves a process, a name or a thread of a process."""

import threading

import pykka
import pytest

from supervision import Process, names
from tests.helpers import eventually


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    pykka.ActorRegistry.stop_all()  # what tests of other directories share in this process
    yield
    pykka.ActorRegistry.stop_all()
    eventually(lambda: not names.names())


@pytest.fixture
def journal():
    return []


@pytest.fixture
def process_threads():
    """The threads of processes that are alive."""

    def alive():
        return [
            thread
            for thread in threading.enumerate()
            if isinstance(getattr(getattr(thread, "_target", None), "__self__", None), Process)
        ]

    return alive
