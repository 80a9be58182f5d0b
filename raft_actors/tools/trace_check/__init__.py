"""Replay: traces of a cluster, checked against the rules of the Raft paper's Figure 2.

It shares no code with the core: it is the second opinion.
"""

from raft_actors.tools.trace_check.cluster import Report, check

__all__ = ["Report", "check"]
