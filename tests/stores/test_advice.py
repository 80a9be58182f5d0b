"""What the operating system refuses is told with advice that fits."""

import errno
import os
from pathlib import Path

import pytest

from raft_actors.stores.files import advice_on, translated

FITTING = [
    (errno.ENOSPC, "make room"),
    (errno.EDQUOT, "quota"),
    (errno.EROFS, "mount it for writing"),
    (errno.EACCES, "let this user read and write it"),
    (errno.ENAMETOOLONG, "choose a shorter name"),
    (errno.EMFILE, "ulimit -n"),
    (errno.EFBIG, "ulimit -f"),
    (errno.EEXIST, "choose another place"),
    (errno.ENOTDIR, "choose another place"),
    (errno.ELOOP, "see where its links lead"),
    (errno.EIO, "make the disk good"),
]


@pytest.mark.parametrize(("number", "advice"), FITTING)
def test_advice_fits_what_was_refused(number, advice):
    """Planted: "make room" for everything."""
    refused = OSError(number, os.strerror(number))
    assert advice in str(translated(Path("/data/p"), refused))
    assert ("make room" in advice_on(refused)) == (number in {errno.ENOSPC, errno.EDQUOT})


@pytest.mark.parametrize(("number", "advice"), FITTING)
def test_advice_fits_what_a_database_hands_on_in_its_own_words(number, advice):
    words = f"IO error: {os.strerror(number)}: While appending to file: /data/p/000004.log"
    assert advice in advice_on(RuntimeError(words))


def test_a_path_that_a_database_can_not_take_is_no_fault_of_the_disk():
    """A database takes paths as UTF-8, and the operating system any bytes."""
    with pytest.raises(UnicodeError) as refused:
        "/data/\udcff".encode()
    assert advice_on(refused.value) == "choose a path that is UTF-8"
