"""One list of damages, done to the files of every store on a disk that ships.

Each is refused in words, by the opening or by the reading, or it has hit what nobody reads. Only a
loss at an end of a file, which a crash may cause too, may leave what was there after an earlier
save, all of it.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest

from raft_actors.errors import StoreCorrupt
from raft_actors.stores import durable_kind, open_store, segment

OWNER = ("counter", "a@host")
SAVES = 20
FILES = {
    "rocksdb": ("*.log", "MANIFEST-*", "*.sst", "CURRENT"),
    "lmdb": ("",),
    "files": ("*.log",),
}
"""The files of a database that have ballot and log, for each kind of store."""


@dataclass(frozen=True)
class Damage:
    """change  what it makes of the content of a file; None: the file is gone
    loses_end  whether a crash may leave the same
    """

    name: str
    change: Callable[[bytes, Random], bytes | None]
    loses_end: bool = False


def replaced(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def used(data):
    """Return the bytes up to the last that is not zero: files have space set aside after them."""
    return max(len(data.rstrip(b"\0")), 1)


def a_bit(data, luck):
    at = luck.randrange(used(data))
    return replaced(data, at, bytes([data[at] ^ 1 << luck.randrange(8)]))


def a_bit_near_the_end(data, luck):
    at = used(data) - 1 - luck.randrange(min(1_000, used(data)))
    return replaced(data, at, bytes([data[at] ^ 1 << luck.randrange(8)]))


def noise(data, luck):
    at = luck.randrange(used(data))
    return replaced(data, at, luck.randbytes(min(600, len(data) - at)))


def noise_after_the_end(data, luck):
    return data[: used(data)] + luck.randbytes(600)


def repeated(data, luck):
    at = luck.randrange(used(data))
    return data[:at] + data[max(at - 512, 0) : at] + data[at:]


def a_sector_of_zeros(data, luck):
    at = luck.randrange(used(data)) // 512 * 512
    return replaced(data, at, bytes(min(512, len(data) - at)))


def zeros_to_the_end(data, luck):
    at = luck.randrange(used(data))
    return data[:at] + bytes(len(data) - at)


def cut_off(data, luck):
    return data[: luck.randrange(used(data))]


DAMAGES = (
    Damage("a flipped bit", a_bit),
    Damage("a flipped bit near the end", a_bit_near_the_end),
    Damage("noise", noise),
    Damage("noise after the end", noise_after_the_end),
    Damage("a part twice", repeated),
    Damage("a sector of zeros", a_sector_of_zeros, loses_end=True),
    Damage("zeros to the end", zeros_to_the_end, loses_end=True),
    Damage("cut off", cut_off, loses_end=True),
    Damage("other content", lambda data, luck: b"SQLite format 3\0" * 100),
    Damage("missing", lambda data, luck: None),
)


@pytest.fixture(scope="module", params=FILES)
def sound(request, tmp_path_factory):
    """A store as kill -9 leaves it, that was closed once before: its kind and its directory."""
    kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment, "RECORDS_MAX", 6)
        store = open_store(kind, directory / "peer", OWNER)
        for index in range(1, SAVES + 1):
            store.save((index, None), index, [bytes([index]) * 1_000])
            if index == SAVES // 2:
                store.close()
                store = open_store(kind, directory / "peer", OWNER)
        shutil.copytree(directory / "peer", directory / "killed")
        store.close()
    yield kind, directory / "killed"
    shutil.rmtree(directory)


def found_in(kind, path):
    """Return how many saves are there, all of each; None: it is refused."""
    try:
        # Stopped peers are read so: LMDB would end the process at some damages.
        store = durable_kind(kind)(path, OWNER, check_first=kind == "lmdb")
    except StoreCorrupt as error:
        assert str(path) in str(error)  # noqa: PT017
        assert "move its data directory" in str(error)  # noqa: PT017
        return None
    try:
        saved = store.load()
        assert store.entries(1, saved.last) == [
            bytes([index]) * 1_000 for index in range(1, saved.last + 1)
        ]
        assert saved.ballot == ((saved.last, None) if saved.last else (0, None))
    except StoreCorrupt:
        return None
    finally:
        store.close()
    return saved.last


def files_in(kind, path):
    database = path / f"log.{kind}"
    return [
        file
        for pattern in FILES[kind]
        for file in (sorted(database.glob(pattern)) if pattern else [database])
    ]


def test_what_is_not_damaged_is_all_there(sound, tmp_path):
    kind, killed = sound
    shutil.copytree(killed, tmp_path / "peer")
    assert found_in(kind, tmp_path / "peer") == SAVES


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_no_damage_is_silent(sound, tmp_path, damage):
    kind, killed = sound
    count = len(files_in(kind, killed))
    for seed in range(12):
        path = tmp_path / f"{seed}"
        shutil.copytree(killed, path)
        luck = Random(f"{damage.name} {seed}")
        file = files_in(kind, path)[seed % count]
        whole = file.read_bytes()
        content = damage.change(whole, luck)
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        found = found_in(kind, path)
        if not damage.loses_end:
            assert found in (None, SAVES), (seed, file.name)
        shutil.rmtree(path)


def test_the_database_of_another_peer_is_refused(sound, tmp_path):
    kind, killed = sound
    open_store(kind, tmp_path / "peer", OWNER).close()
    database = tmp_path / "peer" / f"log.{kind}"
    shutil.rmtree(database) if database.is_dir() else database.unlink()
    source = killed / database.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, database)
    with pytest.raises(StoreCorrupt, match="of another data directory"):
        open_store(kind, tmp_path / "peer", OWNER)
