"""One peer without its thread: the protocol, the log on the disk, and the state machine."""
