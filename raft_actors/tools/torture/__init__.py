"""Torture: real node processes under real faults, and a check of every answer they gave.

cluster, child, machine     the node processes and what they run
proxy, paths                the wires between them, which can be made bad
disks                       disks that can be made full
lease_clients               readers by lease at each node, and writers that wait for nobody
members                     nodes that leave the group, lose their disks, and come back
faults, nemesis             what goes wrong, drawn from a seed
clients, operation          calls, each recorded with its times and its outcome
narrowing, linearizability  is there an order that explains all answers?
audit, page                 the verdict, and a picture of what no order explains
driver                      all of it together: `raft-actors torture`
"""
