"""What an inspection found, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isinf, isnan

import numpy as np

from holdfast.insight.analysis.attribution import MATTERS
from holdfast.insight.analysis.gates import KEEPERS
from holdfast.insight.analysis.results import (
    AblatedComponent,
    Ablation,
    Attribution,
    FeatureUnit,
    Inspection,
    LayerTrace,
    MemoryCurve,
)

_MEASURABLE = 0.01
"""Share of the loss below which a change of it says nothing of a gate."""
NAMED = 6
"""Units that are named, at most."""

_AGREES = 0.05
"""Relative difference up to which the two ways to measure memory are said to agree."""
_INCOMPLETE = 0.1
"""Share of the whole change that integrated gradients may miss, and still say what moved the answer most."""


def sentences(found: Inspection) -> list[str]:
    """The findings, each in a sentence or two."""
    kind = found.steps.kind
    sentences = [*_tracked(found), *(_layer(layer, kind) for layer in found.layers)]
    if found.memory is not None:
        sentences.append(memory(found.memory, kind))
    sentences += [flow.sentence for flow in found.gradients]
    if found.attribution is not None:
        sentences.append(attribution(found.attribution, found))
    if found.ablation is not None:
        sentences += ablation(found.ablation, found)
    return sentences


def unit_name(one: FeatureUnit, layers: Sequence[LayerTrace]) -> str:
    """Such as ``"layer 2, unit 17 (cell)"``."""
    return f"{layers[one.layer].name}, unit {one.unit} ({one.state})"


def away(by: Attribution, step: int, steps: int) -> str:
    """How far a step of so many is from the one after which the answer comes; nothing where there is no such step.

    Example:
        >>> by = Attribution("answer", np.zeros(5), np.zeros(5), 1.0, 0.0, step=3)
        >>> away(by, 1, 5), away(by, 4, 5)
        ('2 back', '1 after')
    """
    if by.step is None:
        return ""
    back = by.step % steps - step
    return f"{back} back" if back >= 0 else f"{-back} after"


def _tracked(found: Inspection) -> Iterator[str]:
    if not found.tested_features:
        return
    if not found.feature_units:
        yield (
            f"No unit follows any of {', '.join(found.tested_features)} with a correlation that the second half of "
            "the steps confirms and chance does not reach."
        )
    for one in found.feature_units[:NAMED]:
        yield (
            f"{unit_name(one, found.layers)} follows {one.feature!r}: correlation {one.confirmed:+.2f} on the half "
            f"of the steps on which it was not chosen ({one.selected:+.2f} on the other)."
        )


def _layer(layer: LayerTrace, kind: str) -> str:
    if layer.half_lives is None:
        return f"{layer.name}: a plain RNN has no gate that keeps the state, so no half-life can be read from gates."
    low, middle, high = (
        _lost(float(v), kind) for v in np.percentile(layer.half_lives, [10, 50, 90], method="nearest")
    )
    others = (
        ""
        if low == middle == high
        else f" (the fastest tenth {low} at the latest, the slowest {high} at the earliest)"
    )
    keeper = next(name for name in KEEPERS if name in layer.activations)
    left, right = (share.mean() for share in layer.saturated(keeper))
    return (
        f"{layer.name}: by its {keeper} gates the middle unit has lost half of what it held {middle}{others}; of all "
        f"{keeper} gates {right:.0%} are open (above 0.9) and {left:.0%} shut (below 0.1)."
    )


def _lost(value: float, kind: str) -> str:
    """When half of what a unit held is gone."""
    return "later than the sequence ends" if isinf(value) else _after(value, kind)


def _after(value: float, kind: str) -> str:
    shown = f"{value:.3g}"
    return f"in less than one {kind}" if value < 1 else f"after {shown} {kind}{'' if shown == '1' else 's'}"


def memory(horizon: MemoryCurve, kind: str) -> str:
    """How far back a change of the input is felt, in steps of a kind."""
    told = [
        f"{share} only beyond the {horizon.longest} {kind}s measured"
        if isinf(value)
        else f"{share} {_after(value, kind)}"
        for share, value in (("half", horizon.half_life), ("a twentieth", horizon.reach))
    ]
    if isnan(horizon.agreement):
        close = "could not be compared: the differences were rounding"
    elif horizon.agreement <= _AGREES:
        close = f"agree within {horizon.agreement:.1%}"
    else:
        close = f"differ by up to {horizon.agreement:.1%}: trust the Jacobian products less"
    return (
        f"Memory as measured: a change of the input has, of its largest influence on the recurrent output, {told[0]} "
        f"and {told[1]}. Finite differences and Jacobian products {close}."
    )


def attribution(one: Attribution, found: Inspection) -> str:
    """Which steps moved the answer, and how far the two ways to attribute agree."""
    whole = one.incomplete <= _INCOMPLETE
    values, way = (one.integrated, "integrated gradients") if whole else (one.occlusion, "occlusion")
    sizes = np.abs(values)
    order = [k for k in np.argsort(-sizes, kind="stable")[:5] if sizes[k] >= MATTERS * sizes.max() > 0]
    named = ", ".join(_moved(one, int(k), found) for k in order)
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


def _moved(by: Attribution, k: int, found: Inspection) -> str:
    far = away(by, k, len(found.steps))
    return _step(found, k) + (f" ({far})" if far else "")


def ablation(one: Ablation, found: Inspection) -> Iterator[str]:
    """Which gate and which unit the network relies on."""
    gates = [cut for cut in one.components if cut.kind == "gate" and " gate " in cut.name]
    if gates:
        yield " ".join(_gates(one, gates, found))
    units = [cut for cut in one.components if cut.kind == "unit"]
    if units:
        cut = max(units, key=lambda cut: cut.loss)
        yield (
            f"Of the {len(units)} weightiest units, switched off one by one, {found.layers[cut.layer].name}, {cut.name}"
            f" costs most: {cut.loss - one.loss:+.4g} {one.unit}."
        )


def _of_each_gate(one: Ablation, cuts: Sequence[AblatedComponent]) -> list[AblatedComponent]:
    """Held at its mean, or always open or shut: what changes the loss more, of each gate."""
    found: dict[tuple[int, str], AblatedComponent] = {}
    for cut in cuts:
        key = cut.layer, cut.name.partition(" gate ")[0]
        found[key] = max(found.get(key, cut), cut, key=lambda some: abs(some.loss - one.loss))
    return list(found.values())


def _gates(one: Ablation, cuts: Sequence[AblatedComponent], found: Inspection) -> Iterator[str]:
    """The gate that costs most, the one that changes least, and apart from them the one without which it is better."""

    def named(cut: AblatedComponent) -> str:
        return f"{cut.name}, {found.layers[cut.layer].name}"

    worst = _of_each_gate(one, cuts)
    most, helps = max(cuts, key=lambda cut: cut.loss), min(cuts, key=lambda cut: cut.loss)
    least = min(worst, key=lambda cut: abs(cut.loss - one.loss))
    whole, on = f"{one.loss:.4g}", f" ({one.on})" if one.on else ""
    if all(abs(cut.loss - one.loss) < _MEASURABLE * abs(one.loss) for cut in cuts):
        yield f"No gate matters measurably: none changes the loss of {whole} {one.unit}{on} by {_MEASURABLE:.0%}."
        return
    if most.loss > one.loss:
        rest = "" if least in (most, helps) else f"; least: {named(least)} ({least.loss:.4g})"
        rise = f"the loss goes from {whole} to {most.loss:.4g} {one.unit}{on}"
        yield f"The gate that matters most here: {named(most)}: {rise}{rest}."
    else:
        yield f"No gate that is switched off raises the loss of {whole} {one.unit}{on}."
    if helps.loss < one.loss and f"{helps.loss:.4g}" != whole:
        yield f"The loss is lower ({helps.loss:.4g}) with {named(helps)}: the network would do better so."
    yield "Nothing is trained again: it is what this network relies on."


def _step(found: Inspection, k: int) -> str:
    label = found.steps.labels[k]
    return f"step {label}" if found.steps.kind == "step" else shown(label)


def shown(label: str) -> str:
    """A label in quotes, with signs for white space."""
    return repr(label) if label.strip() == "" or label != label.strip() else f"'{label}'"
