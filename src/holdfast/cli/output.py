"""Results on stdout: tables, JSON and plain lines; and the folder that they are saved in."""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast._json import JsonMapping
from holdfast.cli.errors import notice
from holdfast.files import to_json
from holdfast.tasks.metrics import Scoreboard
from holdfast.tasks.registry import task_class

_Metrics = Mapping[str, float]

_UNFOLDED = 10_000
"""A width that fits every table."""

_WORTH_KEEPING = (
    "state.safetensors",
    "model.safetensors",
    "comparison.json",
    "backtest.json",
    "probe.json",
)
"""Files that keep the folder of failed work: state or best weights of a run, finished results."""


def write(text: str) -> None:
    """Write one or more lines to stdout."""
    sys.stdout.write(text + "\n")


def stream(pieces: Iterable[str]) -> None:
    """Write text to stdout as it arrives, and end with a newline."""
    last = ""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
        last = piece or last
    if last and not last.endswith("\n"):
        sys.stdout.write("\n")


def write_json(value: JsonMapping) -> None:
    """Write one JSON object to stdout."""
    write(to_json(value))


def score_table(
    title: str,
    rows: Mapping[str, _Metrics],
    board: Scoreboard,
    spreads: Mapping[str, _Metrics] | None = None,
) -> None:
    """Write a row of metrics for the model and each baseline, with the best values in bold.

    Args:
        title: the title of the table.
        rows: name -> metrics, the model first; a baseline may lack some.
        board: which way each metric is better.
        spreads: name -> standard deviations of its metrics.
    """
    names = list(next(iter(rows.values())))
    values = {name: {row: metrics.get(name, math.nan) for row, metrics in rows.items()} for name in names}
    ways = {metric.name: metric.direction for metric in board.metrics}
    best = {name: _best(ways.get(name, "none"), values[name]) for name in names}
    cells = [
        [row, *(_cell(values[m][row], (spreads or {}).get(row, {}).get(m), row in best[m]) for m in names)]
        for row in rows
    ]
    table(title, ["", *names], cells)


def _best(way: str, values: _Metrics) -> set[str]:
    """Return the rows with the best value; none if all are equal or the metric has no best."""
    finite = [value for value in values.values() if math.isfinite(value)]
    if way == "none" or not finite:
        return set()
    least = max(finite) if way == "higher" else min(finite)
    found = {row for row, value in values.items() if value == least}
    return found if len(found) < len(values) else set()


def _cell(value: float, spread: float | None, best: bool) -> str:
    text = number(value) + (f" ± {spread:.2g}" if spread else "")
    return f"[bold]{text}[/bold]" if best else text


def number(value: float) -> str:
    """Format with four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else "-"


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Write a table to stdout: first column left-aligned, the others right-aligned, never folded."""
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


# -- what several verbs print ------------------------------------------------------------------------------------


def notes(texts: Sequence[str]) -> None:
    """Print notes on the data to stderr."""
    for text in texts:
        notice(f"note: {text}")


def result(model: Any, metrics: JsonMapping) -> None:
    """Print the metrics of a model and of the baselines, and what they mean."""
    from holdfast.reporting.summary import VARIANTS

    name = model.config.network.cell.upper()
    others = {f"{name} {how}": metrics[key] for key, how in VARIANTS.items() if key in metrics}
    rows = {name: metrics["model"], **others, **metrics["baselines"]}
    score_table(model.scored_on(metrics), rows, model.scoreboard)
    for sentence in model.verdict(metrics):
        write(sentence)


def comparison(task: str, found: Any, title: str) -> None:
    """Print the metrics and the costs of the cells, and what they mean."""
    from holdfast.reporting.sections import comparison_table

    header, *rows = comparison_table(found)
    metrics = [name for name in header if any(name in values for values in found.baselines.values())]
    baselines = [
        [name, *(number(values.get(metric, math.nan)) for metric in metrics)]
        for name, values in found.baselines.items()
    ]
    table(title, ["", *metrics], [*_columns(header, rows, metrics), *baselines])
    costs = [name for name in header[1:] if name not in metrics]
    table("cost of the cells", ["", *costs], _columns(header, rows, costs))
    for sentence in task_class(task).conclusions(found):
        write(sentence)


def _columns(header: list[str], rows: list[list[str]], names: list[str]) -> list[list[str]]:
    """Return the first column and the named ones."""
    return [[row[0], *(row[header.index(name)] for name in names)] for row in rows]


def results_are(folder: Path, page: Path) -> None:
    """Print where the results and their report are."""
    write(f"The results are in {folder}; open {page} for the report.")


@contextlib.contextmanager
def results_in(
    folder: Path, file: str | None = None, what: str = "runs", resumable: bool = True
) -> Iterator[None]:
    """Remove a new folder if the work fails and leaves nothing; after Ctrl-C, print what was kept.

    Args:
        folder: the folder of the results.
        file: the file in it with the results of finished work.
        what: what the finished work is.
        resumable: whether the verb has ``--resume``.
    """
    existed = folder.exists()
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and file is not None and (folder / file).exists():
            more = "; repeat the command with --resume to continue" if resumable else ""
            notice(f"The results of the finished {what} are in {folder / file}{more}.")
        if not existed and not any((folder / name).exists() for name in _WORTH_KEEPING):
            shutil.rmtree(folder, ignore_errors=True)
        raise
