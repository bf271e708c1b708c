"""Figures of a recurrent layer in one step of its training, by which the watcher judges it.

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

LOOKED_AT = 8
"""Sequences of a batch whose gates and units are looked at."""
NEAR = 0.05
"""Share of a sequence's steps within which a gradient that has vanished is gone."""
_LEAST_FOLLOWED = 20
"""Steps that a gradient is followed back in any case, where there are as many."""
GONE = 1e-3
"""Share of a gradient below which it has vanished."""


@dataclass(frozen=True)
class GateMeasurement:
    """What a gate, or the tanh that makes a candidate or an RNN's state, does over all steps, sequences and units.

    Attributes:
        saturated: share of its values that are below 0.1 or above 0.9; of a tanh, beyond 0.9 either way.
        slope: mean of its slope, as a share of the largest: ``4 s (1 - s)`` for a sigmoid s, ``1 - n^2`` for a tanh n.
    """

    saturated: float
    slope: float


@dataclass(frozen=True)
class LayerMeasurement:
    """One layer in one direction.

    Attributes:
        name: of it.
        gated: whether its cell has a gate that can keep what it holds; an RNN has none.
        steps: T of the longest sequence.
        gates: by name; with the candidate, or with an RNN's hidden state.
        ranges: [H] largest less smallest value of each unit's output, over all steps and sequences.
        values: how many values of each unit were seen.
        followed: K steps that a gradient was followed back from the end.
        left: the share of it that is left there.
        reach: steps after which less than :data:`GONE` of it is left; K where more is.
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


def measured(call: LayerCall) -> list[LayerMeasurement]:
    """Each layer and direction of a recurrent module."""
    return [_measure(one) for one in split_directions(_some(call))] if int(call.lengths.max()) > 0 else []


def _some(call: LayerCall) -> LayerCall:
    """The first few sequences that are not empty."""
    rows = (call.lengths > 0).nonzero()[:LOOKED_AT, 0]
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
    """Of the values [N, H] of all that saturates; a relu does not."""
    gates = {name: traced[name] for name in gate_names(cell)}
    found = {name: _gate(s, LEFT, RIGHT, 4 * s * (1 - s)) for name, s in gates.items()}
    bounded = "candidate" if "candidate" in traced else "hidden" if cell == "rnn_tanh" else None
    if bounded is not None:
        found[bounded] = _gate(traced[bounded], -RIGHT, RIGHT, 1 - traced[bounded].square())
    return found


def _gate(values: Tensor, low: float, high: float, slopes: Tensor) -> GateMeasurement:
    return GateMeasurement(float(((values < low) | (values > high)).float().mean()), float(slopes.mean()))


def _end(one: LayerDirection, traced: Mapping[str, Tensor]) -> LayerDirection:
    """The last steps of the longest sequences, with the states that they begin with."""
    rows = one.lengths.argsort(descending=True, stable=True)[:SEQUENCES]
    ends = one.lengths[rows]
    steps = min(int(ends.min()), 1 + max(_LEAST_FOLLOWED, ceil(NEAR * int(ends.max()))))
    first = ends - steps
    places = first[:, None] + torch.arange(steps)
    x = one.x[places, rows[:, None]].transpose(0, 1)
    return replace(one, x=x, state=_state_before(one, traced, first, rows), lengths=ends - first)


def _state_before(
    one: LayerDirection, traced: Mapping[str, Tensor], first: Tensor, rows: Tensor
) -> tuple[Tensor, ...]:
    """[1, B, width] the state of each row before its step ``first``: a traced one, or the one that it began with."""
    names = one.layer.cell.states
    found = [traced[name][first.clamp(min=1) - 1, rows] for name in names]
    began = _beginning(one, rows)
    return tuple(torch.where(first[:, None] > 0, s, b)[None] for s, b in zip(found, began, strict=True))


def _beginning(one: LayerDirection, rows: Tensor) -> list[Tensor]:
    if one.state is not None:
        return [s[0, rows] for s in one.state]
    (problem,) = one.layer.problems(len(rows))
    return [s.detach() for s in problem.state]
