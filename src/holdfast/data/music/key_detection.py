"""Musical keys: names, scales, and key detection."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast._typing import Array
from holdfast.errors import UserError

_FIFTHS = "FCGDAEB"
"""Letters along the circle of fifths: C major has no sharps, each step to the right one more."""
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10, 11)
"""The scales in semitones above the tonic; minor has both sevenths."""
_MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each pitch class fits C major and C minor (Krumhansl & Kessler 1982)."""
NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
"""Names of the pitch classes."""


@dataclass(frozen=True)
class Key:
    """A key as MIDI defines it.

    Attributes:
        sharps: number of sharps in the key signature; negative: flats.
        minor: whether the key is minor.

    Example:
        >>> Key.of("D minor"), Key.of("F#m").tonic, str(Key.of("Bb"))
        (Key(sharps=-1, minor=True), 6, 'Bb major')
    """

    sharps: int
    minor: bool

    @classmethod
    def of(cls, name: str) -> Key:
        """Parse the name of a key, such as ``C``, ``F# minor``, ``Bb major`` or ``Am``.

        Raises:
            UserError: the name is not a key, or the key has more than seven sharps or flats.
        """
        match = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]?)\s*(major|minor|maj|min|m|)\s*", name)
        sharps = 99
        if match:
            letter, sign, mode = match[1].upper(), match[2], match[3]
            minor = mode in ("minor", "min", "m")
            sharps = _FIFTHS.index(letter) - 1 + {"": 0, "#": 7, "♯": 7}.get(sign, -7) - 3 * minor
        if not match or abs(sharps) > 7:
            raise UserError(
                "--key must be a letter from A to G, with # or b where needed, and major or minor.",
                f"It was {name!r}.",
                "Give for example --key 'D minor'.",
            )
        return cls(sharps, minor)

    @property
    def tonic(self) -> int:
        """The pitch class of the tonic: 0 is C."""
        return (7 * self.sharps + 9 * self.minor) % 12

    @property
    def scale(self) -> NDArray[np.bool_]:
        """Whether each pitch class [12] belongs to the scale."""
        found = np.zeros(12, np.bool_)
        found[(self.tonic + np.array(_MINOR if self.minor else _MAJOR)) % 12] = True
        return found

    def __str__(self) -> str:
        place = self.sharps + 1 + 3 * self.minor
        letter, sign = _FIFTHS[place % 7], {-1: "b", 0: "", 1: "#"}[place // 7]
        return f"{letter}{sign} {'minor' if self.minor else 'major'}"


KEYS = tuple(Key(sharps, minor) for minor in (False, True) for sharps in (*range(-5, 7),))
"""The 24 keys, each with the fewest accidentals."""


def likeliest_key(durations: Array) -> Key:
    """Return the key that best fits the durations of the pitch classes [12] (Krumhansl 1990).

    Example:
        >>> str(likeliest_key(np.array([4, 0, 2, 0, 3, 2, 0, 4, 0, 1, 0, 1])))
        'C major'
    """
    found = np.asarray(durations, np.float64)

    def fit(key: Key) -> float:
        profile = np.roll(_MINOR_PROFILE if key.minor else _MAJOR_PROFILE, key.tonic)
        return float((profile - profile.mean()) @ (found - found.mean()) / profile.std())

    return max(KEYS, key=fit)
