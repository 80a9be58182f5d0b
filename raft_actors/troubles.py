"""Troubles in words: what keeps a peer from taking part, and which call to make."""

from raft_actors.core.effects import Trouble
from raft_actors.core.membership import Address

__all__ = ["in_words"]


def in_words(trouble: Trouble, peer: Address) -> str:
    """Say what has happened to `peer`, and what to do. It happens nothing by itself."""
    other = trouble.peer
    join = f"Raft.join(Machine, name={peer[0]!r}, via={other!r})"
    match trouble.what:
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
                "data directory here belongs to another group. Give the peer a name of its own in "
                f"each group; or, to join theirs, an empty data directory, and then call {join}"
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
        case "contradicts_committed":
            return (
                f"{other} sends as a leader other entries than those that are committed here, "
                "which no leader of this group does: they are not taken. Find out what runs under "
                "that name, and stop it; if it is a member, compare its log with the others' "
                "(raft-actors recover entries)"
            )
        case _:  # "lost_entries"
            return (
                f"{other} has lost entries up to {trouble.detail} that it had acknowledged: its "
                "disk forgets, or went back to an older copy. It counts nowhere until a majority "
                "of the others has made up for it, and is sent the entries again; look at its disk"
            )
