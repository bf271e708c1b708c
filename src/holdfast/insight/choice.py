"""Which units are shown where there is no room for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast.insight.findings import Array


def chosen(order: Array, most: int, wanted: Sequence[int]) -> Array:
    """At most so many units in their order: those that are wanted, and an even choice of the others.

    Example:
        >>> chosen(np.arange(10), 4, [3])
        array([0, 3, 5, 9])
    """
    if len(order) <= most:
        return order
    kept = np.isin(order, list(dict.fromkeys(wanted))[:most])
    others = np.flatnonzero(~kept)
    free = most - int(kept.sum())
    kept[others[np.linspace(0, len(others) - 1, free).round().astype(int)]] = True
    return order[kept]
