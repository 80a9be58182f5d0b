"""Peers of this process, on directories of their own."""

from tests.peer_fixtures import counters, gated, held_writer, make_peer, trio

__all__ = ["counters", "gated", "held_writer", "make_peer", "trio"]
