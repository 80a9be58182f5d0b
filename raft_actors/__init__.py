"""Raft for Python programs, as actors: replicated state machines under supervision."""
