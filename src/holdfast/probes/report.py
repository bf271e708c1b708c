"""The page of a probe."""

from __future__ import annotations

from pathlib import Path

from holdfast.insight.report import Section, write_report
from holdfast.probes import words
from holdfast.probes.findings import Findings
from holdfast.probes.pictures import curves, positions


def report(found: Findings, folder: Path) -> Path:
    """``report.html`` with ``plots/``: words, pictures and figures of all runs."""
    drawn = [curves(found, folder / "plots" / "learning.png")]
    if "accuracy_by_position" in found.runs[0]["test"]:
        drawn.append(positions(found, folder / "plots" / "positions.png"))
    metrics = {name: words.MEANINGS[name] for name in found.runs[0]["test"] if name in words.MEANINGS}
    rows = words.table(found)
    sections = [
        Section("Result", [words.rule(found), *words.verdict(found)], pictures=drawn),
        Section("Test figures and costs", [], rows, [row[0] for row in rows[1:-1]]),
        Section("What the figures mean", [], [["", ""], *map(list, metrics.items())], prose=True),
    ]
    return write_report(folder / "report.html", words.title(found), sections)
