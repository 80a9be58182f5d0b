"""Problem texts: the message for each `Trouble`: what has happened, and what to do about it."""

from raft_actors.core.effects import Trouble
from raft_actors.names import Address

__all__ = ["HEALS", "in_words"]

HEALS = {"no_leader", "not_formed", "no_group", "damaged_on_the_way"}
"""The problems that end by themselves: once other members run, the group is founded, or the entries
are sent again."""


def in_words(trouble: Trouble, peer: Address) -> str:
    """Return the message: what has happened to `peer`, and what an operator is to do."""
    other = trouble.peer
    join = f"Raft.join(Machine, name={peer[0]!r}, via={other!r})"
    match trouble.what:
        case "no_leader":
            return (
                f"no leader {trouble.detail}. Nothing can be written, and only stale "
                "reads are answered, until a majority of the members run and reach each other"
            )
        case "not_formed":
            return (
                f"no group has formed {trouble.detail}. It forms once a majority of the declared "
                "members run: see that they are started, and named as they are declared"
            )
        case "no_group":
            return (
                f"it is of no group yet, so it takes no writes and no reads: found one by "
                f"Raft.set_configuration({peer[0]!r}, members), with this peer among them, or have "
                f"it join one by Raft.join(Machine, name={peer[0]!r}, via=a member)"
            )
        case "entry_too_large":
            return (
                f"{other} can't be sent entry {trouble.detail}; it stays behind. Raise "
                f"Config.frame_bytes_max on {other[1]}, or on this node, and start it again; or, "
                "once the entry is committed, let this peer take a snapshot (Raft.snapshot), which "
                "is sent in parts"
            )
        case "other_incarnation":
            return (
                f"the group of {other} knows {peer} by another data directory than the one it has: "
                "it was wiped, or is an old copy. It has forgotten votes and acknowledgements, so "
                "it counts nowhere and is sent nothing. If the directory of before still is "
                f"somewhere, stop the peer and bring it back; else call {join} here: it is removed "
                "and added again, with the directory it has"
            )
        case "other_group":
            return (
                f"{other} is of the group {trouble.detail} and takes {peer} for one of it, but the "
                "data directory here belongs to another group: neither believes the other. If one "
                "of the two is left over from before a group was restored or forced to go "
                "on, or was founded by mistake, stop that one, move its data directory away, and "
                "call Raft.join for it, via a member of the group that counts; keep the other. If "
                "both groups are to live, give their peers different names"
            )
        case "group_exists":
            return (
                f"{other} is of a group already, so {peer} founds none; if it was left out or "
                f"removed there and is to join, call {join}"
            )
        case "other_members":
            return (
                f"{other} declares other members than {peer}: they found no group together. "
                "Declare the same ones everywhere"
            )
        case "silent":
            return (
                f"it has founded no group, for {trouble.detail} did not answer: see that they run "
                "and are named as they should be, and found it again"
            )
        case "outsider":
            return (
                f"{other} is no member as far as this peer knows, and claims to lead the group or "
                "wants to be elected, while there is a leader: it is not heard. Find out what runs "
                "under that name, and stop it; if others than this cluster's nodes may have the "
                "cookie, exchange it"
            )
        case "impossible_entries":
            return (
                f"{other} sends as a leader entries that no leader of this group has, in the place "
                "of committed ones for instance: they are not taken. Find out what runs under that "
                "name, and stop it; if it is a member, compare its log with the others' "
                "(raft-actors recover entries)"
            )
        case "damaged_entries":
            return (
                f"its disk has damaged its log: the entries {trouble.detail} are not what was "
                "written, or can't be read. They are fetched from the leader again; until then "
                "this peer does not count as having them, does not lead, and votes for nobody "
                "who lacks them. Look at its disk. If no other member has them, restore a backup "
                "(raft-actors recover import), or go on without them (raft-actors recover "
                "force-configuration)"
            )
        case "damaged_on_the_way":
            return (
                f"{other} sent entries that are not what their leader wrote: they were not taken, "
                "and are sent again. If it happens again, look at the memory and the network of "
                f"this host and of {other[1]}"
            )
        case "no_state":
            return (
                "it is to keep a state, and its data directory is a witness's, without one: it "
                f"votes on, and answers nobody. Call Raft.leave({peer[0]!r}), move its data "
                f"directory away, and call Raft.join(Machine, name={peer[0]!r}, via=a member)"
            )
        case "damaged_snapshot":
            return f"its newest snapshot is damaged: {trouble.detail}"
        case "refuses_snapshots":
            return (
                f"{other} refuses each snapshot that it is sent: it found them damaged when it had "
                "written them, and the file here is sound. It stays behind. Look at its disk, or "
                "give it another: stop it, move its data directory away, and call Raft.join on its "
                "node"
            )
        case _:  # "lost_entries"
            return (
                f"{other} has lost entries up to {trouble.detail} that it had acknowledged: its "
                "disk forgets, or went back to an older copy. It counts nowhere until a majority "
                "of the others has made up for it, and is sent the entries again; look at its disk"
            )
