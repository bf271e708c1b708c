"""What ``holdfast predict`` does for a composer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from holdfast.data.music.synthesis import find_soundfont
from holdfast.files import to_json
from holdfast.tasks.music.config import Prediction
from holdfast.tasks.music.result import sentences
from holdfast.tasks.music.task import Composer

FILES = ("midi", "plot", "wav")


def predicted(model: Composer, data: Path | None, asked: Prediction) -> Iterator[str]:
    """Compose, behind the primer ``data`` where it is given; write the files, and tell of the piece as JSON."""
    if asked.wav is not None:
        find_soundfont(asked.soundfont)  # before anything is composed
    found = model.compose(data, **asdict(asked))
    found.save(asked.midi, asked.plot, asked.wav, asked.soundfont)
    told = found.told()
    model.notes = sentences(told)
    files = {name: str(path) for name in FILES if (path := getattr(asked, name)) is not None}
    yield to_json({**files, **told}) + "\n"
