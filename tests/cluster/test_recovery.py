"""Real processes whose disks are lost: what `raft-actors recover` rescues, and what it refuses."""

import shutil
import subprocess
import sys

from raft_actors import Raft
from raft_actors.tools.offline.examine import examine
from raft_actors.tools.offline.stopped_peer import stopped
from tests.cluster.stage import NAMES
from tests.cluster.test_crashes import Writers
from tests.helpers import eventually


def peer_directory(stage, name):
    peer, node = stage.address(name)
    return stage.data_dir(name) / node / peer


def recover(*arguments, typed=""):
    return subprocess.run(
        [sys.executable, "-m", "raft_actors", "recover", *map(str, arguments)],
        input=typed, capture_output=True, text=True,
    )  # fmt: skip


def examined(path):
    with stopped(path) as store:
        return examine(store)


def goes_on_without(stage, name, others, written):
    """Kill `name`, which leads; the others must elect, take a write, and have all of `written`."""
    stage.kill(name)
    leader = stage.address(stage.leader(others))
    eventually(lambda: Raft.write(leader, ("set", "later", 1), timeout=5)[0] == "ok")
    for key, value in written.items():
        assert Raft.read(leader, ("get", key), timeout=10) == ("ok", value)


def test_a_majority_that_is_gone_for_good(stage):
    """Two disks of three are lost; the third goes on alone, then with two fresh ones, and then
    without that one."""
    stage.form()
    written = {f"before{number}": number for number in range(30)}
    for key, value in written.items():
        stage.write(key, value)
    eventually(lambda: stage.applied("a") >= 30)
    assert "is in use by process" in recover("inspect", peer_directory(stage, "a")).stderr
    stage.kill(*NAMES)
    for name in "bc":
        shutil.move(stage.data_dir(name), stage.directory / f"lost-{name}")

    directory = peer_directory(stage, "a")
    old = examined(directory)
    group = old.configurations[-1]["group"]
    member = ":".join(stage.address("a"))
    order = ("force-configuration", directory, member)
    wrong = recover(*order, typed="yes\n")
    assert wrong.returncode == 1
    assert "nothing was changed" in wrong.stderr
    assert examined(directory).log == old.log
    right = recover(*order, typed=f"{group}\n")
    assert right.returncode == 0, right.stderr
    assert "must never be used again" in " ".join(right.stderr.split())

    new = examined(directory)
    forced = new.configurations[-1]
    assert new.problems == []
    assert forced["members"] == (stage.address("a"),)
    assert forced["group"] != group
    assert forced["forced"]["group"] == group
    assert [tuple(each) for each in forced["forced"]["members"]] == stage.addresses
    assert new.ballot["term"] > old.ballot["term"]

    stage.start("a")
    eventually(lambda: stage.is_up("a"))
    assert stage.leader("a") == "a"
    for key, value in written.items():
        assert Raft.read(stage.address("a"), ("get", key), timeout=10) == ("ok", value)
    stage.start("b", "c")
    for name in "bc":
        eventually(lambda name=name: stage.is_up(name))
    answer = Raft.set_configuration(stage.address("a"), stage.addresses, timeout=30)
    assert answer[0] == "ok", answer
    stage.write("after", 1)
    goal = stage.applied("a")
    for name in "bc":
        eventually(lambda name=name: stage.applied(name) >= goal)

    # One of the lost disks turns up. It is of the old group, and is not listened to.
    stage.kill("c")
    shutil.move(stage.data_dir("c"), stage.directory / "fresh-c")
    shutil.move(stage.directory / "lost-c", stage.data_dir("c"))
    stage.start("c")
    eventually(lambda: stage.is_up("c"))
    eventually(lambda: "here belongs to another group" in stage.log("c").read_text())
    for number in range(10):
        stage.write(f"more{number}", number)
    assert stage.leader("ab") in "ab"
    assert Raft.read(stage.address("c"), ("get", "after"), timeout=2)[0] == "error"
    stage.kill("c")
    assert examined(peer_directory(stage, "c")).configurations[-1]["group"] == group
    written |= {"after": 1}
    address = stage.address(stage.leader("ab"))
    for key, value in written.items():
        assert Raft.read(address, ("get", key), timeout=10) == ("ok", value)

    shutil.move(stage.data_dir("c"), stage.directory / "lost-c")
    shutil.move(stage.directory / "fresh-c", stage.data_dir("c"))
    stage.start("c")
    eventually(lambda: stage.is_up("c") and stage.applied("c") >= stage.applied("b"))
    if (leader := stage.leader()) != "a":
        assert Raft.transfer_leadership(stage.address(leader), stage.address("a"))[0] == "ok"
    goes_on_without(stage, "a", "bc", written)


def test_a_backup_of_a_running_group_becomes_another_group(stage):
    """Taken at the leader while clients write: it has all that was acknowledged before.

    The group of one that it makes is joined by others, and goes on without the first.
    """
    stage.form()
    written = {f"before{number}": "v" * 10_000 for number in range(60)}
    for key, value in written.items():
        stage.write(key, value)
    file = stage.directory / "monday.backup"
    leader = stage.address(stage.leader())
    with Writers(stage, 2) as writers:
        writers.wait_for_more()
        written |= writers.acknowledged
        answer = Raft.backup(leader, file)
        assert answer[0] == "ok", answer
        writers.wait_for_more()
    assert Raft.backup(leader, file) == (
        "error", ("backup_failed", f"{file} is there already: choose another name, or remove it"),
    )  # fmt: skip
    assert "a backup of all up to entry" in recover("verify", file).stdout
    stage.kill(*NAMES)

    directory = peer_directory(stage, "d")
    directory.parent.mkdir(parents=True)
    restored = recover("import", file, directory, "--peer", ":".join(stage.address("d")))
    assert restored.returncode == 0, restored.stderr
    stage.start("d")
    eventually(lambda: stage.is_up("d"))
    assert stage.leader("d") == "d"
    for key, value in written.items():
        assert Raft.read(stage.address("d"), ("get", key), timeout=10) == ("ok", value)
    assert Raft.write(stage.address("d"), ("set", "new", 1), timeout=10)[0] == "ok"

    for name in "bc":
        shutil.move(stage.data_dir(name), stage.directory / f"lost-{name}")
        stage.start(name)
        eventually(lambda name=name: stage.is_up(name))
        answer = Raft.add_peer(stage.address("d"), stage.address(name))
        assert answer[0] == "ok", answer
    goes_on_without(stage, "d", "bc", written | {"new": 1})
