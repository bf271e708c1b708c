"""The rules by which the watcher tells that a training run is ill, and what it then says.

The limits were set between runs that were well (of every task) and runs that were made ill; ``docs/watching.md`` has
the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from holdfast.insight.monitor.measurements import GONE, NEAR, LayerMeasurement

_STUCK = 0.01
"""Mean slope of a gate, as a share of the largest, below which it can no longer learn."""
_DEAD = 1e-4
"""Share of the median unit's range below which a unit is constant."""
_FEW_VALUES = 32
"""Values of a unit below which nobody can tell that it is constant."""
_LONG = 50
"""Steps of a sequence below which a vanishing gradient is not told."""
WARM, WARM_GATES = 40, 200
"""Steps of training before it is told; gates take longer to learn to keep."""
_LENGTHENED = 1.1
"""Where gates learn to keep, the gradient reaches so many times as far as at the beginning, and ever further."""
EXPLODED = 100.0
"""Growth of a gradient along the steps followed, or of its norm from one step of training to the next."""
_LARGE_STEP = 0.3
"""Size of a change of the weights, as a share of their size, that is no small step."""
RISEN = 3.0
"""The loss is so many times the first one, and has been for :data:`RECENT` steps."""
RECENT = 10
_NETWORK = "network"
"""Where something is that is no single layer's."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, as it stands in one step.

    Attributes:
        kind: such as ``"dead units"``.
        where: the layer, or ``"network"``.
        found: what was found, with the number and the rule.
        advice: what to try.
        at_once: whether it is told when it is first found; else when it stays.
    """

    kind: str
    where: str
    found: str
    advice: str
    at_once: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.found} Try: {self.advice}"


def saturated(one: LayerMeasurement) -> Iterable[Finding]:
    """Gates that cannot move: next to nothing of their slope is left."""
    stuck = {name: gate for name, gate in one.gates.items() if gate.slope < _STUCK}
    if stuck:
        gates = ", ".join(f"{name} {g.saturated:.0%} and {g.slope:.1%}" for name, g in stuck.items())
        yield Finding(
            "saturated gates",
            one.name,
            f"how many of their values are at an end (below 0.1 or above 0.9; of a tanh, beyond 0.9), and how much of "
            f"their slope is left to learn by: {gates} (a limit of {_STUCK:.0%} of the slope).",
            "a lower learning rate (a tenth), inputs scaled to about -1 ... 1, or layer_norm.",
        )


def dead(one: LayerMeasurement) -> Iterable[Finding]:
    """Units whose output is the same at every step of every sequence."""
    if one.values < _FEW_VALUES:
        return
    moving = one.ranges[one.ranges > 0]
    constant = int((one.ranges <= _DEAD * (float(np.median(moving)) if len(moving) else 0.0)).sum())
    if constant:
        yield Finding(
            "dead units",
            one.name,
            f"{constant} of {len(one.ranges)} units give the same at each of {one.values:,} steps looked at "
            f"(they move less than {_DEAD:g} of what the median unit moves).",
            "a lower learning rate (a tenth); tanh instead of relu; fewer units if it stays.",
        )


def vanishing(one: LayerMeasurement, first_reach: int, number: int) -> Iterable[Finding]:
    """A gradient that is gone within a small share of the sequence, and that training does not carry further.

    Args:
        one: the layer in the step ``number`` of training.
        first_reach: its reach when it was first looked at.
        number: of the step.
    """
    steps = one.steps
    warm = number >= (WARM_GATES if one.gated else WARM)
    grows = one.gated and one.reach > _LENGTHENED * first_reach
    if steps >= _LONG and warm and one.reach < NEAR * steps and not grows:
        yield Finding(
            "vanishing gradient",
            one.name,
            f"less than {GONE:g} of the gradient is left after {one.reach} steps back in time, of {steps} "
            f"(a limit of {NEAR:.0%} of them); what came before cannot be learnt.",
            "an LSTM or a GRU instead of an RNN; init=chrono or forget_bias=1 (LSTM); shorter sequences; or attention "
            "or pooling over the steps.",
        )


def growing(one: LayerMeasurement) -> Iterable[Finding]:
    """A gradient that grows on its way back in time."""
    if not one.left < EXPLODED:
        yield Finding(
            "exploding gradient",
            one.name,
            f"after {one.followed} steps back in time the gradient is {one.left:.2g} times as large "
            f"(a limit of {EXPLODED:g}).",
            "a lower learning rate (a tenth), init=orthogonal, an LSTM or a GRU instead of an RNN, and clip=1.",
        )


def jumped(step: int, norm: float, usual: float) -> Finding:
    """The norm of the whole gradient is not finite, or far above those before."""
    what = f"{norm / usual:,.0f} times its median of {usual:.2g}" if isfinite(norm) else "not finite"
    return Finding(
        "exploding gradient",
        _NETWORK,
        f"in step {step} the norm of the gradient, before clipping, was {norm:.3g}: {what} "
        f"(a limit of {EXPLODED:g} times).",
        "a lower learning rate (a tenth), clip=1, and a look at the data for extreme values.",
        at_once=True,
    )


def not_finite(step: int, loss: float) -> Finding:
    """The loss is infinite or no number."""
    return _bad_loss(f"in step {step} it was {loss}.")


def risen(first: float, lowest: float) -> Finding:
    """The loss has been far above the first one for some steps."""
    return _bad_loss(
        f"it began at {first:.4g} and was never below {lowest:.4g} in {RECENT} steps (a limit of {RISEN:g} times)."
    )


def _bad_loss(found: str) -> Finding:
    advice = "a lower learning rate (a tenth), and a look at the data for extreme values."
    return Finding("exploding loss", _NETWORK, found, advice, at_once=True)


def leaping(where: str, change: float) -> Iterable[Finding]:
    """One step of training changed a layer's weights by a large share of their size."""
    if not change < _LARGE_STEP:
        yield Finding(
            "too large steps",
            where,
            f"one step changed the weights by {change:.0%} of their size (a limit of {_LARGE_STEP:.0%}).",
            "a lower learning rate (a tenth or a hundredth).",
            at_once=True,
        )


def lost(where: str, words: str) -> Finding:
    """The state that a batch begins with is not the one that the batch before ended with."""
    return Finding(
        "lost state",
        where,
        f"the state is said to be carried from batch to batch, but {words}.",
        "give the layer the (detached) state that it returned for the batch before, with the sequences in the same "
        "order.",
        at_once=True,
    )


_CAUSES = {
    "switched off": ("requires_grad is False", "requires_grad_(True), unless they are meant to stay"),
    "no gradient": ("no gradient reaches them", "a look at where the graph is cut (detach, no_grad, unused)"),
    "not stepped": (
        "they have a gradient, but no step changes them",
        "giving them to the optimizer, and a learning rate above 0",
    ),
}
"""Why weights do not change: in words, and what to try."""


def frozen(where: str, names: Mapping[str, Sequence[str]]) -> Finding:
    """Weights that training does not change: their names by cause, of :data:`_CAUSES`."""
    told = "; ".join(f"{', '.join(own)} never changed: {_CAUSES[cause][0]}" for cause, own in names.items())
    return Finding("frozen weights", where, f"{told}.", "; ".join(_CAUSES[cause][1] for cause in names) + ".")
