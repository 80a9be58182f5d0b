"""One peer without its thread: the protocol, its log on a disk, and the state machine."""
