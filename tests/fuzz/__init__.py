"""Fuzzing of what reads bytes from the wire: `python -m tests.fuzz --help`."""
