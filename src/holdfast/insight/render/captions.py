"""Captions and names of what is drawn; what was found is said by :mod:`holdfast.insight.analysis.summary`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.insight.analysis.results import Cut, Inspection, Part, Steps, Tracked
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
    parts = "; ".join(
        f"{part.name} ({part.cell.upper()}, {counted(len(part.order), 'unit')})" for part in found.parts
    )
    return f"Read: {counted(len(found.steps), found.steps.kind)}. Network: {parts}."


def saturation(part: Part) -> str:
    """How many units of each gate are mostly shut or mostly open."""
    told = []
    for gate in part.gates:
        left, right = part.saturated(gate)
        told.append(f"{gate} {int((left >= _MOSTLY).sum())} shut, {int((right >= _MOSTLY).sum())} open")
    return (
        f"{part.name}, units whose gate is shut or open at {_MOSTLY:.0%} of the steps or more, of "
        f"{len(part.order):,}: {'; '.join(told)}."
    )


def correlation(agreement: float) -> str:
    """That of two ways to attribute; in words where no single step moves the answer."""
    if math.isnan(agreement):
        return "not comparable, no single step alone moves the answer"
    return f"{agreement:+.2f}"


def cut_name(cut: Cut, parts: Sequence[Part]) -> str:
    """A cut in words: a layer by its name, a gate or a unit with that of its layer."""
    part = parts[cut.part].name
    if cut.kind == "layer":
        return part
    return f"{part}, {cut.name}{' gate' if cut.kind == 'gate' and cut.name in parts[cut.part].gates else ''}"


def tracked(unit: Tracked, parts: Sequence[Part]) -> str:
    """The caption of a unit beside what it follows."""
    return f"{unit_name(unit, parts)} with {unit.feature}: correlation {unit.confirmed:+.2f}"


def looked_for(found: Inspection) -> str:
    """Where units that follow something were looked for, when that is more than what is shown; nothing otherwise."""
    if found.sequences == 1:
        return ""
    return f"looked for in {found.sequences:,} sequences; drawn is the first of them"


def extent(steps: Steps, count: int, end: str = "first") -> str:
    """How much of a sequence is shown."""
    kind = counted(count, steps.kind)
    return kind if count == len(steps) else f"the {end} {count:,} of {counted(len(steps), steps.kind)}"
