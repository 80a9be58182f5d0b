"""docs/errors.md is whole: each error has its row, and each row a test that provokes the error."""

import ast
import re
from datetime import datetime
from pathlib import Path

import pytest

from raft_actors import Cluster, Raft, encoding, errors
from raft_actors.errors import CommandTooLarge, FrameTooLarge, OutcomeUnknown
from raft_actors.future import Future
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import CLIENT
from raft_actors.replica.requests import READ, READ_AS, WRITE
from tests.ground.test_encoding import in_a_set
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_any_node,
    make_memory_node,
    make_node,
    network,
    own_directories,
)
from tests.peer.test_between_nodes import KIB, group  # noqa: F401 - fixture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()

CONTRACT = "../raft_actors/testing/log_store_contract.py::"
PROVOKED_BY = {
    "NotApplied": "public/test_cluster.py::test_outcome_unknown_and_then_settled",
    "NoLeader": "public/test_cluster.py::test_no_leader",
    "Unavailable": "public/test_cluster.py::test_unavailable",
    "TooStale": "client/test_reads.py::test_stale_reads_say_when_nobody_can_be_so_fresh",
    "Overloaded": "public/test_cluster.py::test_overloaded",
    "CommandTooLarge": "public/test_cluster.py::test_command_too_large",
    "OutcomeUnknown": "public/test_cluster.py::test_outcome_unknown_and_then_settled",
    "SessionExpired": "public/test_cluster.py::test_session_expired_only_for_what_is_in_doubt",
    "ReplyLost": "public/test_cluster.py::test_reply_lost",
    "FrameTooLarge": "client/test_errors.py::test_a_reply_that_fits_no_frame",
    "BadName": "node/test_naming.py::test_a_bad_name_is_refused_in_words",
    "NotAllowed": "peer/test_roles.py::test_a_handle_says_that_its_cookie_may_not",
    "UnsafeCookie": "node/test_cookie_file.py::test_a_cookie_file_that_others_may_read_is_refused",
    "UnknownType": "ground/test_value_types.py::"
    "test_an_unknown_type_is_named_and_what_only_shows_it_keeps_it",
    "BadTls": "transport/test_tls.py::"
    "test_a_certificate_that_others_would_refuse_is_refused_at_the_start",
    "NameTaken": "node/test_naming.py::test_a_name_is_taken_while_its_process_lives",
    "NoNode": "node/test_transports.py::test_a_stopped_node_reaches_nobody_and_says_so",
    "NoProcess": "node/test_remote_ref.py::test_no_actor_of_that_name",
    "NoConnection": "node/test_remote_ref.py::test_a_killed_process_takes_its_actors_with_it",
    "DataDirInUse": CONTRACT + "test_an_open_store_cannot_be_opened_again",
    "StoreCorrupt": "stores/test_durable.py::test_a_directory_of_another_format_is_refused",
    "StoreError": "stores/test_lmdb.py::test_without_the_package_the_command_to_run_is_named",
    "LogCompacted": CONTRACT + "test_compacted_entries_are_gone_and_said_to_be",
    "MachineTooOld": "peer/test_upgrades.py::test_what_goes_wrong_with_a_version_is_said_in_words",
    "HostError": "machine/test_replicated_state.py::"
    "test_what_depends_on_the_host_is_this_peers_trouble_and_no_answer",
    "LeadLost": "public/test_leader_supervisor.py::"
    "test_a_peer_that_hangs_does_not_keep_the_children",
    "UpgradeFailed": "peer/test_upgrades.py::test_what_goes_wrong_with_a_version_is_said_in_words",
    "redirect": "public/test_raft.py::test_writing_reading_and_being_redirected",
    "election_in_progress": "public/test_cluster.py::test_outcome_unknown_and_then_settled",
    "overloaded": "public/test_raft.py::"
    "test_clients_of_a_busy_peer_are_refused_at_once_and_nothing_grows",
    "command_too_large": "peer/test_between_nodes.py::"
    "test_a_command_that_fits_no_frame_is_refused_by_the_leader_too",
    "no_peer": "public/test_raft.py::test_nobody_of_that_name",
    "not_allowed": "peer/test_roles.py::"
    "test_a_guest_is_answered_what_its_role_may_ask_and_nothing_else",
    "no_node": "cluster/test_crashes.py::"
    "test_requests_across_nodes_get_the_answers_of_the_reference",
    "too_stale": "public/test_raft_reads.py::"
    "test_any_peer_answers_stale_reads_and_says_when_they_would_be_too_stale",
    "reply_too_large": "client/test_errors.py::test_a_reply_that_fits_no_frame",
    "bad_request": "client/test_errors.py::test_a_request_of_another_version",
    "timeout": "public/test_raft.py::test_a_write_that_finds_no_majority_times_out",
    "outcome_unknown": "peer/test_lifecycle.py::test_a_killed_leader_leaves_no_request_unanswered",
    "exception": "public/test_cluster.py::"
    "test_a_machines_replies_that_look_like_errors_of_rafts_are_replies",
    "no_such_method": "public/test_replicated.py::"
    "test_what_is_no_call_of_an_update_changes_nothing",
    "wrong_arguments": "public/test_replicated.py::"
    "test_arguments_that_do_not_fit_are_refused_by_every_replica_too",
    "method_too_new": "public/test_replicated.py::"
    "test_a_method_of_a_newer_version_waits_until_the_group_runs_it",
    "CommandTooNew": "public/test_replicated.py::"
    "test_a_method_of_a_newer_version_waits_until_the_group_runs_it",
    "MethodRaised": "public/test_replicated.py::"
    "test_an_update_that_raises_leaves_every_attribute_as_it_was",
    "MethodRefused": "public/test_replicated.py::"
    "test_a_handle_of_another_class_than_the_groups_says_so",
    "already_started": "public/test_raft.py::test_starting_a_name_twice_is_already_started",
    "restarting": "public/test_raft.py::test_a_crash_loop_takes_only_its_own_peer_down",
    "must_be_in_consensus_group": "core/test_founding.py::test_a_founder_must_be_a_member",
    "peers_not_responding": "core/test_founding.py::"
    "test_a_founder_without_a_majority_gives_up_and_may_try_again",
    "no_members": "core/test_membership.py::test_a_change_that_makes_no_sense_is_refused",
    "would_lose_quorum": "core/test_membership.py::"
    "test_a_change_that_leans_on_a_member_that_was_never_heard_is_refused",
    "change_in_progress": "core/test_membership.py::test_one_change_at_a_time",
    "newcomers_too_slow": "core/test_membership.py::"
    "test_a_newcomer_that_never_catches_up_is_given_up_after_some_rounds",
    "called_off": "core/test_membership.py::"
    "test_asking_for_the_members_as_they_are_calls_a_change_off",
    "configuration_changed": "core/test_membership.py::"
    "test_a_change_that_makes_no_sense_is_refused",
    "other_incarnation": "core/test_incarnations.py::test_a_wiped_disk_acknowledges_nothing",
    "in_another_group": "core/test_incarnations.py::"
    "test_a_founder_of_a_group_that_exists_is_told_so",
    "no_group": "peer/test_joining.py::test_joining_by_one_that_has_no_group_says_so",
    "remove_first": "core/test_witnesses.py::"
    "test_a_member_changes_between_state_and_none_only_by_leaving_first",
    "has_another_part": "peer/test_joining.py::test_a_member_does_not_join_again_as_a_witness",
    "last_member": "peer/test_joining.py::test_the_last_member_does_not_leave",
    "keeps_no_state": "core/test_witnesses.py::test_nobody_hands_over_to_a_witness",
    "diverged": "replica/test_digests.py::test_it_takes_no_snapshot_and_gives_none_away",
    "no_such_member": "public/test_raft.py::test_whom_the_group_does_not_have_is_no_such_member",
    "transfer_in_progress": "core/test_transfer.py::test_a_second_transfer_waits_for_the_first",
    "not_found": "public/test_raft.py::test_the_first_entries_are_those_of_the_original",
    "compacted": "tools/offline/test_force.py::test_the_configuration_may_be_in_a_snapshot_alone",
    "snapshot_failed": "public/test_raft_backup.py::"
    "test_a_state_that_cannot_be_written_down_is_told",
    "backup_failed": "cluster/test_recovery.py::"
    "test_a_backup_of_a_running_group_becomes_another_group",
}


