"""What the report of a composer adds: a piece that it composes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.reporting.html import Section
from holdfast.tasks.music.result import sentences

if TYPE_CHECKING:
    from holdfast.tasks.music.task import Composer

_BARS, _SEED = 16, 0
"""Length and seed of the piece."""


def sections(model: Composer, plots: Path) -> list[Section]:
    """Return a piece as a plot, with its overlap with the training pieces."""
    piece = model.compose(bars=_BARS, seed=_SEED)
    midi, plot = plots / "composed.mid", plots / "composed.png"
    piece.save(midi, plot)
    found = [f"{one[0].upper()}{one[1:]}." for one in sentences(piece.summary())]
    words = f"{_BARS} bars with seed {_SEED}, not chosen from several. Listen to it: plots/composed.mid."
    return [Section("What it composes", [words, *found], pictures=[plot])]
