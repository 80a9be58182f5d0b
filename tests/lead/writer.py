"""Writer: a program that runs where the group leads, and appends a line to a file all the time.

    python -I -S writer.py FILE NODE PAUSE_S WAY...

A line is `token pid node`. When it is told to end it draws one of the ways: so many seconds it
works on.
"""

import os
import random
import signal
import sys
import time


def main() -> None:
    path, node, pause_s, *ways = sys.argv[1:]
    line = f"{os.environ['RAFT_ACTORS_TERM']} {os.getpid()} {node}\n".encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    until = [float("inf")]

    def told(_number: int, _frame: object) -> None:
        until[0] = time.monotonic() + float(random.choice(ways))

    signal.signal(signal.SIGTERM, told)
    while time.monotonic() < until[0]:
        os.write(file, line)
        time.sleep(float(pause_s))


if __name__ == "__main__":
    main()
