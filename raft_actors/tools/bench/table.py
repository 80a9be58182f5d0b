"""Table: figures of several systems side by side: medians, ranges, and ratios to the first."""

from collections.abc import Mapping
from statistics import median

from rich.table import Table

__all__ = ["UNITS", "figures_table", "shown"]

UNITS = {
    "W1": "/s", "W1 p50": "ms", "W64": "/s", "T64": "/s", "WP": "/s", "R64": "/s",
    "LAG": "MB/s", "FO": "ms", "REC": "s", "start": "s", "memory": "MiB", "threads": "",
}  # fmt: skip
"""Of each work, in the order of the table. What is no rate is the better the smaller it is."""

Figures = Mapping[str, Mapping[str, list[float]]]
"""Of each system, by work: one figure a round."""


def figures_table(figures: Figures, title: str) -> Table:
    """One row for each work that any system has; ratios are the first system's to the others'."""
    table = Table(title=title)
    table.add_column("")
    for system in figures:
        table.add_column(system, justify="right")
    first = next(iter(figures.values()))
    for work, unit in UNITS.items():
        if not any(work in measured for measured in figures.values()):
            continue
        cells = []
        for measured in figures.values():
            values = measured.get(work)
            if not values:
                cells.append("-")
                continue
            cell = shown(median(values))
            if len(values) > 1:
                cell += f"\n{shown(min(values))} to {shown(max(values))}"
            if measured is not first and first.get(work):
                cell += f"\n[bold]{median(first[work]) / median(values):.2f} x[/]"
            cells.append(cell)
        table.add_row(f"{work} {unit}", *cells)
    return table


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
