"""What a probe found, drawn: how each cell learnt, and what it remembers of each place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from holdfast.experiments.probes import results
from holdfast.experiments.probes.results import ProbeResults
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, draw

LINES = {
    "rnn": (GREY, "-", "o"),
    "gru": (ORANGE, "-", "s"),
    "gru-chrono": (ORANGE, "--", "D"),
    "lstm": (BLUE, "-", "^"),
    "lstm-chrono": (BLUE, "--", "v"),
}
"""Cell -> colour, line and marker."""


def curves(found: ProbeResults, path: Path) -> Path:
    """The metric at each validation, a line for each run, with the criterion and what one has who remembers nothing."""

    def paint(axes: Sequence[Axes]) -> None:
        (ax,) = axes
        for run in found.runs:
            colour, line, marker = LINES[run["cell"]]
            steps, values = ([_number(row[name]) for row in run["curve"]] for name in ("step", found.metric))
            first = run is found.of(run["cell"])[0]
            ax.plot(steps, values, line, color=colour, lw=1.4, label=run["cell"].upper() if first else None)
            if run["solved"]:
                ax.plot(steps[-1:], values[-1:], marker, color=colour, ms=6, clip_on=False, zorder=3)
        ax.axhline(found.chance[found.metric], color=BLACK, lw=1, ls=":", label="nothing remembered")
        ax.axhline(found.criterion, color=BLACK, lw=1, ls="-.", label="criterion")
        ax.set(
            xlabel="steps of training (a mark: solved)", ylabel=f"validation {found.metric}", xlim=(0, None)
        )
        ax.set_title(f"How each cell learns to remember over {found.length:,} steps")
        _scale(ax, found)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw(path, (8, 3.4), 1, paint)


def _scale(ax: Axes, found: ProbeResults) -> None:
    if found.higher:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_ylim(0, 1.02)
    else:
        ax.set_yscale("log")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def positions(found: ProbeResults, path: Path) -> Path:
    """The accuracy at each of the symbols to be repeated, the mean of a cell's runs."""

    def paint(axes: Sequence[Axes]) -> None:
        (ax,) = axes
        for cell in found.cells:
            colour, line, marker = LINES[cell]
            values = np.mean([run["test"]["accuracy_by_position"] for run in found.of(cell)], 0)
            ax.plot(
                range(1, len(values) + 1),
                values,
                line,
                marker=marker,
                color=colour,
                lw=1.4,
                label=cell.upper(),
            )
        ax.axhline(found.chance["accuracy"], color=BLACK, lw=1, ls=":", label="nothing remembered")
        ax.set(xlabel="place of the symbol, from the first", ylabel="test accuracy", ylim=(0, 1.02))
        ax.set_title("Which of the ten symbols are remembered")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return draw(path, (8, 3.0), 1, paint)


def write_probe_report(found: ProbeResults, folder: Path) -> Path:
    """``report.html`` with ``plots/``: words, pictures and figures of all runs."""
    drawn = [curves(found, folder / "plots" / "learning.png")]
    if "accuracy_by_position" in found.runs[0]["test"]:
        drawn.append(positions(found, folder / "plots" / "positions.png"))
    metrics = {name: results.MEANINGS[name] for name in found.runs[0]["test"] if name in results.MEANINGS}
    rows = results.results_table(found)
    sections = [
        Section(
            "Result", [results.criterion_sentence(found), *results.verdict_sentences(found)], pictures=drawn
        ),
        Section("Test figures and costs", [], rows, [row[0] for row in rows[1:-1]]),
        Section("What the figures mean", [], [["", ""], *map(list, metrics.items())], prose=True),
    ]
    return write_report(folder / "report.html", results.title(found), sections)
