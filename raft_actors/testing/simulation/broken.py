"""Broken: the error of a simulation in which a property does not hold."""

__all__ = ["Broken"]


class Broken(AssertionError):
    """A property does not hold. The text says which, where, and how this was seen."""
