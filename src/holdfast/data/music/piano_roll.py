"""A piece of music as a piano roll: which of a piano's 88 keys sound in each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEYS, LOWEST = 88, 21
"""Keys of a piano, and the MIDI pitch of the lowest: key k has pitch ``LOWEST + k``."""

Roll = NDArray[np.bool_]


@dataclass(frozen=True)
class RollPiece:
    """A piece of music.

    Attributes:
        name: where it stands in its file, or its file's name.
        roll: [T, K]: whether each key sounds in each frame; key 0 is MIDI pitch 21.
        left_out: what of the music a roll does not hold, such as "drums, left out of".
        signature: beats of a bar, and what a beat is, where the file says so.
    """

    name: str
    roll: Roll
    left_out: tuple[str, ...] = ()
    signature: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.roll)


RollPieces = tuple[RollPiece, ...]
