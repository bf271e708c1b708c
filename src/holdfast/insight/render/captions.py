"""Captions and names of what is drawn; what was found is said by :mod:`holdfast.insight.analysis.summary`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.insight.analysis.results import AblatedComponent, FeatureUnit, Inspection, LayerTrace, Steps
from holdfast.insight.analysis.summary import unit_name

_MOSTLY = 0.9
"""A unit's gate is called mostly shut or open where it is at so large a share of the steps."""


def counted(count: int, kind: str) -> str:
    """Some things of a kind.

    Example:
        >>> counted(1, "character"), counted(1200, "hour")
        ('1 character', '1,200 hours')
    """
    return f"{count:,} {kind}{'' if count == 1 else 's'}"


def number(value: float, digits: int = 3) -> str:
    """A number in a table; "∞" where there is no end, nothing where it is not known."""
    if math.isnan(value):
        return ""
    return ("∞" if value > 0 else "-∞") if math.isinf(value) else f"{value:.{digits}g}"


def network(found: Inspection) -> str:
    """What was inspected, and on what."""
    layers = "; ".join(
        f"{layer.name} ({layer.cell.upper()}, {counted(len(layer.order), 'unit')})" for layer in found.layers
    )
    return f"Read: {counted(len(found.steps), found.steps.kind)}. Network: {layers}."


def saturation(layer: LayerTrace) -> str:
    """How many units of each gate are mostly shut or mostly open."""
    told = []
    for gate in layer.gates:
        left, right = layer.saturated(gate)
        told.append(f"{gate} {int((left >= _MOSTLY).sum())} shut, {int((right >= _MOSTLY).sum())} open")
    return (
        f"{layer.name}, units whose gate is shut or open at {_MOSTLY:.0%} of the steps or more, of "
        f"{len(layer.order):,}: {'; '.join(told)}."
    )


def correlation(agreement: float) -> str:
    """That of two ways to attribute; in words where no single step moves the answer."""
    if math.isnan(agreement):
        return "not comparable, no single step alone moves the answer"
    return f"{agreement:+.2f}"


def cut_name(cut: AblatedComponent, layers: Sequence[LayerTrace]) -> str:
    """A cut in words: a layer by its name, a gate or a unit with that of its layer."""
    layer = layers[cut.layer].name
    if cut.kind == "layer":
        return layer
    return (
        f"{layer}, {cut.name}{' gate' if cut.kind == 'gate' and cut.name in layers[cut.layer].gates else ''}"
    )


def tracked(unit: FeatureUnit, layers: Sequence[LayerTrace]) -> str:
    """The caption of a unit beside what it follows."""
    return f"{unit_name(unit, layers)} with {unit.feature}: correlation {unit.confirmed:+.2f}"


def looked_for(found: Inspection) -> str:
    """Where units that follow something were looked for, when that is more than what is shown; nothing otherwise."""
    if found.sequences == 1:
        return ""
    return f"looked for in {found.sequences:,} sequences; drawn is the first of them"


def extent(steps: Steps, count: int, end: str = "first") -> str:
    """How much of a sequence is shown."""
    kind = counted(count, steps.kind)
    return kind if count == len(steps) else f"the {end} {count:,} of {counted(len(steps), steps.kind)}"
