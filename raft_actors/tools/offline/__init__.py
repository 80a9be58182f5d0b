"""Offline: the tools for the data directory of a stopped peer."""
