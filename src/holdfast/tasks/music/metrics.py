"""Metrics of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Counts:
    """Keys over all frames: rightly said to sound, wrongly said to, and missed.

    ``note_accuracy`` is ``TP / (TP + FP + FN)`` over all frames but the first of each piece (Bay, Ehmann & Downie 2009,
    as Boulanger-Lewandowski et al. 2012 use it), of the frame that is said to come: of independent keys those with a
    probability above 1/2, of a chord the likeliest note each time, from the top down.

    Example:
        >>> import numpy as np
        >>> counts = Counts()
        >>> counts.add(np.array([[True, True, False]]), np.array([[True, False, True]]))
        >>> round(counts.accuracy, 3)
        0.333
    """

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, said: Any, sounding: Any) -> None:
        """Count frames [N, K] that were said, and those that came: booleans of numpy or torch."""
        self.right += int((said & sounding).sum())
        self.wrong += int((said & ~sounding).sum())
        self.missed += int((~said & sounding).sum())

    @property
    def accuracy(self) -> float:
        """Between 0 and 1; 1 where nothing sounds and nothing was said to."""
        every = self.right + self.wrong + self.missed
        return self.right / every if every else 1.0
