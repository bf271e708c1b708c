"""Results on stdout: tables, JSON and plain lines."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.files import to_json

Figures = Mapping[str, float]

_HIGHER_IS_BETTER = ("direction", "accuracy", "macro_f1", "auroc", "bleu", "chrf")
_UNRANKED = ("coverage",)
"""Best where it equals the intervals' level, which a table does not know."""


_UNFOLDED = 10_000
"""A width in which every table has room."""


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns


def write(text: str) -> None:
    """A line, or several, on stdout."""
    sys.stdout.write(text + "\n")


def stream(pieces: Iterable[str]) -> None:
    """Text on stdout as it comes, with a line's end at its end."""
    last = ""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
        last = piece or last
    if last and not last.endswith("\n"):
        sys.stdout.write("\n")


def write_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    write(to_json(value))


def score_table(
    title: str, rows: Mapping[str, Figures], spreads: Mapping[str, Figures] | None = None
) -> None:
    """Metrics of the model and the simple methods, one row each, the best of each metric in bold.

    Args:
        title: what was scored.
        rows: name -> metrics, the model's first; one that a simple method does not have is left out.
        spreads: name -> standard deviation of its metrics.
    """
    names = list(next(iter(rows.values())))
    values = {name: {row: figures.get(name, math.nan) for row, figures in rows.items()} for name in names}
    best = {name: _best(name, values[name]) for name in names}
    cells = [
        [row, *(_cell(values[m][row], (spreads or {}).get(row, {}).get(m), row in best[m]) for m in names)]
        for row in rows
    ]
    table(title, ["", *names], cells)


def _best(metric: str, values: Figures) -> set[str]:
    """The rows with the best value; none where all are the same, or where no value is the best."""
    finite = [value for value in values.values() if math.isfinite(value)]
    if metric in _UNRANKED or not finite:
        return set()
    least = max(finite) if metric in _HIGHER_IS_BETTER else min(finite)
    found = {row for row, value in values.items() if value == least}
    return found if len(found) < len(values) else set()


def _cell(value: float, spread: float | None, best: bool) -> str:
    text = number(value) + (f" ± {spread:.2g}" if spread else "")
    return f"[bold]{text}[/bold]" if best else text


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}" if math.isfinite(value) else "-"


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; the first column to the left, figures to the right; never folded to the terminal's width."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        drawn.add_column(name, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    console = Console(file=sys.stdout, highlight=False)
    whole = Measurement.get(console, console.options.update(width=_UNFOLDED), drawn)
    console.width = max(console.width, whole.maximum, len(title))
    console.print(drawn)
