"""Findings: from what the members say about themselves, why there is no leader, why writes are slow
and why a member lags. Nothing is asked here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from raft_actors.client.explanation import Explanation, Finding, Severity
from raft_actors.core.configuration import named
from raft_actors.names import Address

__all__ = ["explanation_of"]

Views = Mapping[Address, Mapping[str, Any]]
Silent = Mapping[Address, str]

SLOW_SAVE_S = 0.1
"""A save that takes longer is named as the reason of slow writes. A good disk needs 1 ms."""
BEHIND_ENTRIES = 1_000
BEHIND_S = 2.0
"""A follower that lacks so many entries, or entries so old, is behind."""
QUEUE_LONG = 1_000
SEVERITIES: tuple[Severity, ...] = ("down", "slow", "warning", "well")

REASONS = (
    ("the cookies differ", "other_cookie", "give it the cookie of the others"),
    ("cookie of a", "other_role", "the members need the cookie of a member"),
    ("certificate", "other_tls", "compare the TLS settings and certificates of both nodes"),
    ("TLS", "other_tls", "compare the TLS settings of both nodes"),
    ("version", "other_version", "run releases that can talk to each other"),
    ("no_peer", "no_peer", "start the peer there: its node runs, and the peer does not"),
    ("restarting", "restarting", "read the log of its node: the peer has crashed"),
    ("no answer within", "hangs", "look at its machine: it is connected, and hangs"),
)
"""Words in the reason why a member gives no status; the code; what to do."""

TROUBLES: dict[str, Severity] = {"no_leader": "down", "not_formed": "down", "no_group": "down"}


def explanation_of(views: Views, silent: Silent) -> Explanation:
    """Explain a group.

    views   the status of each peer that has answered
    silent  for each other member, why there is no status of it
    """
    found = [
        *of_refusals(views, silent),
        *of_leaders(views, silent),
        *of_silent(silent),
        *of_directories(views),
        *of_writes(views),
        *of_followers(views, silent),
        *of_troubles(views),
    ]
    if not found:
        found = [well(views)]
    return Explanation(sorted(found, key=lambda each: SEVERITIES.index(each.severity)))


def leader_in(views: Views) -> Address | None:
    """Return the peer that leads the newest term."""
    leading = [peer for peer, view in views.items() if view["current_state"] == "leader"]
    return max(leading, key=lambda peer: int(views[peer]["current_term"]), default=None)


def members_in(views: Views) -> tuple[Address, ...]:
    """Return the voters of the newest configuration."""
    known = [view["configuration"] for view in views.values()]
    newest: Mapping[str, Any] = max(known, key=lambda each: int(each["index"]), default={})
    return tuple(newest.get("members", ()))


def of_refusals(views: Views, silent: Silent) -> Iterator[Finding]:
    """Why nobody answers, if all refuse this client or its handshake."""
    refusals = [each for each in of_silent(silent) if each.code.startswith("other_")]
    if refusals and not views and len(refusals) == len(silent):
        yield replace(refusals[0], severity="down", about=tuple(silent))


def of_leaders(views: Views, silent: Silent) -> Iterator[Finding]:
    """Why there is no leader."""
    members, leader = members_in(views), leader_in(views)
    if not views:
        yield Finding(
            "nobody_answers", "down", tuple(silent), {"asked": len(silent)},
            f"none of the peers that were asked answers: {named(list(silent))}",
            "Start them, or check the addresses and the network from here to them.",
        )  # fmt: skip
        return
    if leader is not None:
        return
    if not members:
        yield Finding(
            "no_group", "down", tuple(views), {},
            f"{named(list(views))} belongs to no group yet",
            "Found one by Raft.set_configuration, or join one by Raft.join.",
        )  # fmt: skip
        return
    since = max((view["since_s"] for view in views.values() if view["leader"] is None), default=0.0)
    known = {tuple(view["leader"]) for view in views.values() if view["leader"] is not None}
    here = [member for member in members if member in views]
    away = [member for member in members if member not in views]
    needed = len(members) // 2 + 1
    wiped = [member for member in here if is_wiped(member, views)]
    numbers: dict[str, float] = {"answer": len(here), "needed": needed, "since_s": since}
    if known & set(away):
        yield Finding(
            "leader_not_reached", "warning" if len(known) == 1 else "down", tuple(known), numbers,
            f"{named(sorted(known))} leads as far as others know, and does not answer here",
            "Check the network from here to its node.",
        )  # fmt: skip
    elif len(here) < needed:
        yield Finding(
            "no_majority", "down", tuple(away), numbers,
            f"no leader for {since:.0f} s: {len(here)} of {len(members)} members answer, and "
            f"{needed} are needed; {named(away)} does not answer",
            "Start them, or mend the network; if they are lost for good, see docs/recovery.md.",
        )  # fmt: skip
    elif len(here) - len(wiped) < needed:
        yield Finding(
            "no_majority_of_directories", "down", tuple(wiped), numbers,
            f"no leader for {since:.0f} s: {named(wiped)} answers without the data directory that "
            f"the group knows, so only {len(here) - len(wiped)} of {needed} needed votes are left",
            "Bring the directory back, or start the members that are missing.",
        )  # fmt: skip
    else:
        yield from of_elections(views, here, away, numbers)


def of_elections(
    views: Views, here: list[Address], away: list[Address], numbers: dict[str, float]
) -> Iterator[Finding]:
    """Why a majority that answers has no leader."""
    ends = {peer: (views[peer]["last_term"], views[peer]["last_index"]) for peer in here}
    best = max(ends.values())
    behind = [peer for peer in here if ends[peer] < best]
    text = f"no leader for {numbers['since_s']:.0f} s: a majority answers here, and elects nobody"
    if behind:
        text += f"; the log of {named(behind)} is behind"
        numbers["behind_entries"] = best[1] - min(ends[peer][1] for peer in behind)
    yield Finding(
        "election", "down", tuple(behind or away or here), numbers, text,
        "If this lasts, the members do not reach each other: check the network between them.",
    )  # fmt: skip


def of_silent(silent: Silent) -> Iterator[Finding]:
    """Why members do not answer."""
    for member, why in silent.items():
        known = ((code, do) for words, code, do in REASONS if words in why)
        code, do = next(known, ("unreachable", "start its node, or check the network to it"))
        yield Finding(
            code, "warning", (member,), {}, f"{named([member])} gives no status: {why}",
            f"{do[0].upper()}{do[1:]}.",
        )  # fmt: skip


def is_wiped(peer: Address, views: Views) -> bool:
    """Return whether the others know this peer with another data directory."""
    known = {view["incarnations"].get(peer, 0) for other, view in views.items() if other != peer}
    known -= {0}
    return bool(known) and views[peer]["incarnation"] not in known


def of_directories(views: Views) -> Iterator[Finding]:
    """Whose disk was wiped, and who is of another group."""
    groups = {view["group"] for view in views.values()} - {""}
    if len(groups) > 1:
        yield Finding(
            "other_group", "warning", tuple(views), {"groups": len(groups)},
            f"the peers that answer belong to {len(groups)} groups",
            "Stop the one of the wrong group, move its data directory away, and let it join.",
        )  # fmt: skip
        return
    for peer in views:
        if is_wiped(peer, views):
            yield Finding(
                "wiped_disk", "warning", (peer,), {},
                f"{named([peer])} has another data directory than the one the group knows: it "
                "was wiped, or is an old copy",
                "Bring the directory back, or call Raft.join for it.",
            )  # fmt: skip


def of_writes(views: Views) -> Iterator[Finding]:
    """Why a write is slow: whose disk, which queue."""
    leader = leader_in(views)
    for peer, view in views.items():
        if view["last_save_s"] > SLOW_SAVE_S:
            yield Finding(
                "slow_disk", "slow" if peer == leader else "warning", (peer,),
                {"last_save_s": view["last_save_s"]},
                f"the disk of {named([peer])} is slow: its newest save took "
                f"{view['last_save_s']:.2f} s",
                "Find out what else uses the disk, or let another member lead.",
            )  # fmt: skip
        queues = view["queues"]
        if queues["to_apply"] > QUEUE_LONG:
            yield Finding(
                "slow_machine", "slow" if peer == leader else "warning", (peer,),
                {"to_apply": queues["to_apply"]},
                f"the state machine of {named([peer])} has {queues['to_apply']} committed entries "
                "to apply",
                "Its handle_write is slower than the writes come: make it quicker, or write less.",
            )  # fmt: skip
    if leader is None:
        return
    view = views[leader]
    waiting = view["queues"]["writes"]
    if not view["ready"]:
        yield Finding(
            "not_ready", "down", (leader,), {"writes": waiting},
            f"{named([leader])} leads for {view['since_s']:.0f} s and no entry of its term is "
            "committed: no majority has answered it",
            "Check the network between the leader and the other members.",
        )  # fmt: skip
    elif waiting > QUEUE_LONG:
        yield Finding(
            "long_queue", "slow", (leader,), {"writes": waiting},
            f"{waiting} writes wait at {named([leader])}",
            "The group is asked for more than it can do: write less, or in larger commands.",
        )  # fmt: skip


def of_followers(views: Views, silent: Silent) -> Iterator[Finding]:
    """Why a member lags."""
    leader = leader_in(views)
    followers = {} if leader is None else views[leader].get("followers", {})
    for peer, each in followers.items():
        numbers = {"lag_entries": each["lag_entries"], "lag_s": each["lag_s"] or 0.0}
        if each["snapshot"] is not None:
            sent, of = each["snapshot"]
            code, why = "snapshot", f"it is sent a snapshot, {sent} of {of} bytes"
        elif not each["connected"] and peer in views:
            code, why = "cut_off", "the leader has no connection to it"
        elif each["heard_s"] is None and peer in silent:
            code, why = "behind", "it has not answered this leader yet"
        elif each["lag_entries"] > BEHIND_ENTRIES or numbers["lag_s"] > BEHIND_S:
            code, why = "behind", f"it has answered {each['heard_s'] or 0.0:.1f} s ago"
        else:
            continue
        yield Finding(
            code, "warning", (peer,), numbers,
            f"{named([peer])} lacks {each['lag_entries']} entries: {why}",
            "" if code == "snapshot" else "Check its machine, and its link to the leader.",
        )  # fmt: skip


def of_troubles(views: Views) -> Iterator[Finding]:
    """What the peers report themselves, if it is not found already."""
    for peer, view in views.items():
        troubles = zip(view.get("trouble_codes", ()), view.get("troubles", ()), strict=False)
        for code, text in troubles:
            if code not in {"no_leader", "no_group", "other_incarnation"}:
                yield Finding(
                    code, TROUBLES.get(code, "warning"), (peer,), {}, f"{named([peer])}: {text}"
                )


def well(views: Views) -> Finding:
    leader = leader_in(views)
    if leader is None:  # another peer was not asked, as it is not known here
        return Finding("no_leader_here", "warning", tuple(views), {}, "no leader was found here")
    since = views[leader]["since_s"]
    return Finding(
        "well", "well", (leader,), {"since_s": since, "answer": len(views)},
        f"{named([leader])} leads for {since:.0f} s, and all {len(views)} peers answer; nothing is "
        "wrong",
    )  # fmt: skip
