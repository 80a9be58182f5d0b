"""Trace check: checks the traces of a cluster against the rules of the Raft paper's Figure 2.

It shares no code with the core, so a bug of the core is not repeated here.
"""

from raft_actors.tools.trace_check.cluster import Report, check

__all__ = ["Report", "check"]
