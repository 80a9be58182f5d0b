"""Problem texts: the message for each `Trouble`: what has happened, and what to do about it."""

from raft_actors.core.effects import Trouble
from raft_actors.names import Address

__all__ = ["HEALS", "problem_text"]

HEALS = {"no_leader", "not_formed", "no_group", "damaged_on_the_way"}
"""The problems that end by themselves: once other members run, the group is founded, or the entries
are sent again."""


def problem_text(trouble: Trouble, peer: Address) -> str:
    """Return the message: what has happened to `peer`, and what an operator must do."""
    other = trouble.peer
    join = f"Raft.join(Machine, name={peer[0]!r}, via={other!r})"
    match trouble.what:
        case "no_leader":
            return (
                f"no leader {trouble.detail}. Nothing can be written, and only stale reads are "
                "answered, until a majority of the members run and reach each other"
            )
        case "not_formed":
            return (
                f"no group has formed {trouble.detail}. It forms when a majority of the declared "
                "members run: check that they are started, and that their names are the declared "
                "ones"
            )
        case "no_group":
            return (
                "this peer is in no group yet, so it accepts no writes and no reads: found a group "
                f"by Raft.set_configuration({peer[0]!r}, members), with this peer among the "
                f"members, or join a group by Raft.join(Machine, name={peer[0]!r}, via=a member)"
            )
        case "entry_too_large":
            return (
                f"entry {trouble.detail} is too large to be sent to {other}, which stays behind. "
                f"Raise Config.frame_bytes_max on {other[1]} or on this node, whichever is "
                "smaller, and restart that node; or, when the entry is committed, let this peer "
                "take a snapshot (Raft.snapshot), which is sent in parts"
            )
        case "other_incarnation":
            return (
                f"the group of {other} knows {peer} with another data directory than its present "
                "one, which was wiped or is an old copy. Votes and acknowledgements are missing in "
                "it, so this peer is not counted and gets no entries. If the earlier directory "
                "still exists, stop this peer and bring the directory back; otherwise call "
                f"{join} here: this peer is removed, and added again with its present directory"
            )
        case "other_group":
            return (
                f"{other} is in the group {trouble.detail} and sends messages to {peer} as to a "
                "member, but the data directory here belongs to another group: each of the two "
                "ignores the other. Perhaps one of the two groups was founded by mistake, or is "
                "left over from the time before a group was restored from a backup or forced to "
                "another configuration. Then stop the peer of that group, move its data directory "
                "away, and call Raft.join for it, via a member of the right group. If both groups "
                "are wanted, give their peers different names"
            )
        case "group_exists":
            return (
                f"{other} is in a group already, so {peer} founds no group with it; if {peer} "
                f"should be a member of that group, call {join}"
            )
        case "other_members":
            return (
                f"{other} declares other members than {peer}, so they form no group together. "
                "Declare the same members everywhere"
            )
        case "silent":
            return (
                f"no group was founded, because {trouble.detail} did not answer: check that they "
                "run and that their names are right, and found the group again"
            )
        case "outsider":
            return (
                f"{other} is no member as far as this peer knows. But it claims to lead the group, "
                "or asks for votes, while there is a leader: its messages are ignored. Find out "
                "what runs under that name, and stop it; if nodes outside of this cluster may have "
                "the cookie, replace the cookie"
            )
        case "impossible_entries":
            return (
                f"{other} sends, as a leader, entries that no leader of this group can have, for "
                "example in the place of committed entries: they were refused. Find out what runs "
                "under that name, and stop it; if it is a member, compare its log with the logs of "
                "the others (raft-actors recover entries)"
            )
        case "damaged_entries":
            return (
                f"the disk has damaged the log of this peer: the entries {trouble.detail} are not "
                "what was written, or can't be read. They are fetched from the leader again. Until "
                "then this peer does not count as having them, does not lead, and gives no vote to "
                "a candidate that lacks them. Check the disk. If no other member has these "
                "entries, restore a backup (raft-actors recover import), or continue without them "
                "(raft-actors recover force-configuration)"
            )
        case "damaged_on_the_way":
            return (
                f"{other} sent entries that are not what their leader wrote: they were refused, "
                "and are sent again. If this happens again, check the memory and the network of "
                f"this host and of {other[1]}"
            )
        case "diverged":
            return (
                "its state is not that of the other replicas: it began to differ "
                f"{trouble.detail}. It answers no reads and takes no snapshots; it votes, and "
                f"keeps the log. Raft.reseed({peer[0]!r}) gives it the state of the others; "
                "docs/divergence.md says how to find out before what differs, and why"
            )
        case "digests_differ":
            return (
                "the states of the replicas differ, and none of them is that of more than half of "
                f"the replicas, so nobody can tell which one is right. It began {trouble.detail}. "
                "All of them go on. Find out which one is right (docs/divergence.md), let it lead, "
                "and call Raft.reseed for each of the others"
            )
        case "other_diverged":
            return (
                f"the state of {trouble.detail} is not that of the other replicas: reads are not "
                "answered from it. Raft.reseed gives a replica the state of the others "
                "(docs/divergence.md)"
            )
        case "no_state":
            return (
                "this peer is a member with a state, but its data directory is that of a witness, "
                "without a state: it still votes, and answers no reads and writes. Call "
                f"Raft.leave({peer[0]!r}), move its data directory away, and call "
                f"Raft.join(Machine, name={peer[0]!r}, via=a member)"
            )
        case "damaged_snapshot":
            return f"the newest snapshot of this peer is damaged: {trouble.detail}"
        case "refuses_snapshots":
            return (
                f"{other} refuses each snapshot that it receives, because the file is damaged "
                "after it has written it; the file here is sound. It stays behind. Check its disk, "
                "or give it another disk: stop the peer, move its data directory away, and call "
                "Raft.join on its node"
            )
        case _:  # "lost_entries"
            return (
                f"{other} has lost entries up to {trouble.detail} that it had acknowledged: its "
                "disk loses data, or was replaced by an older copy. It is not counted until a "
                "majority of the others has these entries, and the entries are sent to it again; "
                "check its disk"
            )
