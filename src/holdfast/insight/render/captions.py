"""Captions and labels of plots, and the choice of units to show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.files import counted
from holdfast.insight.analysis.features import changing
from holdfast.insight.analysis.results import (
    AblatedComponent,
    Ablation,
    FeatureUnit,
    Inspection,
    LayerTrace,
    Steps,
)
from holdfast.insight.analysis.summary import unit_name

_MOSTLY = 0.9
"""Share of the steps from which a unit's gate counts as mostly shut or open."""
_PLOTTED = 6
"""Maximum number of feature units in a plot."""
_ABLATED = 12
"""Maximum number of ablated units shown."""


def number(value: float, digits: int = 3) -> str:
    """Format a number for a table: "∞" for infinity, empty for NaN."""
    if math.isnan(value):
        return ""
    return ("∞" if value > 0 else "-∞") if math.isinf(value) else f"{value:.{digits}g}"


def network(found: Inspection) -> str:
    """Describe the input and the inspected layers."""
    layers = "; ".join(
        f"{layer.name} ({layer.cell.upper()}, {counted(len(layer.order), 'unit')})" for layer in found.layers
    )
    return f"Input: {counted(len(found.steps), found.steps.kind)}. Network: {layers}."


def saturation(layer: LayerTrace) -> str:
    """Say how many units of each gate are mostly shut or mostly open."""
    counts = []
    for gate in layer.gates:
        left, right = layer.saturation(gate)
        counts.append(
            f"{gate} gate: {int((left >= _MOSTLY).sum())} shut, {int((right >= _MOSTLY).sum())} open"
        )
    return (
        f"{layer.name}, units (of {len(layer.order):,}) whose gate is shut or open at {_MOSTLY:.0%} of the steps or "
        f"more: {'; '.join(counts)}."
    )


def correlation(agreement: float) -> str:
    """Format the correlation of the two attribution methods."""
    if math.isnan(agreement):
        return "not comparable, since no single time step influences the prediction on its own"
    return f"{agreement:+.2f}"


def component_name(cut: AblatedComponent, layers: Sequence[LayerTrace]) -> str:
    """Return the name of an ablated component, with that of its layer."""
    layer = layers[cut.layer].name
    if cut.kind == "layer":
        return layer
    gate = " gate" if cut.kind == "gate" and cut.name in layers[cut.layer].gates else ""
    return f"{layer}, {cut.name}{gate}"


def component_groups(found: Ablation) -> list[list[AblatedComponent]]:
    """Group the components into layers and gates, and the worst units."""
    of = {kind: [cut for cut in found.components if cut.kind == kind] for kind in ("layer", "gate", "unit")}
    return [[*of["layer"], *of["gate"]], of["unit"][:_ABLATED]]


def feature_unit(unit: FeatureUnit, layers: Sequence[LayerTrace]) -> str:
    """Return the caption of a plot of a unit and the feature that it tracks."""
    return f"{unit_name(unit, layers)} tracks {unit.feature}: correlation {unit.confirmed:+.2f}"


def searched(found: Inspection) -> str:
    """Say in how many sequences feature units were searched, if in more than the one shown."""
    if found.sequences == 1:
        return ""
    return f"The search used {found.sequences:,} sequences; the first is shown."


def extent(steps: Steps, count: int, end: str = "first") -> str:
    """Say how much of a sequence is shown."""
    kind = counted(count, steps.kind)
    return kind if count == len(steps) else f"the {end} {count:,} of {counted(len(steps), steps.kind)}"


def plotted_units(found: Inspection) -> list[FeatureUnit]:
    """Return the closest feature units whose feature changes in the sequence shown."""
    there = changing(found.steps.features)
    return [one for one in found.feature_units if one.feature in there][:_PLOTTED]


def choose_units(order: Array, most: int, wanted: Sequence[int]) -> Array:
    """Choose so many units in their order: the wanted ones, and others at even distances.

    Example:
        >>> choose_units(np.arange(10), 4, [3])
        array([0, 3, 5, 9])
    """
    if len(order) <= most:
        return order
    kept = np.isin(order, list(dict.fromkeys(wanted))[:most])
    others = np.flatnonzero(~kept)
    free = most - int(kept.sum())
    kept[others[np.linspace(0, len(others) - 1, free).round().astype(int)]] = True
    return order[kept]


def tracked_features(found: Inspection, number: int) -> dict[int, list[str]]:
    """Return unit -> the features that it tracks; a projected state's columns are no units."""
    layer, features = found.layers[number], dict[int, list[str]]()
    for one in found.feature_units:
        if one.layer == number and layer.activations[one.state].shape[1] == len(layer.order):
            features.setdefault(one.unit, []).append(one.feature)
    return features
