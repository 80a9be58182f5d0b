"""`python -m raft_actors`: the same as `raft-actors`."""

from raft_actors.tools.cli import main

if __name__ == "__main__":
    main()
