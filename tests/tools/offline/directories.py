"""Directories as stopped peers leave them."""

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import COMMAND, CONFIG, NOOP, encode
from raft_actors.machine.sessions import Sessions
from raft_actors.stores import open_store
from raft_actors.stores.snapshots import PIECE, SESSION, Header
from raft_actors.stores.store_record import read_record

OWNER = ("kv", "a@host")
MEMBERS = (OWNER, ("kv", "b@host"), ("kv", "c@host"))


def founding(members=MEMBERS):
    return Configuration.founding(members)


def command(number, term):
    return encode(term, COMMAND, encoding.dumps(("set", f"key{number}", "v" * 100)), (number, 1),
                  index=number)  # fmt: skip


def log_of(count, members=MEMBERS):
    """A founding, a leader's no-op, commands of term 1, and from the middle on of term 3."""
    middle = count // 2
    return [
        encode(1, CONFIG, founding(members).encode(), index=1),
        encode(1, NOOP, index=2),
        *(command(number, 1 if number < middle else 3) for number in range(3, count + 1)),
    ]


def make(kind, path, *, count=200, compacted=0, snapshot=0, owner=OWNER, members=MEMBERS):
    """Make a directory with `count` entries, the first `compacted` of them removed again, and a
    snapshot that ends at `snapshot`.
    """
    store = open_store(kind, path, owner)
    store.save((3, owner, 1), 1, log_of(count, members))
    if snapshot:
        take_snapshot(store, snapshot, 1 if snapshot < count // 2 else 3, members)
    if compacted:
        store.compact(compacted, 1 if compacted < count // 2 else 3)
    store.close()
    return path


def take_snapshot(store, index, term, members=MEMBERS, kind="term"):
    draft = store.snapshots.draft(Header(index, term, founding(members).encode(), 1, kind))
    draft.add(SESSION + encoding.dumps(next(Sessions().stored())))
    draft.add(PIECE + encoding.dumps({f"key{number}": "v" * 100 for number in range(3, index + 1)}))
    return draft.finish()


def record_of(path):
    return read_record(path)
