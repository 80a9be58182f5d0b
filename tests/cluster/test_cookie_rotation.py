"""A cookie is exchanged for a new one while three processes take writes, and none of them fails."""

import threading

from raft_actors import Cluster
from raft_actors.node.cookie_file import new_secret, path_of, replace_file
from raft_actors.peer.peers import peers_of
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.roles import MEMBER
from tests.helpers import eventually
from tests.node_fixtures import make_node, make_script, own_directories  # noqa: F401 - fixtures

SERVER = """
    import os, sys
    os.environ["XDG_CONFIG_HOME"] = sys.argv[2]
    from raft_actors import Config, Node, Raft
    from raft_actors.kv_store import KVStore
    name = Node.start(sys.argv[1])
    assert Raft.start_peer(KVStore, name="kv", log_store="memory")[0] == "ok"
    print(name)

    def ids():
        return [each.hex() for each in Node.current().access._keys.current().ids]

    def part():
        return len([Node.disconnect(node) for node in Node.list()])

    for line in sys.stdin:
        print(repr(eval(line)))
"""


def test_no_write_fails_while_the_cookie_is_exchanged_on_one_host_after_the_other(
    make_script, make_node, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    """After each step the nodes part, and meet again with what they have by then."""
    homes = {letter: tmp_path / letter for letter in "abc"}
    directories = [*(home / "raft_actors" for home in homes.values()), path_of(MEMBER).parent]
    old, new = new_secret(MEMBER), new_secret(MEMBER)
    for directory in directories:
        directory.mkdir(parents=True)
        replace_file(path_of(MEMBER, directory), [old])
    servers = [make_script(SERVER, letter, home) for letter, home in homes.items()]
    members = [("kv", server.line()) for server in servers]
    formed = servers[0].say(f"Raft.set_configuration('kv', {members!r})")
    assert formed.startswith("('ok'"), formed
    writer = make_node("writer")
    monkeypatch.setattr("raft_actors.client.leader_finder.peers_here", lambda: peers_of(writer))
    written, failed, over = [], [], threading.Event()

    def write():
        with Cluster(members, timeout=60.0) as cluster:
            while not over.is_set():
                try:
                    cluster.write(("set", "last", len(written)))
                    written.append(len(written))
                except Exception as error:
                    failed.append(error)
                    return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        eventually(lambda: len(written) > 20)
        for lines in ([new, old], [new]):
            ids = [Cookie(line).id.hex() for line in lines]
            for server, directory in zip([*servers, None], directories, strict=True):
                replace_file(path_of(MEMBER, directory), lines)
                if server is None:
                    keys = writer.access._keys
                    eventually(lambda: [each.hex() for each in keys.current().ids] == ids)
                    for node in writer.list():
                        writer.disconnect(node)
                else:
                    eventually(lambda: server.say("ids()") == repr(ids))
                    server.say("part()")
                before = len(written)
                eventually(lambda: failed or len(written) > before + 10)
                assert not failed, failed
    finally:
        over.set()
        thread.join(90)
    assert not failed, failed
    with Cluster(members, timeout=60.0) as cluster:
        assert cluster.read(("get", "last")) == ("ok", written[-1])
