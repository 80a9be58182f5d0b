"""Transaction: reads and writes of several keys, of any dicts, in one entry of the log."""

from collections.abc import Callable
from typing import Any, TypeVar

from raft_actors import encoding
from raft_actors.kit.dicts import DictScripts, checked, value_of
from raft_actors.kit.errors import Conflict
from raft_actors.kit.script import Read, Script, Write

__all__ = ["Transaction", "transacting"]

T = TypeVar("T")
ABSENT: Any = object()


class Unknown(BaseException):
    """The function has asked for a key that was not read yet. No Exception, so that an `except` of
    the function lets it pass.
    """


class Transaction:
    """What the function of `Kit.transaction` reads and writes. Nothing is written before its end.

    The dicts are given by their handles, or by their names.
    """

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], Any] = {}
        self._written: dict[tuple[str, str], Any] = {}

    def get(self, of: DictScripts[Any] | str, key: str, default: Any = None) -> Any:
        """Return the value of a key, as this transaction sees it."""
        place = place_of(of, key)
        if place in self._written:
            value = self._written[place]
            return default if value is ABSENT else value
        if place not in self._read:
            raise Unknown(place)
        item = self._read[place]
        return default if item is None else value_of(item)

    def put(self, of: DictScripts[Any] | str, key: str, value: Any) -> None:
        """Set a key when the transaction ends. Raises TypeError for what can't be encoded."""
        encoding.dumps(value, "value")
        self._written[place_of(of, key)] = value

    def delete(self, of: DictScripts[Any] | str, key: str) -> None:
        """Remove a key when the transaction ends; nothing happens if it is not there."""
        self._written[place_of(of, key)] = ABSENT


def place_of(of: DictScripts[Any] | str, key: str) -> tuple[str, str]:
    return (of if isinstance(of, str) else of.name), checked(key)


def transacting(function: Callable[[Transaction], T], tries: int) -> Script[T]:
    """Run `function` until what it has read is still so when it writes.

    It runs once more for each key that it reads for the first time: all keys are read, then, at
    versions that the last command compares.
    """
    known: dict[tuple[str, str], Any] = {}
    for _ in range(tries):
        while True:
            transaction = Transaction()
            transaction._read = known
            try:
                result = function(transaction)
            except Unknown as unknown:
                name, key = place = unknown.args[0]
                known[place] = yield Read(("dict", "get", name, key))
            else:
                break
        reads = tuple(
            (name, key, 0 if item is None else item[1]) for (name, key), item in known.items()
        )
        writes = tuple(
            (name, key, None if value is ABSENT else encoding.dumps(value, "value"))
            for (name, key), value in transaction._written.items()
        )
        if (yield Write(("dict", "transact", "", reads, writes))) is None:
            return result
        known.clear()
    raise Conflict(f"others have changed what this transaction reads, {tries} times: try it later")
