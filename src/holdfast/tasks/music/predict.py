"""Output of ``holdfast predict`` for a composer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.data.music.synthesis import find_soundfont
from holdfast.files import to_json
from holdfast.tasks.music.config import Prediction
from holdfast.tasks.music.result import sentences

if TYPE_CHECKING:
    from holdfast.tasks.music.task import Composer

_FILES = ("midi", "plot", "wav")


def write_predictions(model: Composer, data: Path | None, options: Prediction) -> Iterator[str]:
    """Compose a piece, after the primer ``data`` if given; write its files, yield its summary."""
    if options.wav is not None:
        find_soundfont(options.soundfont)  # before anything is composed
    piece = model.compose(data, **asdict(options))
    piece.save(options.midi, options.plot, options.wav, options.soundfont)
    summary = piece.summary()
    model.notes = sentences(summary)
    files = {name: str(path) for name in _FILES if (path := getattr(options, name)) is not None}
    yield to_json({**files, **summary}) + "\n"
