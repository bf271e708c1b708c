"""Piano rolls: which of a piano's 88 keys sound in each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEYS, LOWEST = 88, 21
"""Keys of a piano, and the MIDI pitch of the lowest: key k has pitch ``LOWEST + k``."""

Roll = NDArray[np.bool_]


@dataclass(frozen=True)
class RollPiece:
    """A piece of music as a piano roll.

    Attributes:
        name: its place in the file, or the name of the file.
        roll: whether each key sounds in each frame [T, K]; key 0 is MIDI pitch 21.
        left_out: what the roll leaves out, such as "drums, left out of".
        signature: time signature (beats per bar, note value of a beat), if the file has one.
    """

    name: str
    roll: Roll
    left_out: tuple[str, ...] = ()
    signature: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.roll)


RollPieces = tuple[RollPiece, ...]
