"""Mutation proof: plant one bug at a time, and see which check goes red.

`mutation.py` says what a planted bug is, `planting.py` plants one and looks which net catches it,
`table.py` keeps docs/mutations.md, and `__main__.py` is the program. `every.py` puts together the
lists of bugs, one for each theme: `elections.py`, `replication.py`, `members.py`, `reads.py`,
`machines.py`, `replicas.py`, `stores.py`.
"""
