"""The HTML report and the plots of a probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from holdfast.experiments.probes import results
from holdfast.experiments.probes.results import ProbeResults
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, saved_panel

_LINES = {
    "rnn": (GREY, "-", "o"),
    "gru": (ORANGE, "-", "s"),
    "gru-chrono": (ORANGE, "--", "D"),
    "lstm": (BLUE, "-", "^"),
    "lstm-chrono": (BLUE, "--", "v"),
}
"""Cell -> color, line and marker."""


def _plot_curves(found: ProbeResults, path: Path) -> Path:
    """Plot the metric at each validation, a line for each run."""
    with saved_panel(path, (8, 3.4)) as ax:
        for run in found.runs:
            color, line, marker = _LINES[run["cell"]]
            steps = [row["step"] for row in run["curve"]]
            values = np.array([row[found.metric] for row in run["curve"]], float)  # None becomes NaN
            label = run["cell"].upper() if run is found.of(run["cell"])[0] else None
            ax.plot(steps, values, line, color=color, lw=1.4, label=label)
            if run["solved"]:
                ax.plot(steps[-1:], values[-1:], marker, color=color, ms=6, clip_on=False, zorder=3)
        ax.axhline(found.chance[found.metric], color=BLACK, lw=1, ls=":", label="without memory")
        ax.axhline(found.criterion, color=BLACK, lw=1, ls="-.", label="criterion")
        ax.set(xlabel="optimizer steps (marker: solved)", ylabel=f"validation {found.metric}", xlim=(0, None))
        ax.set_title(f"How each cell learns to remember over {found.length:,} time steps")
        if found.higher:
            ax.yaxis.set_major_formatter(PercentFormatter(1.0))
            ax.set_ylim(0, 1.02)
        else:
            ax.set_yscale("log")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return path


def _plot_positions(found: ProbeResults, path: Path) -> Path:
    """Plot the accuracy at each of the symbols to repeat, averaged over a cell's runs."""
    with saved_panel(path, (8, 3.0)) as ax:
        for cell in found.cells:
            color, line, marker = _LINES[cell]
            values = np.mean([run["test"]["accuracy_by_position"] for run in found.of(cell)], 0)
            places = range(1, len(values) + 1)
            ax.plot(places, values, line, marker=marker, color=color, lw=1.4, label=cell.upper())
        ax.axhline(found.chance["accuracy"], color=BLACK, lw=1, ls=":", label="without memory")
        ax.set(xlabel="position of the symbol", ylabel="test accuracy", ylim=(0, 1.02))
        ax.set_title("Which of the ten symbols are remembered")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return path


def write_probe_report(found: ProbeResults, folder: Path) -> Path:
    """Write ``report.html`` and ``plots/``, and return the report's path."""
    plotted = [_plot_curves(found, folder / "plots" / "learning.png")]
    if "accuracy_by_position" in found.runs[0]["test"]:
        plotted.append(_plot_positions(found, folder / "plots" / "positions.png"))
    meanings = [[name, text] for name, text in results.MEANINGS.items() if name in found.runs[0]["test"]]
    rows = results.results_table(found)
    sections = [
        Section("Result", results.sentences(found), pictures=plotted),
        Section("Test metrics and costs", [], rows, [row[0] for row in rows[1:-1]]),
        Section("What the metrics mean", [], [["", ""], *meanings], prose=True),
    ]
    return write_report(folder / "report.html", results.title(found), sections)
