"""Nodes of a test live in directories of their own, and end with it."""

from tests.node_fixtures import (
    make_any_node,
    make_memory_node,
    make_node,
    make_script,
    network,
    own_directories,
)

__all__ = [
    "make_any_node",
    "make_memory_node",
    "make_node",
    "make_script",
    "network",
    "own_directories",
]
