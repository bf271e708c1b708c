"""Measurements of a recurrent layer in one training step, which the training monitor judges.

Letters: T steps, B sequences, H units, K steps back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.insight.analysis.gates import KEEPERS, gate_names
from holdfast.insight.analysis.gradient_flow import SEQUENCES, gradient_norms
from holdfast.insight.analysis.layer_capture import LayerCall, LayerDirection, split_directions
from holdfast.insight.analysis.results import LEFT, RIGHT

_SAMPLED = 8
"""Number of sequences of a batch whose gates and units are measured."""
NEAR = 0.05
"""Share of a sequence's steps within which the gradient must be gone to count as vanishing."""
_MIN_FOLLOWED = 20
"""Minimum number of steps to follow a gradient back, if the sequence has as many."""
GONE = 1e-3
"""Share of a gradient below which it is gone."""


@dataclass(frozen=True)
class GateMeasurement:
    """Saturation of a gate, or of the tanh of a candidate or an RNN's state, over all its values.

    Attributes:
        saturated: share of values below 0.1 or above 0.9; for a tanh, beyond 0.9 either way.
        slope: mean slope as a share of the largest: ``4 s (1 - s)`` for a sigmoid s, ``1 - n^2``
            for a tanh n.
    """

    saturated: float
    slope: float


@dataclass(frozen=True)
class LayerMeasurement:
    """Measurements of one layer in one direction.

    Attributes:
        name: name of the layer.
        gated: whether its cell has a gate that can keep the state; an RNN has none.
        steps: T of the longest sequence.
        gates: name -> measurement, including the candidate or an RNN's hidden state.
        ranges: [H] range of each unit's output over all steps and sequences.
        values: number of values measured for each unit.
        followed: number of steps K that a gradient was followed back from the end.
        left: the share of the gradient left there.
        reach: steps after which less than :data:`GONE` of it is left; K if more is left.
    """

    name: str
    gated: bool
    steps: int
    gates: Mapping[str, GateMeasurement]
    ranges: Array
    values: int
    followed: int
    left: float
    reach: int


def measure_layers(call: LayerCall) -> list[LayerMeasurement]:
    """Measure each layer and direction of a recurrent module."""
    return [_measure(one) for one in split_directions(_some(call))] if int(call.lengths.max()) > 0 else []


def _some(call: LayerCall) -> LayerCall:
    """Select the first few non-empty sequences."""
    rows = (call.lengths > 0).nonzero()[:_SAMPLED, 0]
    lengths = call.lengths[rows]
    state = None if call.state is None else tuple(s[:, rows] for s in call.state)
    return replace(call, x=call.x[: int(lengths.max()), rows], state=state, lengths=lengths)


def _measure(one: LayerDirection) -> LayerMeasurement:
    with torch.no_grad():
        traced = {name: v[0, 0] for name, v in one.layer.trace(one.x, one.state, one.lengths).items()}
    there = torch.arange(len(one.x))[:, None] < one.lengths
    hidden = traced["hidden"][there]
    norms = gradient_norms(_end(one, traced))[1]
    fallen = np.flatnonzero(norms < GONE)
    return LayerMeasurement(
        one.name,
        any(name in traced for name in KEEPERS),
        len(one.x),
        _gates(one.layer.cell.name, {name: values[there] for name, values in traced.items()}),
        (hidden.amax(0) - hidden.amin(0)).numpy(),
        len(hidden),
        len(norms) - 1,
        float(norms[-1]),
        int(fallen[0]) if len(fallen) else len(norms) - 1,
    )


def _gates(cell: str, traced: Mapping[str, Tensor]) -> dict[str, GateMeasurement]:
    """Measure the values [N, H] of all gates and tanh outputs; a relu does not saturate."""
    gates = {name: traced[name] for name in gate_names(cell)}
    found = {name: _gate(s, LEFT, RIGHT, 4 * s * (1 - s)) for name, s in gates.items()}
    bounded = "candidate" if "candidate" in traced else "hidden" if cell == "rnn_tanh" else None
    if bounded is not None:
        found[bounded] = _gate(traced[bounded], -RIGHT, RIGHT, 1 - traced[bounded].square())
    return found


def _gate(values: Tensor, low: float, high: float, slopes: Tensor) -> GateMeasurement:
    return GateMeasurement(float(((values < low) | (values > high)).float().mean()), float(slopes.mean()))


def _end(one: LayerDirection, traced: Mapping[str, Tensor]) -> LayerDirection:
    """Select the last steps of the longest sequences, with the states before them."""
    rows = one.lengths.argsort(descending=True, stable=True)[:SEQUENCES]
    ends = one.lengths[rows]
    steps = min(int(ends.min()), 1 + max(_MIN_FOLLOWED, ceil(NEAR * int(ends.max()))))
    first = ends - steps
    places = first[:, None] + torch.arange(steps)
    x = one.x[places, rows[:, None]].transpose(0, 1)
    return replace(one, x=x, state=_state_before(one, traced, first, rows), lengths=ends - first)


def _state_before(
    one: LayerDirection, traced: Mapping[str, Tensor], first: Tensor, rows: Tensor
) -> tuple[Tensor, ...]:
    """Return the state [1, B, width] of each row before its step ``first``."""
    names = one.layer.cell.states
    found = [traced[name][first.clamp(min=1) - 1, rows] for name in names]
    began = _initial_state(one, rows)
    return tuple(torch.where(first[:, None] > 0, s, b)[None] for s, b in zip(found, began, strict=True))


def _initial_state(one: LayerDirection, rows: Tensor) -> list[Tensor]:
    if one.state is not None:
        return [s[0, rows] for s in one.state]
    (problem,) = one.layer.problems(len(rows))
    return [s.detach() for s in problem.state]
