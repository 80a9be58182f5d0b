"""A process of clients that count through one `Cluster`, until its standard input ends.

    python -m tests.cluster.load '[["kv", "a@host"], ...]' THREADS

For each line of standard input it answers with how many writes were acknowledged so far; at the
end with a line of JSON: `written`, `errors` (each is a write that failed), `longest_s` (the longest
write) and `found`: what the counter holds, which is `written` if none was lost and none ran twice.
"""

import json
import sys
import threading
import time

from raft_actors import Cluster, Node


class Load:
    def __init__(self, cluster, count):
        self.cluster = cluster
        self.written = [0] * count
        self.longest_s = [0.0] * count
        self.errors = []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(count)]

    def run(self, number):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                self.cluster.write(1)
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
