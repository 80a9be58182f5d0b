"""Nodes of a test live in directories of their own, and end with it."""

from tests.node_fixtures import make_node, make_script, own_directories

__all__ = ["make_node", "make_script", "own_directories"]
