"""Group table: the peers of a group as a few lines of text, of at most 80 columns."""

from collections.abc import Mapping
from typing import Any

from raft_actors.names import Address

__all__ = ["group_table"]

HEAD = ("peer", "role", "term", "applied", "lag", "heard", "notes")
COLUMNS = 80


def group_table(views: Mapping[Address, Mapping[str, Any]], silent: Mapping[Address, str]) -> str:
    """Return a line for each peer: the statuses that came, and why there are no others."""
    followers: dict[Address, Mapping[str, Any]] = {}
    newest = -1
    for view in views.values():
        if view["current_state"] == "leader" and view["current_term"] > newest:
            newest, followers = view["current_term"], view.get("followers", {})
    rows = [row(peer, view, followers.get(peer)) for peer, view in sorted(views.items())]
    rows += [
        (f"{name} on {node}", "?", "", "", *lag(followers.get((name, node))), why)
        for (name, node), why in sorted(silent.items())
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    return "\n".join(line(each, widths) for each in (HEAD, *rows))


def row(
    peer: Address, view: Mapping[str, Any], follower: Mapping[str, Any] | None
) -> tuple[str, ...]:
    leads = view["current_state"] == "leader"
    notes = f"for {view['since_s']:.0f} s" if leads or view["leader"] is None else ""
    if follower is not None and follower["snapshot"] is not None:
        sent, of = follower["snapshot"]
        notes += f" snapshot {100 * sent // max(1, of)} %"
    notes += "".join(f" {code}" for code in view.get("trouble_codes", ()))
    name, node = peer
    return (
        f"{name} on {node}", view["current_state"], str(view["current_term"]),
        str(view["last_applied"]), *lag(follower), notes.strip(),
    )  # fmt: skip


def lag(follower: Mapping[str, Any] | None) -> tuple[str, str]:
    if follower is None:
        return "", ""
    heard = follower["heard_s"]
    return str(follower["lag_entries"]), "never" if heard is None else f"{heard:.1f} s"


def line(cells: tuple[str, ...], widths: list[int]) -> str:
    text = "  ".join(
        cell.rjust(width) if 2 <= at <= 5 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()
    return text if len(text) <= COLUMNS else f"{text[: COLUMNS - 3]}..."
