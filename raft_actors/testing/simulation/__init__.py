"""Simulation: the code of the library, with simulated time, disks, network and clients.

A seed determines a `plan`: the number of peers, their configs, how their clocks drift, and a list
of *fates*, the events that happen to them. The `runner` lets the `fates` happen one by one to a
`world`. Its peers (`peer`) are the replica, the log store (`disk`) and the state machine of a real
cluster; messages and time (`network`) and requests of `clients` are simulated. After each step the
properties of Raft's Figure 3, and some of this library, are checked (`checker`, `answer_checker`).
At the end all faults are healed (`healing`), first without a minority that stays dead, and the
group must elect a leader and agree. A state may be on a real disk (`state_directory`).

A seed that breaks a property breaks it each time; `shrink` finds the few fates that are needed. A
plan can be kept in a file (`plan_file`), because the same seed gives another plan when the code
that draws plans changes.

Use it by `raft-actors simulate`, or for a state machine of your own by the pytest fixture
`raft_simulation`: docs/testing_your_machine.md.
"""
