"""Plot: the figures as bars, in an SVG that needs no library. The scale is logarithmic."""

from collections.abc import Mapping
from html import escape
from math import log10
from statistics import median

from raft_actors.tools.bench.table import UNITS, shown

__all__ = ["svg_of"]

COLOURS = ("#2a6f97", "#c06c2b", "#6a994e", "#a7c957", "#888888")
BAR, GAP, LEFT, WIDTH = 16, 14, 110, 620


def svg_of(figures: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Draw one group of bars for each work, one bar for each system that has it."""
    systems = list(figures)
    pieces, y = [], 30
    for number, system in enumerate(systems):
        x = LEFT + number * 160
        pieces.append(f'<rect x="{x}" y="6" width="12" height="12" fill="{colour(number)}"/>')
        pieces.append(f'<text x="{x + 17}" y="16">{escape(system)}</text>')
    for work, unit in UNITS.items():
        bars = {
            number: median(figures[system][work])
            for number, system in enumerate(systems)
            if figures[system].get(work)
        }
        if not bars:
            continue
        least, most = min(bars.values()), max(bars.values())
        decades = max(log10(most / least), 0.0) + 0.5
        pieces.append(f'<text x="6" y="{y + BAR - 4}">{work} {unit}</text>')
        for number, value in bars.items():
            length = (log10(value / least) + 0.5) / decades * WIDTH
            pieces.append(
                f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR - 2}" '
                f'fill="{colour(number)}"/>'
                f'<text x="{LEFT + length + 5:.0f}" y="{y + BAR - 4}">{shown(value)}</text>'
            )
            y += BAR
        y += GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{y}" '
        'font-family="sans-serif" font-size="12">'
        '<rect width="100%" height="100%" fill="white"/>' + "".join(pieces) + "</svg>\n"
    )


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
