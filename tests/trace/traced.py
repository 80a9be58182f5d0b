"""Worlds whose peers keep a trace: the code that ships, with pretended time, disk and wire."""

from contextlib import contextmanager
from unittest import mock

from raft_actors.replica.trace import Trace
from raft_actors.testing.simulation.peer import SimulatedPeer


@contextmanager
def traces_into(directory):
    """Have each simulated peer that starts keep a trace in `directory`."""
    traces = []

    class TracedPeer(SimulatedPeer):
        def recover(self, machine):
            super().recover(machine)
            self.trace = Trace(directory, self.core)
            self.step = self.trace.step
            traces.append(self.trace)

    try:
        with mock.patch("raft_actors.testing.simulation.world.SimulatedPeer", TracedPeer):
            yield
    finally:
        for trace in traces:
            if trace.file is not None:
                trace.file.close()
