"""A process of clients that count through one `Cluster`, until its standard input ends.

    python -m tests.cluster.load '[["kv", "a@host"], ...]' THREADS     0 for one with a pipeline

For each line of standard input it answers with how many writes were acknowledged so far; at the
end with a line of JSON: `written`, `errors` (each is a write that failed), `longest_s` (the longest
write) and `found`: what the counter holds, which is `written` if none was lost and none ran twice.
"""

import json
import sys
import threading
import time
from collections import deque

from raft_actors import Cluster, Node

OUTSTANDING = 500


class Load:
    def __init__(self, cluster, count):
        self.cluster = cluster
        self.written = [0] * (count or 1)
        self.longest_s = [0.0] * (count or 1)
        self.errors = []
        self.ended = threading.Event()
        self.threads = [
            threading.Thread(target=self.run if count else self.run_pipelined, args=(number,))
            for number in range(count or 1)
        ]

    def run(self, number):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                self.cluster.write(1)
                self.written[number] += 1
            except Exception as error:
                self.errors.append(repr(error))
            self.longest_s[number] = max(self.longest_s[number], time.monotonic() - began)

    def run_pipelined(self, number):
        under_way = deque()
        with self.cluster.pipeline(outstanding_max=OUTSTANDING) as pipeline:
            while not self.ended.is_set():
                under_way.append((time.monotonic(), pipeline.write(1)))
                if len(under_way) >= OUTSTANDING:
                    self.take(number, *under_way.popleft())
            while under_way:
                self.take(number, *under_way.popleft())

    def take(self, number, began, pending):
        try:
            pending.result()
            self.written[number] += 1
        except Exception as error:
            self.errors.append(repr(error))
        self.longest_s[number] = max(self.longest_s[number], time.monotonic() - began)


def main(addresses, count):
    Node.start("load")
    cluster = Cluster([tuple(address) for address in json.loads(addresses)])
    load = Load(cluster, int(count))
    for thread in load.threads:
        thread.start()
    for _line in sys.stdin:
        print(sum(load.written), flush=True)
    load.ended.set()
    for thread in load.threads:
        thread.join()
    report = {
        "written": sum(load.written),
        "errors": load.errors,
        "longest_s": max(load.longest_s),
        "found": cluster.read("count"),
    }
    print(json.dumps(report), flush=True)
    Node.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
