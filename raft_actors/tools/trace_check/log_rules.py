"""Log rules: who may write entries, and which entries may be committed (§5.3, §5.4.2, §6)."""

from typing import Any

from raft_actors.tools.trace_check import elections
from raft_actors.tools.trace_check.log_view import LogView, entries_of
from raft_actors.tools.trace_check.peer_state import Message, PeerState

__all__ = ["check_entries", "check_log", "judge_commit", "judge_own_entries"]


def judge_own_entries(peer: PeerState) -> None:
    """Only a leader writes entries that it has not received: at the end of its log, in its term."""
    before, what = peer.before, peer.what
    views = what.get("entries", [])
    if views:
        if what["role"] != "leader":
            peer.fail("leader_appends", f"a {what['role']} wrote entries by itself")
        if what["first"] != before["last"] + 1:
            peer.fail("leader_appends", f"entry {what['first']} is replaced by a leader's own")
        if any(view[0] != what["term"] for view in views):
            peer.fail("leader_appends", f"an entry of another term than {what['term']}")
        peer.log.replace(what["first"], views)
        peer.cluster.entries(peer, what["first"], peer.log)
    check_log(peer, what)


def check_log(peer: PeerState, what: dict[str, Any], rule: str = "leader_appends") -> None:
    log = peer.log
    if what["base"] != log.base:
        peer.fail(
            "snapshot",
            f"the log begins after {what['base']}; by the rules it does after {log.base}",
        )
    known = log.term_at(log.last)
    if what["last"] != log.last or known not in (what["last_term"], None):
        peer.fail(
            rule,
            f"the log ends at {what['last']} in term {what['last_term']}; by the rules it "
            f"does at {log.last} in {known}",
        )


def check_entries(peer: PeerState, what: dict[str, Any], expected: LogView) -> None:
    """Compare the entries in the line with those that follow from the rules."""
    if "entries" in what and (
        expected.between(what["first"], expected.last) != entries_of(what["entries"])
    ):
        peer.fail("append_taken", f"other entries than those received, from {what['first']}")


def judge_commit(peer: PeerState, asked_by: Message | None) -> None:
    what = peer.what
    commit = what["commit"]
    if commit < peer.commit:
        peer.fail("commit_falls", f"commit {commit} after {peer.commit}")
    if commit == peer.commit:
        return
    if commit > what["last"]:
        peer.fail("leader_commit", f"commit {commit} beyond the log's end, {what['last']}")
    leads = what["role"] == "leader"
    if leads:
        judge_leader_commit(peer, commit)
    elif asked_by is None or asked_by["kind"] != "AppendEntries":
        peer.fail("follower_commit", f"commit {commit} without a message of a leader")
    first, peer.commit = peer.commit + 1, commit
    peer.cluster.committed(peer, first, commit, leads=leads)


def judge_leader_commit(peer: PeerState, commit: int) -> None:
    """An entry must be saved by a majority. In the step that writes a configuration, a majority of
    the configuration before it or of the new one is accepted.
    """
    term = peer.what["term"]
    if peer.log.term_at(commit) != term:
        peer.fail(
            "leader_commit",
            f"commit {commit} in term {term}: that entry is of term {peer.log.term_at(commit)}",
        )
    holders = {member for member, match in peer.matches.items() if match >= commit}
    if peer.disk.last >= commit:
        holders.add(peer.own_disk)
    if not (
        elections.is_majority(holders, peer.voters)
        or elections.is_majority(holders, peer.log.configuration)
    ):
        peer.fail("leader_commit", f"commit {commit} is saved by {sorted(holders)} only")
