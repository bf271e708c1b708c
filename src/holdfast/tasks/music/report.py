"""The page of a composer's training run."""

from __future__ import annotations

from pathlib import Path

from holdfast.insight.pages import data_section, meanings_section, result_section
from holdfast.insight.report import write_report
from holdfast.tasks.music.model import Composer
from holdfast.tasks.music.words import MEANINGS, MEASURE, WHICH_WAY, verdict


def run_report(model: Composer, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures and learning curves."""
    result, history = model.metrics, model.history
    assert history is not None
    sections = [
        result_section(result, history, MEASURE.of(result["model"]), verdict(result), folder / "plots"),
        data_section(result["notes"]),
        meanings_section(result["model"], MEANINGS, WHICH_WAY),
    ]
    return write_report(folder / "report.html", "Music", sections)
