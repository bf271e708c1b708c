"""What ``holdfast predict`` writes for a composer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from holdfast.data.music import KEYS, LOWEST, Piece
from holdfast.errors import UserError
from holdfast.tasks.music.config import Prediction
from holdfast.tasks.music.model import Composer
from holdfast.tasks.music.rolls import composed


def predicted(model: Composer, data: Path | None, asked: Prediction) -> Iterator[str]:
    """A new piece, as JSON that Holdfast reads: a list of one piece, of frames, of MIDI pitches."""
    if data is not None:
        raise UserError("A composer makes a new piece.", f"The file {data} was given.", "Leave it out.")
    start = Piece("composed", np.zeros((1, KEYS), np.bool_))
    piece = composed(model.fitted(), start, asked.length, asked.temperature, asked.seed)
    yield json.dumps([[(np.flatnonzero(frame) + LOWEST).tolist() for frame in piece.roll]]) + "\n"
