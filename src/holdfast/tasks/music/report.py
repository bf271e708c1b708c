"""The page of a composer's training run."""

from __future__ import annotations

from pathlib import Path

from holdfast.reporting.html import Section, write_report
from holdfast.reporting.sections import data_section, metrics_section, result_section
from holdfast.tasks.music.result import sentences
from holdfast.tasks.music.summary import verdict
from holdfast.tasks.music.task import Composer

BARS, SEED = 16, 0
"""Of the piece that is shown."""


def run_report(model: Composer, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures, learning curves, and a piece, as MIDI there too."""
    result, history = model.metrics, model.history
    assert history is not None
    sections = [
        result_section(result, history, model.scoreboard, verdict(result), folder / "plots"),
        _composed_section(model, folder / "plots"),
        data_section(result["notes"]),
        metrics_section(model.scoreboard.known(result["model"])),
    ]
    return write_report(folder / "report.html", "Music", sections)


def _composed_section(model: Composer, plots: Path) -> Section:
    """A piece that the model composes, and what of it stands in the training pieces."""
    piece = model.compose(bars=BARS, seed=SEED)
    midi, picture = plots / "composed.mid", plots / "composed.png"
    piece.save(midi, picture)
    told = [f"{one[0].upper()}{one[1:]}." for one in sentences(piece.told())]
    words = [f"{BARS} bars, seed {SEED}, not chosen from several; to be heard in plots/composed.mid.", *told]
    return Section("What it composes", words, pictures=[picture])
