"""Simulation: the code that ships, under a seeded world of pretend time, disks and wire.

A seed draws a `plan`: how many peers, how they are tuned, how their clocks drift, and a list of
fates. The `runner` lets the `fates` happen one by one to a `world` of peers that run the very core,
lanes, log store and state machine of a real cluster (`peer`, `disk`), and that messages and time
(`network`) and clients (`clients`) reach. After each step the promises of Raft's Figure 3 and a few
of ours are checked (`checker`, `answer_checker`). Then the world is healed (`healing`), first but
for a minority that stays dead, and must elect and agree. A state may be on a real disk
(`state_directory`). A plan can be kept in a file (`plan_file`): a seed means another one when what
is drawn changes. A seed that breaks a promise does so each time; `shrink` finds what of it matters.

Use it through `raft-actors simulate`, or for a machine of your own through the pytest fixture
`raft_simulation`: docs/testing_your_machine.md.
"""
