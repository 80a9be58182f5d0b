"""Connections between nodes, on one thread: frames out, frames in."""
