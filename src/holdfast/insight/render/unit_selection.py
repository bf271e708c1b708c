"""Which units are shown where there is no room for all, and what they follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.features import changing
from holdfast.insight.analysis.results import FeatureUnit, Inspection

_PICTURED = 6
"""Units that follow something and are drawn."""


def pictured(found: Inspection) -> list[FeatureUnit]:
    """The units that are drawn: the closest of those whose feature changes in the sequence that is shown."""
    there = changing(found.steps.features)
    return [one for one in found.feature_units if one.feature in there][:_PICTURED]


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


def followed(found: Inspection, number: int) -> dict[int, list[str]]:
    """Unit of a part -> the features that it follows; units of a projected state are not the cell's and left out."""
    layer, follows = found.layers[number], dict[int, list[str]]()
    for one in found.feature_units:
        if one.layer == number and layer.activations[one.state].shape[1] == len(layer.order):
            follows.setdefault(one.unit, []).append(one.feature)
    return follows
