"""Simulation: the code that ships, under a seeded world of pretend time, disks and wire.

A seed draws everything: how many peers, how they are tuned, how their clocks drift, and a list of
fates (`fates`). A play (`play`) lets them happen one by one to peers that run the very core, lanes,
log store and state machine of a real cluster (`peer`, `disk`, `world`). After each, the promises
of Raft's Figure 3 and a few of ours are checked (`checker`). Then the world is healed, first but
for a minority that stays dead, and must elect and agree. A state may be on a real disk
(`directory`). A plan can be kept in a file (`kept`): a seed means another one when what is drawn
changes. A seed that breaks a promise does so each time; `shrink` finds what of it matters.

Use it through `raft-actors simulate`, or for a machine of your own through the pytest fixture
`raft_simulation`: docs/testing_your_machine.md.
"""
