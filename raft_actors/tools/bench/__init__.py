"""Bench: three durable nodes on this machine under the loads of docs/benchmarks.md.

floor     what the machine itself charges for a synced append and a round trip
loads     what a client does, and what came of it
machine   the map that is written and read, and the tree of a node that runs it
trio      the three nodes, each a process of its own, and this process as their client
table     figures as a table
run       `raft-actors bench`
"""