def rows() -> list[str]:
    """The first cell's first name of each row of each table."""
    found = re.findall(r"^\| `\(?\"?([A-Za-z_]+)", PAGE, re.MULTILINE)
    assert len(found) == len(set(found)), "an error has two rows"
    return found


@pytest.mark.parametrize("row", rows())
def test_each_row_is_provoked_by_a_test(row):
    assert row in PROVOKED_BY, "a row without a test"
    path, _, name = PROVOKED_BY[row].partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text())
    test = next(each for each in ast.walk(tree) if getattr(each, "name", "") == name)
    words = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    words |= {node.value for node in ast.walk(test) if isinstance(node, ast.Constant)}
    source = ast.unparse(test)
    assert row in words or row in source or row.upper() in words, f"{name} does not name {row}"


def test_each_error_that_can_be_raised_has_a_row():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RaftError)
    }
    assert classes - {"RaftError"} <= set(rows())


def test_each_test_that_is_named_belongs_to_a_row():
    assert set(PROVOKED_BY) <= set(rows())


# What no other test provokes.


def test_a_reply_that_fits_no_frame(group, monkeypatch):  # noqa: F811
    """The leader's node may send no such frame; the reader hears so, and the node goes on."""
    follower, leader = group.nodes[1], group.members[0]
    for key in range(4):
        assert group.write(key, "x" * 50 * KIB)[0] == "ok"
    monkeypatch.setattr(KVStore, "handle_read", lambda _machine, _query, state: dict(state))
    answer = group.ask(follower, leader, READ, encoding.dumps("all"))
    assert answer[:1] == ("error",)
    assert answer[1][0] == "reply_too_large"
    cluster = Cluster(leader)
    client = cluster._client
    client.finder.router = peers_of(follower).router
    with pytest.raises(FrameTooLarge, match="ask for less"):
        cluster.read("all", 5.0)
    assert group.write("small", 1)[0] == "ok"


