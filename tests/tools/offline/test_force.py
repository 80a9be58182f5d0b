"""`raft-actors recover force-configuration`: what is written, and what is refused."""

import json
import os
import pwd
import time

import pytest

from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import CONFIG, command_of, encode, kind_of, term_of
from raft_actors.errors import BadName, DataDirInUse
from raft_actors.node.host_name import short_host_name
from raft_actors.stores import open_store
from raft_actors.tools.offline.examine import examine
from raft_actors.tools.offline.force_configuration import CannotForce
from raft_actors.tools.offline.stopped_peer import stopped
from tests.tools.offline.directories import MEMBERS, OWNER, founding, make, take_snapshot
from tests.tools.offline.test_examine import run


@pytest.fixture(params=["rocksdb", "lmdb", "files"])
def path(request, tmp_path):
    return make(request.param, tmp_path / "peer")


def force(path, *members):
    members = members or [":".join(OWNER)]
    return run("force-configuration", path, *members, "--yes")


def saved_in(path):
    with stopped(path) as store:
        saved = store.load()
        return saved, store.entries(saved.first, saved.last)


def test_the_entry_is_of_a_new_term_and_says_that_it_was_forced(path):
    """Planted: the old group's id kept; then its members are listened to."""
    _, log = saved_in(path)
    answer = force(path)
    assert answer.exit_code == 0
    after, longer = saved_in(path)
    assert longer[:-1] == log
    entry = longer[-1]
    assert (kind_of(entry), term_of(entry)) == (CONFIG, 4)
    ballot = Ballot(*after.ballot)
    assert (ballot.term, ballot.voted_for, ballot.configuration) == (4, OWNER, after.last)
    configuration = Configuration.decode(command_of(entry)[0], after.last)
    assert configuration.members == (OWNER,)
    assert configuration.previous == 1
    assert configuration.group not in {"", founding().group}
    record = json.loads(command_of(entry)[0])["forced"]
    assert record["group"] == founding().group
    assert [tuple(each) for each in record["members"]] == sorted(MEMBERS)
    assert record["by"]
    assert abs(command_of(entry)[2] / 1000 - time.time()) < 60
    with stopped(path) as store:
        assert examine(store).problems == []


@pytest.fixture
def nameless(monkeypatch):
    """In a container there may be no line in /etc/passwd for who runs this."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)


@pytest.mark.usefixtures("nameless")
def test_who_has_no_name_is_written_down_by_number(path):
    assert force(path).exit_code == 0
    _, log = saved_in(path)
    by = json.loads(command_of(log[-1])[0])["forced"]["by"]
    assert by == f"uid {os.getuid()}@{short_host_name()}"


def test_a_change_that_was_under_way_is_over(path):
    with stopped(path) as store:
        joint = founding().changed(members=[OWNER, ("kv", "d@host")], learners=[("kv", "e@host")])
        store.save((3, OWNER, 201), 201, [encode(3, CONFIG, joint.encode(), index=201)])
    force(path)
    _, log = saved_in(path)
    configuration = Configuration.decode(command_of(log[-1])[0], 202)
    assert (configuration.members, configuration.learners, configuration.old) == ((OWNER,), (), ())
    record = json.loads(command_of(log[-1])[0])["forced"]
    assert [tuple(each) for each in record["old"]] == sorted(MEMBERS)


def test_the_configuration_may_be_in_a_snapshot_alone(tmp_path):
    path = make("rocksdb", tmp_path / "compacted", snapshot=150, compacted=150)
    assert force(path).exit_code == 0
    saved, log = saved_in(path)
    assert json.loads(command_of(log[-1])[0])["forced"]["group"] == founding().group
    assert saved.last == 201


def test_it_can_be_forced_again(path):
    force(path)
    force(path, ":".join(OWNER), "kv:d@host")
    with stopped(path) as store:
        found = examine(store)
    assert found.problems == []
    assert [len(each["members"]) for each in found.configurations] == [3, 1, 2]


@pytest.mark.parametrize(
    ("members", "error", "told"),
    [
        (["kv:b@host"], CannotForce, "directory of kv:a@host, which must be a member"),
        (["kv"], BadName, "written NAME:NODE"),
        (["kv:a"], BadName, "a node is named name@host"),
        (["k v:a@host"], BadName, "a peer's name"),
    ],
)
def test_members_that_cannot_be_are_refused(path, members, error, told):
    before = saved_in(path)
    with pytest.raises(error, match=told):
        force(path, *members)
    assert saved_in(path) == before


def test_a_directory_in_use_is_refused(path):
    with stopped(path), pytest.raises(DataDirInUse, match=f"process {os.getpid()}"):
        force(path)


def test_a_damaged_directory_is_refused(path):
    with stopped(path) as store:
        store.save(None, 201, [b"?"])
    with pytest.raises(CannotForce, match="is damaged; nothing was changed"):
        force(path)
    assert saved_in(path)[0].last == 201


def test_a_directory_without_a_group_is_refused(tmp_path):
    open_store("lmdb", tmp_path / "fresh", OWNER).close()
    with pytest.raises(CannotForce, match="is in no group"):
        force(tmp_path / "fresh")
    open_store("lmdb", tmp_path / "nobodys").close()
    with pytest.raises(CannotForce, match="was never a peer's"):
        force(tmp_path / "nobodys")


def test_a_witness_keeps_no_state_and_is_refused(tmp_path, path):
    """Planted: the kind of the snapshot is not asked for; then the group goes on from nothing."""
    with stopped(path) as store:
        take_snapshot(store, 60, 1, kind="witness")
    with pytest.raises(CannotForce, match="is a witness's: up to entry 60 it keeps no state"):
        force(path)
    with pytest.raises(CannotForce, match="is a witness's"):
        run("export", path, tmp_path / "backup")
    assert saved_in(path)[0].last == 200


def test_without_the_right_word_nothing_is_changed(path):
    before = saved_in(path)
    answer = run("force-configuration", path, ":".join(OWNER))  # and no answer at all
    assert answer.exit_code == 1
    assert saved_in(path) == before
