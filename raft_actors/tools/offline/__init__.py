"""Offline: what can be done with the data directory of a peer that is stopped."""
