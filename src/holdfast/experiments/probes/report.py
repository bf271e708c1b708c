"""The HTML report and the plots of a probe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from holdfast.experiments.probes import results
from holdfast.experiments.probes.results import ProbeResults
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, save_plot

_LINES = {
    "rnn": (GREY, "-", "o"),
    "gru": (ORANGE, "-", "s"),
    "gru-chrono": (ORANGE, "--", "D"),
    "lstm": (BLUE, "-", "^"),
    "lstm-chrono": (BLUE, "--", "v"),
}
"""Cell -> color, line and marker."""


def _plot_curves(found: ProbeResults, path: Path) -> Path:
    """Plot the metric at each validation, a line for each run, with the criterion and the baseline."""

    def paint(axes: Sequence[Axes]) -> None:
        (ax,) = axes
        for run in found.runs:
            color, line, marker = _LINES[run["cell"]]
            steps, values = ([_number(row[name]) for row in run["curve"]] for name in ("step", found.metric))
            first = run is found.of(run["cell"])[0]
            ax.plot(steps, values, line, color=color, lw=1.4, label=run["cell"].upper() if first else None)
            if run["solved"]:
                ax.plot(steps[-1:], values[-1:], marker, color=color, ms=6, clip_on=False, zorder=3)
        ax.axhline(found.chance[found.metric], color=BLACK, lw=1, ls=":", label="without memory")
        ax.axhline(found.criterion, color=BLACK, lw=1, ls="-.", label="criterion")
        ax.set(xlabel="optimizer steps (marker: solved)", ylabel=f"validation {found.metric}", xlim=(0, None))
        ax.set_title(f"How each cell learns to remember over {found.length:,} time steps")
        _scale(ax, found)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return save_plot(path, (8, 3.4), 1, paint)


def _scale(ax: Axes, found: ProbeResults) -> None:
    if found.higher:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_ylim(0, 1.02)
    else:
        ax.set_yscale("log")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plot_positions(found: ProbeResults, path: Path) -> Path:
    """Plot the accuracy at each of the symbols to repeat, averaged over a cell's runs."""

    def paint(axes: Sequence[Axes]) -> None:
        (ax,) = axes
        for cell in found.cells:
            color, line, marker = _LINES[cell]
            values = np.mean([run["test"]["accuracy_by_position"] for run in found.of(cell)], 0)
            ax.plot(
                range(1, len(values) + 1),
                values,
                line,
                marker=marker,
                color=color,
                lw=1.4,
                label=cell.upper(),
            )
        ax.axhline(found.chance["accuracy"], color=BLACK, lw=1, ls=":", label="without memory")
        ax.set(xlabel="position of the symbol", ylabel="test accuracy", ylim=(0, 1.02))
        ax.set_title("Which of the ten symbols are remembered")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return save_plot(path, (8, 3.0), 1, paint)


def write_probe_report(found: ProbeResults, folder: Path) -> Path:
    """Write ``report.html`` and ``plots/``, and return the report's path."""
    plotted = [_plot_curves(found, folder / "plots" / "learning.png")]
    if "accuracy_by_position" in found.runs[0]["test"]:
        plotted.append(_plot_positions(found, folder / "plots" / "positions.png"))
    metrics = {name: results.MEANINGS[name] for name in found.runs[0]["test"] if name in results.MEANINGS}
    rows = results.results_table(found)
    sections = [
        Section(
            "Result", [results.criterion_sentence(found), *results.verdict_sentences(found)], pictures=plotted
        ),
        Section("Test metrics and costs", [], rows, [row[0] for row in rows[1:-1]]),
        Section("What the metrics mean", [], [["", ""], *map(list, metrics.items())], prose=True),
    ]
    return write_report(folder / "report.html", results.title(found), sections)
