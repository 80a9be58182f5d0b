"""The command line `raft-actors`, and the programs that it runs."""
