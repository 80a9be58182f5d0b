"""Broken: a promise is broken."""

__all__ = ["Broken"]


class Broken(AssertionError):
    """The text says which promise, where it is broken, and how that shows."""
