"""A node with a disk of its own that obeys: `python -m tests.cluster.bad_disk DATA_DIR NAME ...`.

It takes orders on standard input: `slow SECONDS` (each save takes so much longer), `fill` (no room
is left) and `free`. Where nothing can be mounted, `fill` lets no file grow instead. What is told of
disks goes to its log.
"""

import os
import sys
import threading
from pathlib import Path

from raft_actors import Supervisor, events
from raft_actors.tools.run_node import main
from raft_actors.tools.torture.child import Disk, slow_down_saves
from raft_actors.tools.torture.disks import SmallDisk, limit_file_size
from tests.counter import Counter

FILE_BYTES_MAX = 1_000
disk = None


def start():
    from tests.cluster import bad_disk  # the program is `__main__`, and knows the disk

    slow_down_saves()
    threading.Thread(target=take_orders, args=(bad_disk.disk,), daemon=True).start()
    events.subscribe(lambda event: print(event, flush=True))
    return Supervisor.start_link([(Counter, {"name": "kv"})], strategy="one_for_one")


def take_orders(disk):
    for line in sys.stdin:
        match line.split():
            case ["slow", seconds]:
                Disk.slow_s = float(seconds)
            case ["fill"]:
                disk.fill() if disk else limit_file_size(os.getpid(), FILE_BYTES_MAX)
            case ["free"]:
                disk.free() if disk else limit_file_size(os.getpid(), None)
    os._exit(1)


if __name__ == "__main__":
    from tests.cluster import bad_disk

    bad_disk.disk = SmallDisk.mount(Path(sys.argv.pop(1)))
    main()
