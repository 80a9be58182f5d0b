"""Worlds whose peers keep a trace: the code that ships, with pretended time, disk and wire."""

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from raft_actors.replica.replica import Replica
from raft_actors.testing.simulation.world import World


@contextmanager
def traces_into(directory):
    """Have each simulated peer that starts keep a trace in `directory`."""
    replicas = []
    config_of, init = World.config_of, Replica.__init__

    def with_trace(world, name, random):
        return replace(config_of(world, name, random), trace=directory)

    def kept(replica, *arguments, **more):
        init(replica, *arguments, **more)
        replicas.append(replica)

    try:
        with (
            mock.patch.object(World, "config_of", with_trace),
            mock.patch.object(Replica, "__init__", kept),
        ):
            yield
    finally:
        for replica in replicas:
            if replica.trace.file is not None:
                replica.trace.file.close()
