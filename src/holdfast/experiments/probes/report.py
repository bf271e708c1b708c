"""The page of a probe."""

from __future__ import annotations

from pathlib import Path

from holdfast.experiments.probes import summary
from holdfast.experiments.probes.plots import curves, positions
from holdfast.experiments.probes.results import Findings
from holdfast.reporting.html import Section, write_report


def report(found: Findings, folder: Path) -> Path:
    """``report.html`` with ``plots/``: words, pictures and figures of all runs."""
    drawn = [curves(found, folder / "plots" / "learning.png")]
    if "accuracy_by_position" in found.runs[0]["test"]:
        drawn.append(positions(found, folder / "plots" / "positions.png"))
    metrics = {name: summary.MEANINGS[name] for name in found.runs[0]["test"] if name in summary.MEANINGS}
    rows = summary.table(found)
    sections = [
        Section("Result", [summary.rule(found), *summary.verdict(found)], pictures=drawn),
        Section("Test figures and costs", [], rows, [row[0] for row in rows[1:-1]]),
        Section("What the figures mean", [], [["", ""], *map(list, metrics.items())], prose=True),
    ]
    return write_report(folder / "report.html", summary.title(found), sections)
