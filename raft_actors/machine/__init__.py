"""The user's state machine, run over the log: its state, its clients' sessions, its snapshots."""
