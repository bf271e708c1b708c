"""What the curves and tables of an inspection say, each in a sentence with its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.insight.inside.findings import (
    Ablation,
    Attribution,
    Cut,
    Horizon,
    Inspection,
    Part,
    Steps,
    Tracked,
)

MOSTLY = 0.9
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
        told.append(f"{gate} {int((left >= MOSTLY).sum())} shut, {int((right >= MOSTLY).sum())} open")
    return (
        f"{part.name}, units whose gate is shut or open at {MOSTLY:.0%} of the steps or more, of "
        f"{len(part.order):,}: {'; '.join(told)}."
    )


def horizon(found: Horizon) -> str:
    """How far back a change is felt."""

    def after(steps: float) -> str:
        return f"after {steps:.3g} steps" if math.isfinite(steps) else f"not within {found.longest} steps"

    return (
        f"The influence of a change falls below half of its peak {after(found.half_life)}, and below a twentieth "
        f"{after(found.reach)}. Jacobian products and finite differences differ by {found.agreement:.2%} at most."
    )


def attribution(found: Attribution) -> str:
    """Which answer was looked at, and whether the two ways agree."""
    return (
        f"What moved the {found.target}. Rank correlation of integrated gradients and occlusion: "
        f"{correlation(found.agreement)}. The integrated gradients add up to the change of the answer but for "
        f"{found.incomplete:.2%}."
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


def ablation(found: Ablation, parts: Sequence[Part]) -> str:
    """What costs most when it is switched off."""
    told = []
    for kind in ("layer", "gate", "unit"):
        cuts = [cut for cut in found.cuts if cut.kind == kind]
        if cuts:
            worst = max(cuts, key=lambda cut: cut.loss)
            told.append(f"{cut_name(worst, parts)} ({worst.loss - found.loss:+.3g})")
    most = f" Of each kind the costliest to switch off: {'; '.join(told)}." if told else ""
    return f"The whole network has a loss of {found.loss:.4g} {found.unit}.{most}"


def tracked(unit: Tracked, parts: Sequence[Part]) -> str:
    """Which unit follows what, and how closely."""
    return (
        f"{parts[unit.part].name}, {unit.state} of unit {unit.unit} follows {unit.feature}: "
        f"correlation {unit.confirmed:+.2f} on steps that the choice did not see ({unit.found:+.2f} on the others)"
    )


def extent(steps: Steps, count: int, end: str = "first") -> str:
    """How much of a sequence is shown."""
    kind = counted(count, steps.kind)
    return kind if count == len(steps) else f"the {end} {count:,} of {counted(len(steps), steps.kind)}"