def test_a_command_that_fits_no_frame_of_the_other_node(group, monkeypatch):  # noqa: F811
    """Whether the link says so that is up, or the one that comes up with the command waiting."""
    client = group.start_node("client")
    monkeypatch.setattr("raft_actors.client.rpc.peers_here", lambda: peers_of(client))
    monkeypatch.setattr("raft_actors.client.leader_finder.peers_here", lambda: peers_of(client))
    leader, command = group.members[0], ("set", "k", b"x" * 200 * KIB)
    assert [Raft.write(leader, command) for _ in range(2)] == [("error", "command_too_large")] * 2
    client.disconnect(leader[1])
    with Cluster(leader) as cluster:
        assert cluster.write(("set", "k", 1)) == ("ok", "k", 1)
        for write in (cluster.write, cluster.cast, cluster.pipeline().write):
            with pytest.raises(CommandTooLarge, match="may be: split it"):
                write(command)
        call = cluster._client.begin(("set", "k", 2), None)
        call.future.get(10)
        call.future = Future()
        call.future.set_exception(FrameTooLarge("it takes less"))
        with pytest.raises(CommandTooLarge, match="may be: split it"):
            cluster._client.finish(call)
        call.may_have_happened = True
        with pytest.raises(OutcomeUnknown) as unknown:
            cluster._client.finish(call)
        assert cluster.outcome(unknown.value.request_id) == ("ok", "k", 2)


def test_a_request_of_another_version(group):  # noqa: F811
    node, (name, leader) = group.nodes[1], group.members[0]
    answer = node.call(leader, CLIENT, [200, name, encoding.dumps(()), 0, 1])
    node.flush()
    error, (reason, text) = encoding.loads(answer.get(10))
    assert (error, reason) == ("error", "bad_request")
    assert "version" in text
    answer = node.call(leader, CLIENT, [WRITE, name, encoding.dumps(("set", 1, 1)), 0, 1])
    node.flush()
    assert encoding.loads(answer.get(10))[0] == "ok"


def test_a_request_with_a_key_that_can_not_be_read_there_costs_no_other_one(group):  # noqa: F811
    """The hash of a moment needs the offset of its zone, which is not known here."""
    node, (name, leader) = group.nodes[1], group.members[0]
    key = in_a_set(datetime(2026, 1, 1, tzinfo=encoding.UnknownZone.of("Mars/Base")))
    asked = [
        node.call(leader, CLIENT, [operation, name, payload, 0, 1])
        for operation, payload in (
            (WRITE, encoding.dumps(("set", 1, 1))),
            (WRITE, key),
            (READ_AS, key),
            (WRITE, encoding.dumps(("set", 2, 2))),
        )
    ]
    node.flush()
    first, write, read, last = [encoding.loads(answer.get(10)) for answer in asked]
    assert (first[0], last[0]) == ("ok", "ok")
    for error, (reason, text) in (write, read):
        assert (error, reason) == ("error", "bad_request")
        assert "Mars/Base" in text
