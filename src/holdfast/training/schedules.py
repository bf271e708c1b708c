"""Learning rate schedules, as a factor on the initial learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable


def halvings(values: list[float]) -> int:
    """Return how often the metric failed to improve for 2 epochs in a row."""
    best, waiting, count = math.inf, 0, 0
    for value in values:
        best, waiting = (value, 0) if value < best else (best, waiting + 1)
        if waiting == 2:
            waiting, count = 0, count + 1
    return count


SCHEDULES: dict[str, Callable[[float, int], float]] = {
    "constant": lambda done, halved: 1.0,
    "cosine": lambda done, halved: 0.5 * (1 + math.cos(math.pi * done)),
    "halve": lambda done, halved: 0.5**halved,
}
"""Name -> factor on the learning rate, from the finished fraction and :func:`halvings`."""
