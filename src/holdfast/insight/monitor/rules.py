"""Rules by which the training monitor finds problems, and the warnings it reports.

The limits separate healthy training runs of every task from runs with deliberate faults;
``docs/monitor.md`` has the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from holdfast.insight.monitor.measurements import GONE, NEAR, LayerMeasurement

_STUCK = 0.01
"""Mean slope of a gate, as a share of the largest, below which the gate can no longer learn."""
_DEAD = 1e-4
"""Share of the median unit's range below which a unit is constant."""
_FEW_VALUES = 32
"""Minimum number of values of a unit to call it constant."""
_LONG = 50
"""Minimum number of time steps to report a vanishing gradient."""
_WARM, _WARM_GATES = 40, 200
"""Training steps before a vanishing gradient is reported; gates take longer to learn to keep."""
_LENGTHENED = 1.1
"""Growth of the gradient's reach since the first check with which gates learn to keep."""
EXPLODED = 100.0
"""Growth of a gradient along the time steps, or of its norm from one training step to the next."""
_LARGE_STEP = 0.3
"""Size of a weight update, relative to the weights, from which it is too large."""
RISEN = 3.0
"""The loss has risen if it exceeds this multiple of the first loss for :data:`RECENT` steps."""
RECENT = 10
_NETWORK = "network"
"""Place of a finding that belongs to no single layer."""


@dataclass(frozen=True)
class Finding:
    """A problem found in one training step.

    Attributes:
        kind: such as ``"dead units"``.
        where: the layer, or ``"network"``.
        found: the measurement and the limit.
        advice: what to try.
        at_once: report at the first check that finds it; otherwise only when it persists.
    """

    kind: str
    where: str
    found: str
    advice: str
    at_once: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.found} Try: {self.advice}"


def layer_findings(one: LayerMeasurement, first_reach: int, number: int) -> Iterable[Finding]:
    """Find every problem of a layer in one training step.

    Args:
        one: the layer in the training step ``number``.
        first_reach: its reach at the first check.
        number: number of the training step.
    """
    yield from _saturated_gates(one)
    yield from _dead_units(one)
    yield from _exploding_gradient(one)
    yield from _vanishing_gradient(one, first_reach, number)


def _saturated_gates(one: LayerMeasurement) -> Iterable[Finding]:
    """Find gates that cannot move because hardly any of their slope is left."""
    stuck = {name: gate for name, gate in one.gates.items() if gate.slope < _STUCK}
    if stuck:
        gates = "; ".join(
            f"{name}: {g.saturated:.0%} of values saturated, {g.slope:.1%} of the slope left"
            for name, g in stuck.items()
        )
        yield Finding(
            "saturated gates",
            one.name,
            f"{gates} (limit: {_STUCK:.0%} of the slope). Gate values below 0.1 or above 0.9 are saturated, and tanh "
            "values beyond 0.9 either way.",
            "a learning rate 10 times lower, inputs scaled to about -1 to 1, or layer_norm.",
        )


def _dead_units(one: LayerMeasurement) -> Iterable[Finding]:
    """Find units whose output is the same at every step of every sequence."""
    if one.values < _FEW_VALUES:
        return
    moving = one.ranges[one.ranges > 0]
    constant = int((one.ranges <= _DEAD * (float(np.median(moving)) if len(moving) else 0.0)).sum())
    if constant:
        yield Finding(
            "dead units",
            one.name,
            f"{constant} of {len(one.ranges)} units gave a constant output over {one.values:,} time steps (range below "
            f"{_DEAD:.2%} of the median unit's).",
            "a learning rate 10 times lower, tanh instead of relu, or fewer units if it persists.",
        )


