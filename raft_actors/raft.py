"""Raft: the calls of Elixir's `raft`, with the same names and the same tuples as answers."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pykka

from raft_actors import encoding
from raft_actors.client import backup as backups
from raft_actors.client import explaining, joining, membership, reseeding, rpc, session_limits
from raft_actors.client.answers import Answer, Done, Started
from raft_actors.client.explanation import Explanation
from raft_actors.client.leader_finder import LeaderFinder, router_here
from raft_actors.client.membership import CHANGE_TIMEOUT
from raft_actors.client.rpc import (
    CALL_TIMEOUT,
    PeerRef,
    address_of,
    ask,
    follow_referral,
    request,
)
from raft_actors.client.trial_group import start_group
from raft_actors.client.views import ConfigurationView, Entry, SessionLimits, Status, viewed
from raft_actors.config import Config
from raft_actors.core.replies import NO_NODE, OUTCOME_UNKNOWN
from raft_actors.kv_store import KVStore
from raft_actors.names import Address, check_peer_name
from raft_actors.paths import absolute
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import ENTRY, WRITE, read_request
from raft_actors.timeouts import seconds

if TYPE_CHECKING:
    from raft_actors.replicated import Replicated
    from raft_actors.state_machine import StateMachine

__all__ = ["Raft"]

SNAPSHOT_TIMEOUT = 60.0


class Raft:
    """Start peers, form groups, write and read. A problem of the cluster is returned as
    `("error", reason)`, and not raised.

    A peer is given as its name on this node, its address `(name, node)`, its ActorRef or a proxy.

    >>> from raft_actors import Raft
    >>> peers = Raft.test_cluster()
    >>> leader = Raft.leader(peers[0])
    >>> Raft.write(leader, ("set", "key", 1))
    ('ok', 'key', 1)
    >>> Raft.read(leader, ("get", "key"))
    ('ok', 1)
    """

    @staticmethod
    def start_peer(
        machine: "type[StateMachine | Replicated]",
        *,
        name: str,
        config: Config | None = None,
        members: Iterable[Address | str] = (),
        **fields: Any,
    ) -> Started[pykka.ActorProxy[Any]]:
        """Start a peer of `machine` on this node, under the node's own supervisor.

        members   the members of the group to form, this peer included; each member must declare
                  the same list. A group forms once only; later its log has the members
        fields    fields of Config; they override those of `config`

        Returns `("ok", proxy)`, `("error", ("already_started", proxy))`, or `("error", reason)`
        if it can't start. Raises ValueError for a bad name or config, and TypeError if `machine` is
        no class.

        >>> from raft_actors.kv_store import KVStore
        >>> ok, proxy = Raft.start_peer(KVStore, name="peer4")
        """
        check_peer_name(name)
        match peers_here().start(machine, name, Config.of(config, **fields), members):
            case ("ok", ref):
                return ("ok", ref.proxy())
            case ("error", ("already_started", ref)):
                return ("error", ("already_started", ref.proxy()))
            case answer:
                failed: Started[pykka.ActorProxy[Any]] = answer
                return failed

    @staticmethod
    def stop_peer(peer: PeerRef) -> Done:
        """Stop a peer, on this node or another one: `"ok"`, `("error", "no_peer")`.

        No supervisor starts the peer again. Its log stays on disk.

        >>> Raft.stop_peer("peer4")
        'ok'
        """
        return rpc.stop(peer)

    stop = stop_peer

    @staticmethod
    def set_configuration(
        peer: PeerRef,
        members: Iterable[PeerRef],
        *,
        learners: Iterable[PeerRef] = (),
        witnesses: Iterable[PeerRef] = (),
        dry_run: bool = False,
        timeout: float = CHANGE_TIMEOUT,
    ) -> Answer[ConfigurationView]:
        """Form a group with these members, or change the members of a running group, at its leader.

        Any number may change at once (joint consensus, §6). New members, which must run and be in
        no group, get the log before they vote; a leader that is removed transfers its leadership.
        Learners get the log and never vote; witnesses vote and keep no state. A call with the
        present members cancels a change whose new members have not caught up, as `cancel_change`
        does. With `dry_run` a leader changes nothing, and answers what it would do.

        Returns `("ok", configuration)`, or an error. To form a group:
        `"must_be_in_consensus_group"` if `peer` is not in `members`, `"peers_not_responding"` if no
        majority answers, `("in_another_group", [peer])` if a member is in another group,
        `"other_incarnation"` if the peer's own disk was wiped. To change a group:
        `("redirect", leader)`, `"election_in_progress"`, `("peers_not_responding", newcomers)`,
        `("newcomers_too_slow", newcomers)` if they don't catch up, `("would_lose_quorum", silent)`,
        `("remove_first", peers)`, `"change_in_progress"`, `"called_off"`, `"no_members"`;
        `"timeout"` and `"outcome_unknown"` if the change may still happen.

        >>> ok, proxy = Raft.start_peer(KVStore, name="alone")
        >>> ok, configuration = Raft.set_configuration("alone", ["alone"])
        >>> configuration["members"]
        [('alone', 'nonode@nohost')]
        """
        return membership.set_configuration(peer, members, learners, witnesses, dry_run, timeout)

    @staticmethod
    def add_peer(
        leader: PeerRef,
        peer: PeerRef,
        *,
        learner: bool = False,
        witness: bool = False,
        dry_run: bool = False,
    ) -> Answer[ConfigurationView]:
        """Make `peer` a member, a learner or a witness. It must run and be in no group.

        Returns what `set_configuration` returns; `("no_group", text)` if `leader` belongs to no
        group.

        >>> ok, proxy = Raft.start_peer(KVStore, name="peer4")
        >>> ok, configuration = Raft.add_peer(leader, "peer4")
        >>> len(configuration["members"])
        4
        """
        part = membership.part_of(learner, witness)
        return membership.add(leader, peer, part, dry_run=dry_run)

    @staticmethod
    def cancel_change(leader: PeerRef) -> Answer[ConfigurationView]:
        """Cancel a change of members whose new members have not caught up, if one is under way.

        The call that waits for this change returns `("error", "called_off")`. Returns
        `("ok", configuration)` with the present members; `("error", "change_in_progress")` if the
        change is in the log already: then it completes by itself.

        >>> ok, configuration = Raft.cancel_change(leader)
        >>> configuration["state"]
        'stable'
        """
        return membership.cancel_change(leader)

    @staticmethod
    def join(
        machine: "type[StateMachine | Replicated]",
        *,
        name: str,
        via: PeerRef | Iterable[PeerRef],
        learner: bool = False,
        witness: bool = False,
        timeout: float = CHANGE_TIMEOUT,
        config: Config | None = None,
        **fields: Any,
    ) -> Started[ConfigurationView]:
        """Start a peer of `machine` on this node, unless it runs, and add it to a running group.

        The peer becomes a learner, gets the log, and is promoted when it has caught up; with
        `learner` it stays a learner, with `witness` it votes and keeps no state. A member whose
        disk was wiped or replaced is removed, and added again with its new disk. The call may be
        repeated at any time; several calls at the same time wait for each other.

        via     one member or several, as addresses: `("peer1", "a@host")`
        fields  fields of Config; they override those of `config`

        Returns `("ok", configuration)`; an error of `start_peer` or `set_configuration`;
        `("no_peer", text)` at once if `via` names only peers of this node, and none of them runs;
        `("no_group", text)` if no asked peer is in a group; `("in_another_group", text)` if the
        data directory belongs to another group. Errors that may pass are retried until `timeout`;
        after one that does not pass, a peer that this call has started is stopped again.
        Raises ValueError for a bad name or config.

        >>> ok, configuration = Raft.join(KVStore, name="peer5", via=["peer1", "peer2"])
        >>> len(configuration["members"])
        5
        """
        seconds(timeout)
        part = membership.part_of(learner, witness)
        return joining.join(machine, name, via, part, Config.of(config, **fields), timeout)

    @staticmethod
    def leave(peer: PeerRef, timeout: float = CHANGE_TIMEOUT) -> Done:
        """Remove `peer` from its group, and stop it. A leader transfers the leadership first.

        Its data directory stays. Returns `"ok"`, also for a peer without a group;
        `("error", "no_peer")` if it does not run; `("error", ("last_member", text))`; or the error
        that prevented the change until `timeout`.

        >>> Raft.leave("peer5")
        'ok'
        """
        seconds(timeout)
        return joining.leave(peer, timeout)

    @staticmethod
    def remove_peer(
        leader: PeerRef, peer: PeerRef, *, dry_run: bool = False
    ) -> Answer[ConfigurationView]:
        """Remove a member or learner from the group. Its process runs on, and its log stays.

        Returns `("error", "no_such_member")` if `peer` is neither. `replace_peer`, `promote` and
        `demote` return this error too.

        >>> ok, configuration = Raft.remove_peer(leader, "peer4")
        >>> len(configuration["members"])
        3
        """
        return membership.remove(leader, peer, dry_run=dry_run)

    @staticmethod
    def replace_peer(
        leader: PeerRef, old: PeerRef, new: PeerRef, *, dry_run: bool = False
    ) -> Answer[ConfigurationView]:
        """Replace the member `old` by `new`, in one change.

        A peer whose disk was wiped or replaced can replace itself: it is removed and added again,
        in two changes.

        >>> ok, configuration = Raft.join(KVStore, name="old", via="peer1")
        >>> ok, proxy = Raft.start_peer(KVStore, name="new")
        >>> ok, configuration = Raft.replace_peer(leader, "old", "new")
        >>> sorted(name for name, node in configuration["members"])
        ['new', 'peer1', 'peer2', 'peer3']
        """
        return membership.replace(leader, old, new, dry_run=dry_run)

    @staticmethod
    def promote(
        leader: PeerRef, peer: PeerRef, *, dry_run: bool = False
    ) -> Answer[ConfigurationView]:
        """Give a learner a vote.

        >>> ok, configuration = Raft.join(KVStore, name="peer6", via="peer1", learner=True)
        >>> configuration["learners"]
        [('peer6', 'nonode@nohost')]
        >>> ok, configuration = Raft.promote(leader, "peer6")
        >>> ("peer6", "nonode@nohost") in configuration["members"]
        True
        """
        return membership.promote(leader, peer, dry_run=dry_run)

    @staticmethod
    def demote(
        leader: PeerRef, peer: PeerRef, *, dry_run: bool = False
    ) -> Answer[ConfigurationView]:
        """Take the vote from a member: it becomes a learner.

        >>> ok, configuration = Raft.demote(leader, "peer6")
        >>> configuration["learners"]
        [('peer6', 'nonode@nohost')]
        """
        return membership.demote(leader, peer, dry_run=dry_run)

    @staticmethod
    def transfer_leadership(leader: PeerRef, to: PeerRef | None = None) -> Answer[Address]:
        """Transfer the leadership to `to`, or to the fittest follower (thesis 3.10).

        The leader accepts no more commands until its successor has all of them, so none is lost.

        Returns `("ok", new_leader)`, or an error: `("redirect", leader)` if `leader` does not lead,
        or if another peer than `to` was elected; `("peers_not_responding", peers)` at once if the
        successor can't be reached, or there is no other member; `"no_such_member"`;
        `"transfer_in_progress"`; `"timeout"` if the successor is too slow: the old leader goes on.

        >>> ok, leader = Raft.transfer_leadership(leader)
        """
        return membership.transfer_leadership(leader, to)

    @staticmethod
    def limit_sessions(
        leader: PeerRef, *, sessions_max: int | None = None, session_s: float | None = None
    ) -> Answer[SessionLimits]:
        """Set how many sessions the group keeps, and how long: for all members, in the log.

        sessions_max  most sessions, 1 to 1,000,000; 100,000 if never set. With one more, the
                      session with the oldest last command expires
        session_s     seconds without a command after which a session expires, 1 to 2,592,000 (30
                      days); 3,600 if never set
        None leaves a limit as it is.

        Sessions above new limits expire at once. A command of an expired session is not run again:
        see [the handle](docs/client.md). `Raft.status` shows the limits.

        Returns `("ok", limits)`, both of them; as `write`, an error if `leader` doesn't lead.
        Raises ValueError for a limit out of its range, or without a limit.

        >>> Raft.limit_sessions(leader, session_s=600)
        ('ok', {'sessions_max': 100000, 'session_s': 600.0})
        """
        return session_limits.limit_sessions(leader, sessions_max, session_s)

    @staticmethod
    def leader(peer: PeerRef) -> Address | None:
        """Return the address of the leader that `peer` knows; None if it knows none.

        >>> Raft.leader("peer1") == leader
        True
        """
        return rpc.leader_of(peer)

    @staticmethod
    def status(peer: PeerRef) -> Answer[Status]:
        """Return `("ok", status)`, a mapping; or `("error", reason)` with `"no_node"`, `"no_peer"`,
        or `"restarting"` if the peer has crashed and its supervisor starts it again.

        >>> ok, status = Raft.status(leader)
        >>> status["current_state"]
        'leader'
        """
        return rpc.status_of(peer)

    @staticmethod
    def explain(peer: PeerRef) -> Explanation:
        """Explain what is wrong with the group of `peer`: why there is no leader, why writes are
        slow, why a member lags. Asks the members that `peer` knows; those that do not answer within
        1 s are a part of the answer, so a minority is enough. See docs/explain.md.

        >>> Raft.explain(leader).findings[0].code
        'well'
        """
        return explaining.explain(LeaderFinder(router_here, (address_of(peer),)))

    @staticmethod
    def write(leader: PeerRef, command: Any, timeout: float = 3.0) -> Any:
        """Have `command` committed and applied. Returns the state machine's reply as it is.

        These errors mean that the command has not run: `("redirect", leader)`,
        `"election_in_progress"`, `"overloaded"`, `"no_peer"`, `"restarting"`, `"no_node"`,
        `"command_too_large"` (for `Config.command_bytes_max` of the leader, or for a frame to the
        leader's node or to a member's). After `"timeout"` and `"outcome_unknown"` (the leader was
        deposed, or the connection broke) it may have run, or may still run.

        Raises TypeError for a command that can't be encoded, and names the part of it.

        >>> Raft.write(leader, ("set", "key", "value"))
        ('ok', 'key', 'value')
        >>> Raft.write("nobody", ("set", "key", "value"))
        ('error', 'no_peer')
        """
        payload = encoding.dumps(command, "command")
        return follow_referral(request(leader, WRITE, payload, timeout, OUTCOME_UNKNOWN), timeout)

    @staticmethod
    def read(
        peer: PeerRef,
        query: Any,
        timeout: float = 3.0,
        *,
        consistency: str = "linearizable",
        max_staleness_s: float | None = None,
    ) -> Any:
        """Ask the state machine. The read sees every write acknowledged before the call.

        consistency  `"linearizable"`, `"lease"`: ask the leader; `"follower"`: also linearizable,
                     ask any member; `"stale"`: any peer answers from its state, which may be old
        max_staleness_s  for `"stale"`: how old the answer may be, in seconds

        Errors as for `write`, and `"too_stale"`. After each of them it is safe to try again.

        >>> Raft.read(leader, ("get", "key"))
        ('ok', 'value')
        >>> Raft.read("peer1", ("get", "key"), consistency="follower")
        ('ok', 'value')
        """
        operation, payload = read_request(
            encoding.dumps(query, "query"), consistency, max_staleness_s
        )
        return follow_referral(request(peer, operation, payload, timeout, NO_NODE), timeout)

    @staticmethod
    def snapshot(peer: PeerRef, timeout: float = SNAPSHOT_TIMEOUT) -> Answer[int]:
        """Have one peer take a snapshot now, so that it can delete the log before the snapshot.

        Returns `("ok", index)` when the snapshot is on disk: it replaces the entries up to `index`.
        Returns `("error", ("snapshot_failed", reason))` if it failed: the log stays as it is.

        >>> ok, index = Raft.snapshot("peer1")
        """
        return backups.snapshot(peer, timeout)

    @staticmethod
    def backup(peer: PeerRef, path: str | Path, timeout: float = SNAPSHOT_TIMEOUT) -> Answer[int]:
        """Write the state of the group to a new file on this machine, while the group runs.

        `peer` is any member that is no witness. The file has every write that was acknowledged
        before the call. `raft-actors recover import` makes a new group from the file.

        Returns `("ok", index)` with the last entry in the file; `("error", ("backup_failed", why))`
        if the file can't be written; or an error of a `read` with `"follower"`, or of `snapshot`.
        (If no majority runs, `raft-actors recover export` writes the state of one stopped peer.)
        `timeout` is for each step: the read, the snapshot, and each part of it.

        >>> ok, index = Raft.backup("peer1", "monday.backup")
        """
        seconds(timeout)
        if not isinstance(path, str | PathLike):
            raise TypeError(f"a backup is written to a path, not {path!r}")
        return backups.download(address_of(peer), absolute(path), timeout)

    @staticmethod
    def get_entry(peer: PeerRef, index: int) -> Answer[Entry]:
        """Return the entry at `index` of a peer's log: `("ok", entry)`, or `("error", reason)` with
        `"not_found"`, or `"compacted"` if a snapshot replaced it. Raises TypeError for a bad index.

        Its type is `"command"`, `"config"`, `"version"`, `"noop"`, `"digests"` (the leader has the
        states compared), or `"session"`: a `Cluster` opens or ends its session, or settles that one
        of its commands never runs.

        >>> ok, index = Raft.backup("peer1", "tuesday.backup")
        >>> Raft.get_entry("peer1", index + 1)
        ('error', 'not_found')
        """
        if type(index) is not int:
            raise TypeError(f"the index of an entry is a whole number, not {index!r}")
        answer: Answer[Entry] = viewed(ask(peer, ENTRY, (index,), CALL_TIMEOUT), Entry)
        return answer

    @staticmethod
    def reseed(peer: PeerRef, timeout: float = SNAPSHOT_TIMEOUT) -> Answer[int]:
        """Give one peer the state of its leader in place of its own, which is wrong.

        For a peer whose status says that its [state differs](docs/divergence.md). A peer that leads
        transfers the leadership first. Its log and its votes stay. Meanwhile it answers no reads.

        Returns `("ok", index)` with the last entry in the snapshot that it got; `("error",
        ("peers_not_responding", peers))` if no other peer could lead; `("error", "keeps_no_state")`
        of a witness. After `("error", "timeout")` the peer still waits for a leader's snapshot.

        >>> ok, index = Raft.reseed("peer2")
        """
        return reseeding.reseed(peer, timeout)

    @staticmethod
    def test_cluster(machine: "type[StateMachine | Replicated]" = KVStore) -> tuple[Address, ...]:
        """Start peer1, peer2 and peer3 in this process, in a temporary directory, as a group.

        Returns their addresses. Raises RaftError if they run already.
        """
        return start_group(machine)
