"""Drawn lives of a `FilesStore` that end in a power cut or by a fault, and drawn damages of what
is on its disk, against a model: `python -m tests.stores.drawn_cuts 5000` plays so many of each.
"""

import errno
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from unittest.mock import patch

from raft_actors.errors import RaftError, StoreCorrupt, StoreError
from raft_actors.stores import open_store, segment
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.segment_records import scanned
from tests.stores.recorded_files import left_after, recorded

OWNER = ("peer", "a@host")
FAULTS = [OSError(number, "planted") for number in (errno.EIO, errno.ENOSPC, errno.EROFS)]


def contents(store):
    saved = store.load()
    return saved, store.entries(saved.first, saved.last)


def an_entry(luck):
    size = luck.choice((0, 1, 20, 100, 400, 900, 3000))
    fill = luck.choice((b"\0", b"\0\1", b"\xd6\x9bzero\x8e", luck.randbytes(97)))
    return (fill * (size + 1))[:size]


def play_step(number, stores, luck):
    """Save something, whose ballot has the number of the step, in each of the stores."""
    saved = stores[0].load()
    kind = luck.choice(("append",) * 6 + ("truncate", "vote", "compact", "restart"))
    entries = [an_entry(luck) for _ in range(luck.randint(1, 5))]
    first = saved.last + 1
    if kind == "truncate":
        first = luck.randint(saved.first, saved.last + 1)
    through = luck.randint(saved.first - 1, saved.last)
    for store in stores:
        ballot = (number, None)
        if kind == "vote":
            store.save(ballot, 0, [])
        elif kind == "restart":
            store.restart(ballot, saved.last + 3, number, entries[:2])
        else:
            if kind == "compact":
                store.compact(through, number)
            store.save(ballot, first, entries)


def is_state(found, states, next_first=0):
    """Tell whether what was found is one of these states. Entries that were compacted may be back,
    and then are what they were; and a compaction may be there before the save that follows it.
    """
    saved, entries = found
    for wanted, log in states:
        if (saved.ballot, saved.last) == (wanted.ballot, wanted.last):
            first = max(saved.first, wanted.first)
            if entries[first - saved.first :] == log[first - wanted.first :] and (
                saved.first <= max(wanted.first, next_first)
            ):
                return True
    return False


def small(luck):
    """Return small bounds, so that a short life has several segments."""
    return patch.multiple(
        segment, BYTES_MAX=luck.choice((2_000, 6_000, 1 << 24)), AHEAD=luck.choice((512, 8_192)),
        RECORDS_MAX=luck.choice((5, 1_000)),
    )  # fmt: skip


def lived(path, luck, steps):
    """Play a life; return its states, the disk's events, and where in these a save returned."""
    memory = MemoryStore()
    states, marks = [contents(memory)], []
    with small(luck), recorded() as recorder:
        store = open_store("files", path, OWNER)
        marks.append(len(recorder.events))
        for number in range(1, steps + 1):
            play_step(number, (memory, store), luck)
            states.append(contents(memory))
            marks.append(len(recorder.events))
            if luck.random() < 0.1:
                store.close()
                store = open_store("files", path, OWNER)
        store.close()
    return states, recorder.events, marks


def put_back(path, files):
    shutil.rmtree(path / "log.files")
    (path / "log.files").mkdir(mode=0o700)
    for name, content in files.items():
        Path(name).write_bytes(content)


def a_power_cut(path, luck):
    """Play a life, cut its power anywhere, and once more while the rest is opened."""
    states, events, marks = lived(path, luck, luck.randint(1, 30))
    for _ in range(5):
        end = luck.randint(marks[0], len(events))
        acknowledged = sum(mark <= end for mark in marks) - 1
        put_back(path, left_after(events[:end], path / "log.files", luck))
        allowed = states[acknowledged : acknowledged + 2]
        with small(luck):
            if luck.random() < 0.3:
                cut_again(path, luck)
            store = open_store("files", path, OWNER)
            try:
                assert is_state(contents(store), allowed, allowed[-1][0].first), (
                    acknowledged, allowed, contents(store)
                )  # fmt: skip
                number = store.load().ballot[0]
                store.save((number, None), store.load().last + 1, [b"goes on"])
            finally:
                store.close()
            store = open_store("files", path, OWNER)
            assert store.entries(store.load().last, store.load().last) == [b"goes on"]
            store.close()
    return "kept"


def cut_again(path, luck):
    before = {str(file): file.read_bytes() for file in (path / "log.files").iterdir()}
    opening = [("make", name) for name in before]
    opening += [("write", name, 0, content) for name, content in before.items()]
    opening += [("sync", name) for name in before] + [("sync", str(path / "log.files"))]
    with recorded() as recorder:
        open_store("files", path, OWNER).close()
    end = luck.randint(0, len(recorder.events))
    put_back(path, left_after(opening + recorder.events[:end], path / "log.files", luck))


