"""Directories to replay: a log with sessions, exceptions and a new version, and its snapshots."""

import time
from math import inf

from raft_actors import OnDiskStateMachine, StateMachine, UndoDict, encoding
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    NOOP,
    VERSION,
    command_of,
    encode,
    kind_of,
    term_of,
    version_bytes,
    version_of,
)
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.sessions import NEW
from raft_actors.stores import open_store
from raft_actors.stores.snapshots import Header
from tests.tools.offline.directories import MEMBERS, OWNER, founding

NOON_MS = 1_800_000_000_000


class Shelf(StateMachine):
    """Version 2 writes values in capitals, and counts the keys that it found."""

    version = 2

    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        match command:
            case ("set", key, value):
                state[key] = value if self.current_version == 1 else value.upper()
                return "ok", state
            case ("delete", key):
                del state[key]
                return "ok", state
            case ("half", key):
                state[key] = "half"
                raise ValueError("no whole")

    def handle_read(self, query, state):
        return state.get(query)

    def restore(self, data):
        return UndoDict(data)

    def upgrade(self, state, from_version):
        state["keys"] = str(len(list(state.items())))
        return state


class ShelfOnDisk(OnDiskStateMachine):
    version = 2

    def handle_write(self, command, state):
        return Shelf.handle_write(self, command, state)

    def handle_read(self, query, state):
        return state.get(query)

    def upgrade(self, state, from_version):
        return Shelf.upgrade(self, state, from_version)


class Sum(StateMachine):
    """A state that is no mapping; and commands that it does not know."""

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return None, state + 1

    def handle_read(self, query, state):
        return state


SESSION = 3  # the entry that opens it is its number


def session_command(index, sequence, command, term=1):
    return encode(term, COMMAND, encoding.dumps(command), (SESSION, sequence),
                  NOON_MS + 1000 * index, index=index)  # fmt: skip


def plain_command(index, command, term=1):
    return encode(term, COMMAND, encoding.dumps(command), index=index)


def log_of(members=MEMBERS):
    return [
        encode(1, CONFIG, founding(members).encode(), index=1),
        encode(1, NOOP, index=2),
        encode(1, COMMAND, b"", (NEW, 0), NOON_MS, index=3),
        session_command(4, 1, ("set", "a", "one")),
        session_command(5, 2, ("set", "b", "two")),
        session_command(6, 1, ("set", "a", "one")),  # sent again
        plain_command(7, ("half", "a")),
        plain_command(8, ("delete", "nothing")),
        encode(2, VERSION, version_bytes(2), index=9),
        session_command(10, 3, ("set", "c", "three"), 2),
        session_command(11, 4, ("set", "a", "four"), 2),
        plain_command(12, ("delete", "b"), 2),
        encode(2, NOOP, index=13),
        plain_command(14, ("set", "d", "last"), 2),
    ]


STATES = {
    0: {},
    3: {},
    4: {"a": "one"},
    6: {"a": "one", "b": "two"},
    8: {"a": "one", "b": "two"},
    9: {"a": "one", "b": "two", "keys": "2"},
    11: {"a": "FOUR", "b": "two", "keys": "2", "c": "THREE"},
    12: {"a": "FOUR", "keys": "2", "c": "THREE"},
    14: {"a": "FOUR", "keys": "2", "c": "THREE", "d": "LAST"},
}


def make(
    kind, path, *, machine=Shelf, snapshots=(), compacted=0, members=MEMBERS, entries=None,
    configuration=1,
):  # fmt: skip
    """Make a directory with that log, and with snapshots as a peer would have taken them."""
    entries = log_of(members) if entries is None else entries
    store = open_store(kind, path, OWNER)
    store.save((2, OWNER, configuration), 1, entries)
    for index in snapshots:
        take_snapshot(store, machine, entries, index, path.with_name(f"machine{index}"), members)
    if compacted:
        store.compact(compacted, term_of(entries[compacted - 1]))
    store.close()
    return path


def take_snapshot(store, machine, entries, index, directory, members):
    applied = ReplicatedState(machine(), OWNER[0], directory)
    for entry in entries[:index]:
        if kind_of(entry) == COMMAND:
            applied.write(*command_of(entry))
        elif kind_of(entry) == VERSION:
            applied.upgrade(version_of(entry))
        applied.index += 1
    applied.end_batch()
    image = applied.image()
    assert image.capture(inf, time.monotonic)
    draft = store.snapshots.draft(
        Header(index, term_of(entries[index - 1]), founding(members).encode(), 1, image.kind,
               applied.version)
    )  # fmt: skip
    for payload in image.payloads():
        draft.add(payload)
    draft.finish(reached=True)
    applied.close()