def _vanishing_gradient(one: LayerMeasurement, first_reach: int, number: int) -> Iterable[Finding]:
    """Find a gradient that vanishes early and whose reach training does not extend."""
    steps = one.steps
    warm = number >= (_WARM_GATES if one.gated else _WARM)
    grows = one.gated and one.reach > _LENGTHENED * first_reach
    if steps >= _LONG and warm and one.reach < NEAR * steps and not grows:
        yield Finding(
            "vanishing gradient",
            one.name,
            f"less than {GONE:.1%} of the gradient is left {one.reach} time steps back, in sequences of {steps} "
            f"(limit: {NEAR:.0%} of the steps). Earlier inputs cannot be learned.",
            "an LSTM or a GRU instead of an RNN; init=chrono or forget_bias=1 (LSTM); shorter sequences; or attention "
            "or pooling over the steps.",
        )


def _exploding_gradient(one: LayerMeasurement) -> Iterable[Finding]:
    """Find a gradient that grows on its way back in time."""
    if not one.left < EXPLODED:
        yield Finding(
            "exploding gradient",
            one.name,
            f"{one.followed} time steps back, the gradient is {one.left:.2g} times as large (limit: {EXPLODED:g} "
            "times).",
            "a learning rate 10 times lower, init=orthogonal, an LSTM or a GRU instead of an RNN, and clip=1.",
        )


def gradient_spike(step: int, norm: float, usual: float) -> Finding:
    """Report a gradient norm that is not finite or far above the previous ones."""
    what = f"{norm / usual:,.0f} times its median of {usual:.2g}" if isfinite(norm) else "not finite"
    return Finding(
        "exploding gradient",
        _NETWORK,
        f"at step {step}, the gradient norm before clipping was {norm:.3g}: {what} (limit: {EXPLODED:g} times).",
        "a learning rate 10 times lower, clip=1, and a check of the data for extreme values.",
        at_once=True,
    )


def non_finite_loss(step: int, loss: float) -> Finding:
    """Report a loss that is infinite or not a number."""
    return _bad_loss(f"at step {step}, the loss was {loss}.")


def risen_loss(first: float, lowest: float) -> Finding:
    """Report a loss far above the first one."""
    return _bad_loss(
        f"the loss started at {first:.3g} and has been at least {lowest:.3g} for {RECENT} steps (limit: "
        f"{RISEN:g} times the first loss)."
    )


def _bad_loss(found: str) -> Finding:
    advice = "a learning rate 10 times lower, and a check of the data for extreme values."
    return Finding("exploding loss", _NETWORK, found, advice, at_once=True)


def large_update(where: str, change: float) -> Iterable[Finding]:
    """Find an optimizer step that changed a layer's weights by a large share of their size."""
    if not change < _LARGE_STEP:
        yield Finding(
            "too large steps",
            where,
            f"one step changed the weights by {change:.0%} of their size (limit: {_LARGE_STEP:.0%}).",
            "a learning rate 10 or 100 times lower.",
            at_once=True,
        )


def state_lost(where: str, given: str, borders: int) -> Finding:
    """Report batches that do not start from the final state of the previous batch."""
    return Finding(
        "lost state",
        where,
        "the state should carry over from batch to batch, but the layer started with "
        f"{given} at {borders} batch boundaries in a row.",
        "passing the detached state that the layer returned for the previous batch, with the sequences in the same "
        "order.",
        at_once=True,
    )


_CAUSES = {
    "switched off": ("requires_grad is False", "requires_grad_(True), unless they should stay frozen"),
    "no gradient": (
        "no gradient reaches them",
        "finding where the graph is cut (detach, no_grad, an unused layer)",
    ),
    "not stepped": (
        "they have a gradient, but no step changes them",
        "adding them to the optimizer, with a learning rate above 0",
    ),
}
"""Cause of frozen weights -> its description, and what to try."""


def weights_frozen(where: str, names: Mapping[str, Sequence[str]]) -> Finding:
    """Report weights that training does not change: cause of :data:`_CAUSES` -> their names."""
    found = "; ".join(f"{', '.join(own)} never changed: {_CAUSES[cause][0]}" for cause, own in names.items())
    return Finding(
        "frozen weights", where, f"{found}.", "; ".join(_CAUSES[cause][1] for cause in names) + "."
    )
