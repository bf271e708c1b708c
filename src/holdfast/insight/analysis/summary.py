"""Summarize an inspection in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isinf, isnan

import numpy as np

from holdfast.insight.analysis.attribution import MATTERS
from holdfast.insight.analysis.gates import KEEPERS
from holdfast.insight.analysis.memory import SMALL
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
"""Relative change of the loss below which an ablation is not evidence that a gate matters."""
_NAMED = 6
"""Maximum number of feature units in the summary."""
_AGREES = 0.05
"""Largest relative difference at which the two measurements of memory count as equal."""
_INCOMPLETE = 0.1
"""Share of the change that integrated gradients may leave unexplained and still rank steps."""


def sentences(found: Inspection) -> list[str]:
    """Return the findings, each in one or two sentences."""
    kind = found.steps.kind
    lines = [*_feature_units(found), *(_layer(layer, kind) for layer in found.layers)]
    if found.memory is not None:
        lines.append(memory(found.memory, kind))
    lines += [flow.sentence for flow in found.gradients]
    if found.attribution is not None:
        lines.append(attribution(found.attribution, found))
    if found.ablation is not None:
        lines += ablation(found.ablation, found)
    return lines


def unit_name(one: FeatureUnit, layers: Sequence[LayerTrace]) -> str:
    """Return a name such as ``"layer 2, unit 17 (cell)"``."""
    return f"{layers[one.layer].name}, unit {one.unit} ({one.state})"


def distance(by: Attribution, step: int, steps: int) -> str:
    """Return the distance of a step from the predicted step; empty if there is none.

    Example:
        >>> by = Attribution("output", np.zeros(5), np.zeros(5), 1.0, 0.0, step=3)
        >>> distance(by, 1, 5), distance(by, 4, 5)
        ('2 back', '1 after')
    """
    if by.step is None:
        return ""
    back = by.step % steps - step
    return f"{back} back" if back >= 0 else f"{-back} after"


def _feature_units(found: Inspection) -> Iterator[str]:
    if found.tested_features and not found.feature_units:
        yield (
            f"No unit tracks a feature. Tested: {', '.join(found.tested_features)}. No correlation was confirmed on "
            "held-out steps and stronger than chance."
        )
    for one in found.feature_units[:_NAMED]:
        yield (
            f"{unit_name(one, found.layers)} tracks {one.feature!r}: correlation {one.confirmed:+.2f} on held-out "
            f"steps ({one.selected:+.2f} on the steps used to select it)."
        )


def _layer(layer: LayerTrace, kind: str) -> str:
    if layer.half_lives is None:
        return f"{layer.name}: a plain RNN has no gate that keeps the state, so it has no half-lives."
    low, middle, high = (
        _half_life(float(v), kind) for v in np.percentile(layer.half_lives, [10, 50, 90], method="nearest")
    )
    spread = "" if low == middle == high else f" (10th percentile: {low}; 90th percentile: {high})"
    keeper = next(name for name in KEEPERS if name in layer.activations)
    left, right = (share.mean() for share in layer.saturation(keeper))
    return (
        f"{layer.name}: the {keeper} gates give the median unit a half-life of {middle}{spread}. {right:.0%} of "
        f"{keeper} gate values are open (above 0.9) and {left:.0%} are shut (below 0.1)."
    )


def _half_life(value: float, kind: str) -> str:
    return "more than the whole sequence" if isinf(value) else _duration(value, kind)


def _duration(value: float, kind: str) -> str:
    shown = f"{value:.3g}"
    return f"less than 1 {kind}" if value < 1 else f"{shown} {kind}{'' if shown == '1' else 's'}"


def memory(curve: MemoryCurve, kind: str) -> str:
    """Say for how many steps an input influences the output."""
    throughout = f"over all {curve.longest:,} {kind}s measured"
    if isinf(curve.half_life):
        falls = f"stays above half of its peak {throughout}"
    else:
        falls = f"falls to half of its peak in {_duration(curve.half_life, kind)}"
        if isinf(curve.reach):
            falls += f" and stays above {SMALL:.0%} {throughout}"
        else:
            falls += f" and to {SMALL:.0%} in {_duration(curve.reach, kind)}"
    if isnan(curve.agreement):
        check = "Finite differences could not check this: they were lost in rounding."
    elif curve.agreement <= _AGREES:
        check = f"Finite differences and Jacobian products agree within {max(curve.agreement, 0.001):.1%}."
    else:
        check = (
            f"Finite differences and Jacobian products differ by up to {curve.agreement:.1%}: read these numbers "
            "with caution."
        )
    return f"Measured memory: the influence of an input on the recurrent output {falls}. {check}"


def attribution(one: Attribution, found: Inspection) -> str:
    """Say which time steps influenced the prediction, and how well both methods agree."""
    whole = one.incomplete <= _INCOMPLETE
    values, method = (one.integrated, "integrated gradients") if whole else (one.occlusion, "occlusion")
    sizes = np.abs(values)
    order = [k for k in np.argsort(-sizes, kind="stable")[:5] if sizes[k] >= MATTERS * sizes.max() > 0]
    named = ", ".join(_influential(one, int(k), found) for k in order)
    if whole or not isnan(one.agreement):
        these = "this time step" if len(order) == 1 else "these time steps"
        most = f"The {one.target} was influenced most by {these} ({method}): {named or 'none'}."
    else:
        most = f"Neither attribution method can say which time steps influenced the {one.target}."
    return (
        f"{most} {_agreement(one.agreement)}; integrated gradients leave {one.incomplete:.1%} of the change "
        f"unexplained{'' if whole else ', too much to rely on them'}."
    )


def _agreement(agreement: float) -> str:
    if isnan(agreement):
        return "No single time step influences the prediction on its own, so occlusion cannot be compared"
    close = "agree" if agreement >= 0.7 else "agree in part" if agreement >= 0.3 else "do not agree"
    return (
        f"Integrated gradients and occlusion {close} (rank correlation {agreement:.2f} over the steps that matter "
        "to either)"
    )


def _influential(by: Attribution, k: int, found: Inspection) -> str:
    far = distance(by, k, len(found.steps))
    return _step(found, k) + (f" ({far})" if far else "")


def ablation(one: Ablation, found: Inspection) -> Iterator[str]:
    """Say which gate and which unit the network relies on."""
    gates = [cut for cut in one.components if cut.kind == "gate" and " gate " in cut.name]
    if gates:
        yield " ".join(_gates(one, gates, found))
    units = [cut for cut in one.components if cut.kind == "unit"]
    if units:
        cut = max(units, key=lambda cut: cut.loss)
        strongest = f"of the {len(units)} units with the strongest output, ablated one at a time"
        if cut.loss > one.loss:
            yield (
                f"{strongest.capitalize()}, {cut.name} of {found.layers[cut.layer].name} raises the loss most: by "
                f"{cut.loss - one.loss:.2g} {one.unit}."
            )
        else:
            yield f"None {strongest}, raises the loss."


def _worst_of_each_gate(one: Ablation, cuts: Sequence[AblatedComponent]) -> list[AblatedComponent]:
    """Return, for each gate, the ablation that changes the loss most."""
    found: dict[tuple[int, str], AblatedComponent] = {}
    for cut in cuts:
        key = cut.layer, cut.name.partition(" gate ")[0]
        found[key] = max(found.get(key, cut), cut, key=lambda some: abs(some.loss - one.loss))
    return list(found.values())


def _gates(one: Ablation, cuts: Sequence[AblatedComponent], found: Inspection) -> Iterator[str]:
    """Name the gates that matter most and least, and one whose ablation lowers the loss."""

    def named(cut: AblatedComponent) -> str:
        return f"with the {cut.name} ({found.layers[cut.layer].name})"

    most, helps = max(cuts, key=lambda cut: cut.loss), min(cuts, key=lambda cut: cut.loss)
    least = min(_worst_of_each_gate(one, cuts), key=lambda cut: abs(cut.loss - one.loss))
    whole, on = f"{one.loss:.4g}", f" ({one.on})" if one.on else ""
    if all(abs(cut.loss - one.loss) < _MEASURABLE * abs(one.loss) for cut in cuts):
        yield (
            f"No gate matters measurably: the loss is {whole} {one.unit}{on}, and ablating any one gate "
            f"changes it by less than {_MEASURABLE:.0%}."
        )
        return
    if most.loss > one.loss:
        rest = "" if least in (most, helps) else f"; it changes least, to {least.loss:.4g}, {named(least)}"
        yield f"The loss rises most, from {whole} to {most.loss:.4g} {one.unit}{on}, {named(most)}{rest}."
    else:
        yield f"The loss is {whole} {one.unit}{on}, and ablating a gate never raises it."
    if helps.loss < one.loss and f"{helps.loss:.4g}" != whole:
        yield f"The loss falls to {helps.loss:.4g} {named(helps)}: the network would do better that way."
    yield "The network was not retrained: this shows what this network relies on."


def _step(found: Inspection, k: int) -> str:
    label = found.steps.labels[k]
    if found.steps.kind == "step":
        return f"step {label}"
    return repr(label) if label.strip() == "" or label != label.strip() else f"'{label}'"
