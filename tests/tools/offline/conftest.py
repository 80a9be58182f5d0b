"""Peers of this process, on directories of their own."""

from tests.peer_fixtures import make_peer

__all__ = ["make_peer"]
