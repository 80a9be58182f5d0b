"""What holds for all tests."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.leftovers import Leftovers

# How fast an example is drawn and run tells of the machine, and of what else it does.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
"""What must be free there: all that the tests write came to 600 MB, and most of it is not kept."""
LONGEST = ("tests/tools/torture/test_torture.py", "tests/cluster/")
DISK = "RAFT_ACTORS_TESTS_DISK"


def pytest_configure(config: pytest.Config) -> None:
    let_signals_end_processes()
    keep_compiled_modules()
    use_a_disk_in_memory()
    config.pluginmanager.register(Leftovers(config), "leftovers")


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that at the end no worker waits for one of them."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def let_signals_end_processes() -> None:
    """Let signals end what they end in a terminal, here and in each process that a test starts.

    A shell's background job ignores SIGINT, and what `nohup` starts ignores SIGHUP; so would
    everything below it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def keep_compiled_modules() -> None:
    """Tests start about a thousand Python processes. Without compiled modules each of them compiles
    the package again, which takes longer than most of them run.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def use_a_disk_in_memory() -> None:
    """Put temporary directories into memory, unless TMPDIR says where they belong: most tests would
    wait for the disk most of the time. What is synced and when is the same. Tests about the time
    that a sync takes, and clusters of processes that are killed, use the fixture `real_disk`.
    """
    os.environ.setdefault(DISK, tempfile.gettempdir())
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.fixture
def real_disk():
    """A directory on a disk where a sync takes its time, as far as this machine has one."""
    with tempfile.TemporaryDirectory(prefix="raft_actors-test-", dir=os.environ[DISK]) as path:
        yield Path(path)
