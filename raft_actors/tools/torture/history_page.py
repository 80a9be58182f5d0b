"""Page: a picture of the part of a history that no order explains, in one file of HTML."""

from collections.abc import Iterable, Sequence
from html import escape

from raft_actors.tools.torture.linearizability import Verdict
from raft_actors.tools.torture.nemesis import Strike
from raft_actors.tools.torture.operation import Operation

__all__ = ["page"]

WIDTH, ROW, BAR, LEFT = 1100, 40, 22, 90
MARGIN = 0.05  # of the part's time, shown before and after it
SHOWN_BEFORE, SHOWN_AFTER = 120, 40  # calls of a long part, around the first without a place

LEGEND = (
    "The numbers are the longest order that fits; calls framed in red found no place in it. "
    "Shaded in red are the faults."
)
STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; color: #222; }
svg { background: #fafafa; border: 1px solid #ddd; }
text { font: 11px ui-monospace, monospace; }
.read { fill: #b3d4f5; } .write { fill: #bfe3b4; } .cas { fill: #f3dfa2; }
.fault { fill: #d33; opacity: .08; }
.unplaced { stroke: #c00; stroke-width: 2; }
td, th { padding: 0 1em 0 0; text-align: left; font-variant-numeric: tabular-nums; }
"""


def page(title: str, findings: Sequence[str], verdicts: dict[str, Verdict],
         strikes: Iterable[Strike]) -> str:  # fmt: skip
    """Return the page. It needs no other file and no network."""
    strikes = tuple(strikes)
    pieces = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1><ul>",
        *(f"<li>{escape(finding)}</li>" for finding in findings),
        "</ul>",
        *(section(key, verdict, strikes) for key, verdict in verdicts.items()),
    ]
    return "\n".join(pieces)


def section(key: str, verdict: Verdict, strikes: Sequence[Strike]) -> str:
    """Picture and table of one key."""
    if not verdict.part:
        return f"<h2>Key {escape(key)}: {escape(verdict.outcome)}</h2>"
    placed = {place: number for number, place in enumerate(verdict.order, 1)}
    stuck = min(set(range(len(verdict.part))) - set(placed), default=0)
    shown = list(enumerate(verdict.part))[max(0, stuck - SHOWN_BEFORE) : stuck + SHOWN_AFTER]
    states = ", ".join(str(state) for state in verdict.starts)
    around = [
        strike
        for strike in strikes
        if strike.began <= shown[-1][1].completed and strike.ended >= shown[0][1].invoked
    ]
    return "\n".join([
        f"<h2>Key {escape(key)}: no order explains these calls</h2>",
        f"<p>Before them it held {escape(states)}. {LEGEND}</p>",
        picture(shown, placed, around),
        "<table><tr><th>place<th>client<th>call<th>from, s<th>to, s</tr>",
        *(row(call, placed.get(place)) for place, call in shown),
        "</table><h3>Faults meanwhile</h3><ul>",
        *(f"<li>{seconds(one.began)} to {seconds(one.ended)}: {escape(one.what)}</li>"
          for one in around),
        "</ul>",
    ])  # fmt: skip


def row(call: Operation, place: int | None) -> str:
    return (
        f"<tr><td>{place or '?'}<td>{call.client}<td>{escape(call.described())}"
        f"<td>{seconds(call.invoked)}<td>{seconds(call.completed)}</tr>"
    )


def picture(
    shown: list[tuple[int, Operation]], placed: dict[int, int], strikes: Sequence[Strike]
) -> str:
    """Draw each call as a bar from its invocation to its completion, a line for each client."""
    first = min(call.invoked for _, call in shown)
    last = max(call.completed for _, call in shown)
    margin = max(1, int((last - first) * MARGIN))
    first, last = first - margin, last + margin
    clients = sorted({call.client for _, call in shown})
    height = ROW * len(clients) + 30

    def x(time: int) -> float:
        clipped = min(max(time, first), last)
        return LEFT + (clipped - first) / (last - first) * (WIDTH - LEFT - 10)

    parts = [f"<svg viewBox='0 0 {WIDTH} {height}' width='100%'>"]
    parts += [
        f"<rect class='fault' x='{x(one.began):.1f}' y='0' height='{height}' "
        f"width='{max(1.0, x(one.ended) - x(one.began)):.1f}'><title>{escape(one.what)}</title>"
        "</rect>"
        for one in strikes
    ]
    for line, client in enumerate(clients):
        top = ROW * line + 20
        parts.append(f"<text x='8' y='{top + 15}'>client {client}</text>")
        for place, call in shown:
            if call.client != client:
                continue
            number = placed.get(place)
            kind = call.kind if number else f"{call.kind} unplaced"
            label = f"{number or '?'}: {call.described()}"
            begin = x(call.invoked)
            width = max(3.0, x(call.completed) - begin)
            parts.append(
                f"<rect class='{kind}' x='{begin:.1f}' y='{top}' width='{width:.1f}' "
                f"height='{BAR}' rx='3'><title>{escape(label)}</title></rect>"
                f"<text x='{begin + 3:.1f}' y='{top + 15}'>{escape(label)}</text>"
            )
    parts.append(f"<text x='{LEFT}' y='{height - 4}'>{seconds(first)} s</text>")
    parts.append(f"<text x='{WIDTH - 90}' y='{height - 4}'>{seconds(last)} s</text></svg>")
    return "\n".join(parts)


def seconds(time: int) -> str:
    return f"{time / 1e9:.4f}"
