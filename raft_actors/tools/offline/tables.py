"""Tables: what was found in a directory, for people."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from raft_actors.tools.offline.examine import Examined
from raft_actors.tools.offline.force_configuration import Forcing

__all__ = ["address", "entries_table", "pairs", "shortened", "show"]

SHOWN_MAX = 12
"""Stretches of terms and configurations shown; the newest are those that matter."""
PROBLEMS_MAX = 20
DATA_CHARACTERS_MAX = 200


def show(console: Console, found: Examined) -> None:
    console.print(
        Group(
            pairs(f"{found.path}", store_rows(found)),
            pairs("log", log_rows(found)),
            configurations_table(found),
            snapshots_table(found),
        )
    )
    show_findings(console, found)


def show_findings(console: Console, found: Examined) -> None:
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    for problem in found.problems[:PROBLEMS_MAX]:
        console.print(Text(f"damage: {problem}", style="bold red"), soft_wrap=True)
    if len(found.problems) > PROBLEMS_MAX:
        console.print(f"and {len(found.problems) - PROBLEMS_MAX:,} more; --json tells all")


def show_forcing(console: Console, forcing: Forcing) -> None:
    before, after = forcing.before, forcing.after
    lost = sorted({*before.members, *before.old} - {forcing.peer})
    console.print(
        pairs(
            "a forced configuration",
            [
                ("peer", address(forcing.peer)),
                ("old group", before.group),
                ("old members", addresses({*before.members, *before.old})),
                ("new members", addresses(after.members)),
                ("written as", f"entry {forcing.index:,}, in term {forcing.ballot.term}"),
            ],
        )
    )
    console.print(
        Text(
            "What a majority had acknowledged and is not in this log is lost, and what was never "
            "acknowledged but is in it becomes true. Of several survivors choose the one whose log "
            "ends last: the highest term, then the highest entry. The directories of "
            f"{', '.join(map(address, lost)) or 'the others'} must never be used again: move them "
            "away, and add those peers with empty ones.",
            style="bold red",
        ),
    )


def store_rows(found: Examined) -> list[tuple[str, Any]]:
    store, ballot = found.store, found.ballot
    return [
        ("kind", f"{store['kind']}, format {store['format']}"),
        ("owner", address(store["owner"]) if store["owner"] else "nobody yet"),
        ("incarnation", store["incarnation"]),
        ("group", ballot.get("group") or "none that is known to be committed"),
        ("term", ballot.get("term", "?")),
        ("voted for", address(ballot["voted_for"]) if ballot.get("voted_for") else "nobody"),
    ]


def log_rows(found: Examined) -> list[tuple[str, Any]]:
    log = found.log
    if not log:
        return []
    count = log["last"] - log["first"] + 1
    rows: list[tuple[str, Any]] = [
        ("entries", f"{log['first']:,} to {log['last']:,}" if count else "none"),
        ("bytes", f"{log['bytes']:,}"),
        ("kinds", ", ".join(f"{kind}: {n:,}" for kind, n in sorted(found.kinds.items())) or "-"),
    ]
    if log["first"] > 1:
        rows.append(("compacted", f"through {log['first'] - 1:,}, of term {log['base_term']}"))
    hidden = len(found.terms) - SHOWN_MAX
    if hidden > 0:
        rows.append(("terms", f"{hidden} older stretches"))
    rows += [
        (f"term {term}", f"{first:,} to {last:,}") for term, first, last in found.terms[-SHOWN_MAX:]
    ]
    return rows


def configurations_table(found: Examined) -> Table:
    """Show what there is: a column that is empty all the way would cut the names of others off."""
    rows = []
    for each in found.configurations[-SHOWN_MAX:]:
        forced = each.get("forced")
        rows.append(
            {
                "entry": f"{each['index']:,}",
                "group": each["group"],
                "members": addresses(each["members"]),
                "witnesses": addresses(each["witnesses"]),
                "learners": addresses(each["learners"]),
                "old members": addresses(each["old"]),
                "forced": f"{forced['at']} by {forced['by']}" if forced else "-",
            }
        )
    shown = [name for name in rows[0] if any(row[name] != "-" for row in rows)] if rows else []
    table = Table(title="configurations in the log", title_justify="left")
    for name in shown:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    return table


def snapshots_table(found: Examined) -> Table:
    table = Table(title="snapshots", title_justify="left")
    for column in ("entry", "term", "bytes", "machine", "members", "checksums"):
        table.add_column(column, overflow="fold")
    for each in found.snapshots:
        whole = "configuration" in each
        table.add_row(
            f"{each['index']:,}", str(each["term"]), f"{each['bytes']:,}",
            str(each.get("machine", "?")),
            addresses(each["configuration"]["members"]) if whole else "?",
            "right" if whole else Text("damaged", style="bold red"),
        )  # fmt: skip
    return table


def entries_table(views: Iterable[dict[str, Any]]) -> Table:
    table = Table()
    for column in ("entry", "term", "time", "kind", "request", "data"):
        table.add_column(column, overflow="fold")
    for view in views:
        session, sequence = view["request"] or (0, 0)
        data = Text("" if view["data"] is None else shortened(str(view["data"])))
        if view["extensions"]:
            data.append(f"\nextensions {view['extensions']}", style="dim")
        if view["damage"]:
            data = Text(f"damage: it {view['damage']}\n", style="bold red").append(data)
        table.add_row(
            f"{view['index']:,}", "?" if view["term"] is None else str(view["term"]),
            (view["time"] or "")[:19], view["kind"] or "?",
            f"{session:x}/{sequence}" if session else "", data,
        )  # fmt: skip
    return table


def shortened(data: str) -> str:
    if len(data) <= DATA_CHARACTERS_MAX:
        return data
    return f"{data[:DATA_CHARACTERS_MAX]}... ({len(data):,} characters)"


def pairs(title: str, rows: list[tuple[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in rows:
        table.add_row(name, Text(str(value)))
    return table


def addresses(members: Any) -> str:
    return "\n".join(map(address, members)) or "-"


def address(peer: Any) -> str:
    """As the command line takes it."""
    return ":".join(peer)