def a_fault(path, luck):
    """Let one call of a life fail: the save fails and all later ones are refused; what an opening
    then finds is the state of before or after it.
    """
    memory = MemoryStore()
    states = [contents(memory)]
    with small(luck), recorded() as recorder:
        store = open_store("files", path, OWNER)
        recorder.fail_at = recorder.count + luck.randint(0, 60)
        recorder.error = luck.choice((*FAULTS, luck.randint(1, 600)))
        for number in range(1, 31):
            before = number, luck.getstate()
            play_step(number, (memory,), luck)
            states.append(contents(memory))
            luck.setstate(before[1])
            replay = MemoryStoreView(store, states[-2][0])
            try:
                play_step(number, (replay,), luck)
            except StoreError:
                for _ in range(2):
                    try:
                        store.save((99, None), 0, [])
                    except StoreError as error:
                        assert "takes nothing more" in str(error)  # noqa: PT017
                    else:
                        raise AssertionError("a save after one that failed")
                break
        recorder.fail_at = None
        store.close()
        found = opened_with_faults(path, recorder, luck)
        events = list(recorder.events)
    put_back(path, left_after(events, path / "log.files", luck))
    store = open_store("files", path, OWNER)
    assert contents(store) == found, "what an opening has read is not on the disk"
    store.close()
    assert is_state(found, states[-2:], states[-1][0].first), (found, states[-2:])
    return "kept"


def opened_with_faults(path, recorder, luck):
    """Open the store, in which at first single calls fail; return its content."""
    for _ in range(luck.randint(0, 3)):
        recorder.fail_at = recorder.count + luck.randint(0, 12)
        recorder.error = luck.choice(FAULTS)
        try:
            open_store("files", path, OWNER).close()
        except StoreError as error:
            assert "planted" in str(error), error  # noqa: PT017
    recorder.fail_at = None
    store = open_store("files", path, OWNER)
    found = contents(store)
    store.abandon_database(store.db)  # so that nothing is synced at the end
    store.close()
    return found


class MemoryStoreView:
    """A store whose `load` is told, so that the same step is drawn for it."""

    def __init__(self, store, saved):
        self.store, self.saved = store, saved

    def __getattr__(self, name):
        return getattr(self.store, name)

    def load(self):
        return self.saved


def a_damage(path, luck):
    """Damage a file in one way: what is opened is the same as before, or it is refused; an end that
    was cut off or overwritten by zeros is refused, or is what a crash might have left.
    """
    states, _, _ = lived(path, luck, luck.randint(1, 30))
    sound = states[-1]
    files = sorted((path / "log.files").iterdir())
    file = luck.choice(files)
    data = bytearray(file.read_bytes())
    used = len(data.rstrip(b"\0"))
    records = scanned(bytes(data), int(file.stem))[0]
    is_newest, last_at = file == files[-1], records[-1].at
    at = luck.randrange(luck.choice((0, last_at)), used)
    kind = luck.choice(("bit", "bit", "bit", "byte", "noise", "cut", "zeros", "missing", "swapped",
                        "repeated"))  # fmt: skip
    may_be_older = False
    match kind:
        case "bit":
            at = luck.choice((at, at, luck.randrange(len(data))))
            data[at] ^= 1 << luck.randrange(8)
        case "byte":
            data[at] = luck.randrange(256)
        case "noise":
            data[at : at + 700] = luck.randbytes(len(data[at : at + 700]))
        case "cut":
            del data[at:]
            may_be_older = is_newest
        case "zeros":
            stop = luck.choice((len(data), at + luck.randint(1, 2000)))
            data[at:stop] = bytes(len(data[at:stop]))
            may_be_older = is_newest and stop > last_at
        case "missing":
            data = None
        case "swapped":
            other = luck.choice(files)
            data, content = other.read_bytes(), bytes(data)
            other.write_bytes(content)
        case "repeated":
            data[at:at] = data[max(at - 512, 0) : at]
    file.unlink() if data is None else file.write_bytes(data)
    try:
        store = open_store("files", path, OWNER)
    except StoreCorrupt as error:
        assert "move its data directory" in str(error), error  # noqa: PT017
        return f"{kind} refused"
    try:
        found = contents(store)
    except StoreCorrupt:
        return f"{kind} refused"
    finally:
        store.close()
    if is_state(found, [sound]):
        return f"{kind} harmless"
    assert may_be_older, (kind, file.name, at)
    following = [*states[1:], sound]
    assert any(
        is_state(found, [state], later[0].first)
        for state, later in zip(states, following, strict=True)
    ), kind
    return f"{kind} older"


PLAYS = (a_power_cut, a_fault, a_damage)


def played(play, seed):
    directory = Path(tempfile.mkdtemp(prefix="drawn-"))
    try:
        return play(directory / "peer", Random(seed))
    except (AssertionError, RaftError, OSError, ValueError, LookupError) as error:
        error.add_note(f"{play.__name__}, seed {seed}")
        raise
    finally:
        shutil.rmtree(directory)


def main(count):
    for play in PLAYS:
        found = Counter(played(play, seed) for seed in range(count))
        print(play.__name__, dict(sorted(found.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
