"""What an inspection found, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf, isnan

import numpy as np

from holdfast.insight.inside.attribution import MATTERS
from holdfast.insight.inside.findings import Ablation, Attribution, Horizon, Inspection, Part, Tracked

NAMED = 6
"""Units that are named, at most."""

INCOMPLETE = 0.1
"""Share of the whole change that integrated gradients may miss, and still say what moved the answer most."""


def words(found: Inspection) -> list[str]:
    """The findings, each in a sentence or two."""
    kind = found.steps.kind
    sentences = [*_tracked(found), *(_part(part, kind) for part in found.parts)]
    if found.horizon is not None:
        sentences.append(_memory(found.horizon, kind))
    sentences += [flow.words for flow in found.flows]
    if found.attribution is not None:
        sentences.append(_attribution(found.attribution, found))
    if found.ablation is not None:
        sentences += _ablation(found.ablation, found)
    return sentences


def unit_name(found: Inspection, one: Tracked) -> str:
    """Such as ``"layer 2, unit 17 (cell)"``."""
    return f"{found.parts[one.part].name}, unit {one.unit} ({one.state})"


def _tracked(found: Inspection) -> Iterator[str]:
    if not found.steps.features:
        return
    if not found.tracked:
        yield (
            f"No unit follows any of {', '.join(found.steps.features)} with a correlation that the second half of "
            "the steps confirms."
        )
    for one in found.tracked[:NAMED]:
        yield (
            f"{unit_name(found, one)} follows the {one.feature}: correlation {one.confirmed:+.2f} on the half of the "
            f"steps on which it was not chosen ({one.found:+.2f} on the other)."
        )


def _part(part: Part, kind: str) -> str:
    if part.half_lives is None:
        return f"{part.name}: {part.cell} has no gate that keeps the state, so no half-life can be read from gates."
    low, middle, high = np.percentile(part.half_lives, [10, 50, 90], method="nearest")
    keeper = "forget" if "forget" in part.activations else "update"
    left, right = (share.mean() for share in part.saturated(keeper))
    return (
        f"{part.name}: by its {keeper} gates the middle unit has lost half of what it held after "
        f"{_steps(middle, kind)} (the fastest tenth {low:.2g}, the slowest {high:.3g}); of all {keeper} gates "
        f"{right:.0%} are open (above 0.9) and {left:.0%} shut (below 0.1)."
    )


def _steps(value: float, kind: str) -> str:
    return f"{value:.3g} {kind}{'' if value == 1 else 's'}"


def _memory(horizon: Horizon, kind: str) -> str:
    told = [
        f"{share} only beyond the {horizon.longest} {kind}s measured"
        if isinf(value)
        else f"{share} after {_steps(value, kind)}"
        for share, value in (("half", horizon.half_life), ("a twentieth", horizon.reach))
    ]
    return (
        f"Memory as measured: a change of the input has, of its largest influence on the recurrent output, {told[0]} "
        f"and {told[1]}. Finite differences and Jacobian products agree within {horizon.agreement:.1%}."
    )


def _attribution(one: Attribution, found: Inspection) -> str:
    whole = one.incomplete <= INCOMPLETE
    values, way = (one.integrated, "integrated gradients") if whole else (one.occlusion, "occlusion")
    sizes, last = np.abs(values), len(found.steps) - 1
    order = [k for k in np.argsort(-sizes, kind="stable")[:5] if sizes[k] >= MATTERS * sizes.max() > 0]
    named = ", ".join(f"{_step(found, int(k))} ({last - k} back)" for k in order)
    most = f"most of all {named or 'nothing'}, by {way}"
    if not whole and isnan(one.agreement):
        most = "neither way says it"
    return (
        f"What moved the {one.target}: {most}. {_compared(one.agreement)}; the integrated gradients miss "
        f"the whole change by {one.incomplete:.1%}{'' if whole else ': too much to go by them'}."
    )


def _compared(agreement: float) -> str:
    if isnan(agreement):
        return "No single step alone moves the answer, so occlusion is not comparable"
    close = "agree" if agreement >= 0.7 else "agree in part" if agreement >= 0.3 else "do not agree"
    return f"The two ways to attribute {close} (rank correlation {agreement:.2f} over the steps that matter to either)"


def _ablation(one: Ablation, found: Inspection) -> Iterator[str]:
    gates = [cut for cut in one.cuts if cut.kind == "gate" and "gate held" in cut.name]
    if gates:
        most, least = max(gates, key=lambda cut: cut.loss), min(gates, key=lambda cut: cut.loss)
        yield (
            f"The gate that matters most here: {most.name}, {found.parts[most.part].name}: the loss goes from "
            f"{one.loss:.4g} to {most.loss:.4g} {one.unit}; least: {least.name}, {found.parts[least.part].name} "
            f"({least.loss:.4g}). Nothing is trained again: it is what this network relies on."
        )
    units = [cut for cut in one.cuts if cut.kind == "unit"]
    if units:
        cut = max(units, key=lambda cut: cut.loss)
        yield (
            f"Of the {len(units)} weightiest units, switched off one by one, {found.parts[cut.part].name}, {cut.name} "
            f"costs most: {cut.loss - one.loss:+.4g} {one.unit}."
        )


def _step(found: Inspection, k: int) -> str:
    label = found.steps.labels[k]
    return f"step {label}" if found.steps.kind == "step" else shown(label)


def shown(label: str) -> str:
    """A label in quotes, with signs for white space."""
    return repr(label) if label.strip() == "" or label != label.strip() else f"'{label}'"
