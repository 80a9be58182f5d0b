"""Raft: the calls of Elixir's `raft`, tuples and all."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.client import backup as backups
from raft_actors.client import joining, membership, rpc
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
from raft_actors.client.views import Entry, viewed
from raft_actors.config import Config
from raft_actors.core.replies import NO_NODE, OUTCOME_UNKNOWN
from raft_actors.kv_store import KVStore
from raft_actors.names import Address, check_peer_name
from raft_actors.paths import absolute
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import ENTRY, WRITE, read_request
from raft_actors.state_machine import StateMachine
from raft_actors.timeouts import seconds

__all__ = ["Raft"]

SNAPSHOT_TIMEOUT = 60.0


class Raft:
    """Start peers, found groups, write and read. Every call answers, and none raises for a
    cluster's troubles: they are `("error", reason)`.

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
        machine: type[StateMachine],
        *,
        name: str,
        config: Config | None = None,
        members: Iterable[Address | str] = (),
        **fields: Any,
    ) -> Any:
        """Start a peer of `machine` on this node, under the node's own supervisor.

        members   who is to form a group with it, itself among them; all declare the same. The
                  group forms once, whoever starts first; of one that exists the log counts.
        fields    are Config's and go before those of `config`

        Returns `("ok", proxy)`, `("error", ("already_started", proxy))`, or `("error", reason)`
        if it can't start. Raises ValueError for a bad name or config, and TypeError for a machine
        that is no class.

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
                return answer

    @staticmethod
    def stop_peer(peer: PeerRef) -> Any:
        """Stop a peer, here or on another node: `"ok"`, `("error", "no_peer")`.

        It is not started again by itself, whoever supervises it. Its log stays on disk.

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
    ) -> Any:
        """Found a group with these members, or change those of a running one at its leader.

        Any number may change at once (joint consensus, §6). Newcomers, started but of no group,
        get the log before they count; a leader that is no longer a member hands over. Learners
        get the log and never vote; witnesses vote and keep no state. Asking for what is already
        so is fine, and calls off a change whose newcomers have not caught up, as `cancel_change`
        does. `dry_run` answers what would be, at a leader.

        Returns `("ok", configuration)`, or an error: `"must_be_in_consensus_group"` if a founder
        is no member, `("redirect", leader)`, `"election_in_progress"`, `"peers_not_responding"`
        if no majority answers a founder, `("in_another_group", [peer])` if one of them is of a
        group, `"other_incarnation"` if this one's own disk was wiped,
        `("peers_not_responding", newcomers)`, `("newcomers_too_slow", newcomers)` if they get the
        log and don't catch up, `("would_lose_quorum", silent)`, `("remove_first", peers)`,
        `"change_in_progress"`, `"called_off"`, `"no_members"`; `"timeout"` and `"outcome_unknown"`
        if it may still come true.

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
    ) -> Any:
        """Make `peer`, started but of no group, a member; or a learner, or a witness.

        >>> ok, proxy = Raft.start_peer(KVStore, name="peer4")
        >>> ok, configuration = Raft.add_peer(leader, "peer4")
        >>> len(configuration["members"])
        4
        """
        part = membership.part_of(learner, witness)
        return membership.add(leader, peer, part, dry_run=dry_run)

    @staticmethod
    def cancel_change(leader: PeerRef) -> Any:
        """Call off a change of members whose newcomers have not caught up, if one is under way.

        Who waits for that change is answered `("error", "called_off")`. Returns
        `("ok", configuration)`, that of the members as they are;
        `("error", "change_in_progress")` if the change is in the log already: it ends by itself.

        >>> ok, configuration = Raft.cancel_change(leader)
        >>> configuration["state"]
        'stable'
        """
        return membership.cancel_change(leader)

    @staticmethod
    def join(
        machine: type[StateMachine],
        *,
        name: str,
        via: PeerRef | Iterable[PeerRef],
        learner: bool = False,
        witness: bool = False,
        timeout: float = CHANGE_TIMEOUT,
        config: Config | None = None,
        **fields: Any,
    ) -> Any:
        """Start a peer of `machine` here if need be, and make it a member of a running group.

        It becomes a learner, gets the log, and is promoted when it keeps up; with `learner` it
        stays one, with `witness` it votes and keeps no state. One whose disk was wiped or
        exchanged is removed and added again with the disk that it has. It may be asked for
        again at any time; joins that meet take turns.

        via     any member, or some: `("peer1", "a@host")`
        fields  are Config's and go before those of `config`

        Returns `("ok", configuration)`; an error of `start_peer` or `set_configuration`,
        `("no_peer", text)` at once if `via` names peers of this node alone, and none runs;
        `("no_group", text)` if nobody that was asked has one, `("in_another_group", text)` if
        the data directory is of another. Those that may pass were tried again until `timeout`.
        Raises ValueError for a bad name or config.

        >>> ok, configuration = Raft.join(KVStore, name="peer5", via=["peer1", "peer2"])
        >>> len(configuration["members"])
        5
        """
        seconds(timeout)
        part = membership.part_of(learner, witness)
        return joining.join(machine, name, via, part, Config.of(config, **fields), timeout)

    @staticmethod
    def leave(peer: PeerRef, timeout: float = CHANGE_TIMEOUT) -> Any:
        """Hand the lead over if need be, take `peer` out of its group, and stop it.

        Its data directory stays. Returns `"ok"`, also for a peer of no group;
        `("error", "no_peer")` if it does not run, `("error", ("last_member", text))`, or what
        kept the leader from the change until `timeout`.

        >>> Raft.leave("peer5")
        'ok'
        """
        seconds(timeout)
        return joining.leave(peer, timeout)

    @staticmethod
    def remove_peer(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
        """Take a member or learner out of the group. Its process and its log stay.

        `("error", "no_such_member")` for one that is neither; so too where `replace_peer`,
        `promote` and `demote` are given one.

        >>> ok, configuration = Raft.remove_peer(leader, "peer4")
        >>> len(configuration["members"])
        3
        """
        return membership.remove(leader, peer, dry_run=dry_run)

    @staticmethod
    def replace_peer(leader: PeerRef, old: PeerRef, new: PeerRef, *, dry_run: bool = False) -> Any:
        """Put `new` in the place of `old`, in one step.

        A peer can also replace itself, after its disk was wiped or exchanged: it is removed and
        added again, in two steps.

        >>> ok, configuration = Raft.join(KVStore, name="old", via="peer1")
        >>> ok, proxy = Raft.start_peer(KVStore, name="new")
        >>> ok, configuration = Raft.replace_peer(leader, "old", "new")
        >>> sorted(name for name, node in configuration["members"])
        ['new', 'peer1', 'peer2', 'peer3']
        """
        return membership.replace(leader, old, new, dry_run=dry_run)

    @staticmethod
    def promote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
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
    def demote(leader: PeerRef, peer: PeerRef, *, dry_run: bool = False) -> Any:
        """Take a member's vote: it becomes a learner.

        >>> ok, configuration = Raft.demote(leader, "peer6")
        >>> configuration["learners"]
        [('peer6', 'nonode@nohost')]
        """
        return membership.demote(leader, peer, dry_run=dry_run)

    @staticmethod
    def transfer_leadership(leader: PeerRef, to: PeerRef | None = None) -> Any:
        """Have the leader hand over, to `to` or to the follower that is fittest (thesis 3.10).

        It takes no more commands until its successor has them all, so nothing is lost by it.

        Returns `("ok", new_leader)`; an error: `("redirect", leader)` if `leader` does not lead,
        or if another than `to` was elected, `("peers_not_responding", peers)` at once if the
        successor is away, or nobody else is there, `"no_such_member"`, `"transfer_in_progress"`,
        `"timeout"` if the successor does not keep up (the old leader goes on then).

        >>> ok, leader = Raft.transfer_leadership(leader)
        """
        return membership.transfer_leadership(leader, to)

    @staticmethod
    def leader(peer: PeerRef) -> Address | None:
        """Whom `peer` takes for the leader, as an address; None if it knows none.

        >>> Raft.leader("peer1") == leader
        True
        """
        return rpc.leader_of(peer)

    @staticmethod
    def status(peer: PeerRef) -> Any:
        """`("ok", status)`, a mapping; `("error", "no_node")`, `"no_peer"`, or `"restarting"` for
        one that has crashed and is started again by its supervisor.

        >>> ok, status = Raft.status(leader)
        >>> status["current_state"]
        'leader'
        """
        return rpc.status_of(peer)

    @staticmethod
    def write(leader: PeerRef, command: Any, timeout: float = 3.0) -> Any:
        """Have `command` committed and applied; returns the state machine's reply as it is.

        Errors that say it did not happen: `("redirect", leader)`, `"election_in_progress"`,
        `"overloaded"`, `"no_peer"`, `"restarting"`, `"no_node"`, `"command_too_large"` for the
        leader's own `Config.command_bytes_max`, or for one frame to its node, or from there to a
        member's. It may still happen after `"timeout"` and `"outcome_unknown"` (the leader lost its
        office, or the connection broke).

        Raises TypeError for a command that can't be encoded, naming the part.

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
        """Ask the state machine; linearizable: it sees every write acknowledged before the call.

        consistency  `"linearizable"` and `"lease"` are for the leader; `"follower"` is as good,
                     and any member answers; `"stale"` is answered by any peer from what it has
        max_staleness_s  with `"stale"`: how old the answer may be, in seconds

        Errors as for `write`, and `"too_stale"`; all of them are safe to try again.

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
    def snapshot(peer: PeerRef, timeout: float = SNAPSHOT_TIMEOUT) -> Any:
        """Have one peer take a snapshot now, so that its log can begin after it.

        Returns `("ok", index)` once it is durable, `index` being that of the last entry it stands
        for; `("error", ("snapshot_failed", reason))`: then the log stays as it is.

        >>> ok, index = Raft.snapshot("peer1")
        """
        return backups.snapshot(peer, timeout)

    @staticmethod
    def backup(peer: PeerRef, path: str | Path, timeout: float = SNAPSHOT_TIMEOUT) -> Any:
        """Write all that the group knows to a new file here, while it goes on.

        Any member but a witness will do: it has every write that was acknowledged before the
        call. `raft-actors recover import` makes a group of it.

        Returns `("ok", index)`, that of the last entry in it; `("error", ("backup_failed", why))`
        when the file can't be written; errors as of a `read` with `"follower"` (where no majority
        runs, `raft-actors recover export` writes what one stopped peer has), and of `snapshot`.
        `timeout` is for each step: that read, the snapshot, each part of it.

        >>> ok, index = Raft.backup("peer1", "monday.backup")
        """
        seconds(timeout)
        if not isinstance(path, str | PathLike):
            raise TypeError(f"a backup is written to a path, not {path!r}")
        return backups.download(address_of(peer), absolute(path), timeout)

    @staticmethod
    def get_entry(peer: PeerRef, index: int) -> Any:
        """The entry at `index` of one peer's log: `("ok", entry)`, `("error", "not_found")`, or
        `"compacted"` where a snapshot stands for it. Raises TypeError for what is no index.

        Its type is `"command"`, `"config"`, `"version"`, `"noop"`, or `"session"`: a `Cluster`
        opens or ends its session, or settles that a command of it never runs.

        >>> ok, index = Raft.backup("peer1", "tuesday.backup")
        >>> Raft.get_entry("peer1", index + 1)
        ('error', 'not_found')
        """
        if type(index) is not int:
            raise TypeError(f"the index of an entry is a whole number, not {index!r}")
        return viewed(ask(peer, ENTRY, (index,), CALL_TIMEOUT), Entry)

    @staticmethod
    def test_cluster(machine: type[StateMachine] = KVStore) -> tuple[Address, ...]:
        """Start peer1, peer2 and peer3 in this process, on a temporary directory, and elect.

        Returns their addresses. Raises RaftError if they are running already.
        """
        return start_group(machine)
