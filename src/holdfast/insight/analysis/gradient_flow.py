"""Measure how a gradient flows back through time: ``dL/dh`` against the distance from the loss.

Letters: T steps, B sequences, H units, K distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf, log
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.files import counted
from holdfast.insight.analysis.call_chains import capture_chains, first_by_module
from holdfast.insight.analysis.layer_capture import LayerDirection, split_directions
from holdfast.insight.analysis.results import GradientFlow
from holdfast.nn import layout
from holdfast.nn.cells import Recurrence, State

SEQUENCES = 4
"""Number of sequences over which gradients are averaged."""
SPAN, _MIN_SPAN = 100, 20
"""Most and least steps over which a gradient is judged."""
_VANISHED, _EXPLODED = 1e-6, 1e2
"""Shares of the gradient left after :data:`SPAN` steps below which it has vanished and above which
it has exploded. Below the first it hardly contributes to a float32 sum (resolution 1e-7) with the
gradients of nearer steps."""
_EXACT_ZERO = 1e-300
_STEADY = 0.98
"""Share kept in one step from which a gradient is said to last."""


def gradient_flows(
    model: nn.Module, run: Callable[[], Any], *, layers: Sequence[str] = (), seed: int = 0
) -> list[GradientFlow]:
    """Return the norm of a final loss's gradient with respect to the state at each earlier step.

    For each layer and direction, a gradient of random direction starts at the last output (apart
    from its direction, the loss does not matter) and goes back through the layer's own recurrence,
    ``dL/dh_{t} = (dh_{t+1}/dh_t)^T dL/dh_{t+1}``, in float64 by the reference cell, so that nothing
    underflows.

    Args:
        model: the network, with recurrent layers of Holdfast or torch.nn.
        run: runs the model on a batch; called once.
        layers: name prefixes of the layers to measure, each in its first call; all when empty.
        seed: seed of the directions.

    Raises:
        UserError: the model has no recurrent layer, or none ran.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layer = torch.nn.RNN(3, 16)
        >>> (flow,) = gradient_flows(layer, lambda: layer(torch.randn(200, 2, 3)))
        >>> flow.kind
        'vanishing'
    """
    first = first_by_module(capture_chains(model, run, layers))
    directions = [one for call in first.values() for one in split_directions(call)]
    return [judge_flow(one.name, *gradient_norms(one, seed)) for one in directions]


def gradient_norms(one: LayerDirection, seed: int = 0) -> tuple[Array, Array]:
    """Return relative norms [K] of the gradient by h, and by h and the cell state together.

    Each is the root mean square over the sequences, with distances from each sequence's last step.
    """
    some = slice(0, SEQUENCES)
    lengths = one.lengths[some]
    steps = int(lengths.max())
    layer = one.layer.double()
    state = None if one.state is None else tuple(s[:, some].double() for s in one.state)
    states = _states(layer, one.x[:steps, some].double(), state)
    last = torch.stack([states[int(n) - 1][0][row] for row, n in enumerate(lengths)])
    random = torch.Generator().manual_seed(seed)
    w = torch.randn(last.shape, generator=random, dtype=torch.float64)
    every = [s for at in states for s in at]
    grads = torch.autograd.grad(last, every, w, allow_unused=True)
    layer.float()
    width = len(states[0])
    by_state = [
        torch.stack([_squared(g, s) for g, s in zip(grads[k::width], every[k::width], strict=True)])
        for k in range(width)
    ]
    whole = torch.stack(by_state).sum(0)
    return _shares(by_state[0], lengths), _shares(whole, lengths)


def _states(layer: Any, x: Tensor, state: State | None) -> list[State]:
    """Return the state [B, H] after each step, each a node of the graph."""
    start = layer._state(layout.SequenceBatch(x, state, None, batched=True, batch_first=False), 0)
    weights = layer.weights("_l0")
    projected, recur = weights.project(x), Recurrence(layer.cell, weights)
    rates = layer.options.zoneout_rates(layer.cell)  # in evaluation: the share of the old state that stays
    now = tuple(s.clone().requires_grad_() for s in start)
    found = []
    with torch.enable_grad():
        for at in projected:
            new, _ = layer.cell.step(at, now, recur)
            mixed = (k * o + (1 - k) * n for k, o, n in zip(rates, now, new, strict=True))
            now = tuple(s.clone() for s in mixed)  # separate nodes: an LSTM's h is computed from its c
            found.append(now)
    return found


def _squared(grad: Tensor | None, state: Tensor) -> Tensor:
    """Return the squared norm [B]; 0 if the loss does not depend on the state."""
    return state.new_zeros(len(state)) if grad is None else grad.square().sum(-1)


def _shares(squared: Tensor, lengths: Tensor) -> Array:
    """Convert [T, B] by step to [K] by distance, 1 at distance 0."""
    found = []
    for distance in range(int(lengths.max())):
        rows = torch.arange(len(lengths))[lengths > distance]
        found.append(squared[lengths[rows] - 1 - distance, rows].mean().sqrt().item())
    values = np.array(found)
    return values / values[0] if values[0] > 0 else values


def judge_flow(name: str, hidden: Array, state: Array) -> GradientFlow:
    """Classify the flow, and describe it in a sentence.

    Example:
        >>> norms = 0.5 ** np.arange(100.0)
        >>> judge_flow("layer 1", norms, norms).sentence
        'layer 1: the gradient vanishes: it halves at every step; after 99 steps, 1.6e-30 of it is left.'
    """
    span = min(len(state) - 1, SPAN)
    if span < 1:
        sentence = f"{name}: the sequences have 1 step, so no gradient flows back in time."
        return GradientFlow(name, hidden, state, 1.0, "short", sentence)
    left = max(float(state[span]), _EXACT_ZERO) if np.isfinite(state[span]) else inf
    factor = exp(log(left) / span) if left < inf else inf
    kind = _kind(left, span)
    after = f"after {counted(span, 'step')}, {_share(left)} of it is left"
    return GradientFlow(name, hidden, state, factor, kind, f"{name}: {_sentence(kind, factor)}; {after}.")


def _kind(left: float, span: int) -> str:
    if left > _EXPLODED ** (max(span, _MIN_SPAN) / SPAN):
        return "exploding"
    if span < _MIN_SPAN:
        return "short"
    return "vanishing" if left < _VANISHED ** (span / SPAN) else "healthy"


def _sentence(kind: str, factor: float) -> str:
    """Describe a gradient that changes by a factor at each step."""
    if factor == inf:
        return "the gradient explodes: it is not finite"
    if kind == "exploding":
        return f"the gradient explodes: it grows by {factor - 1:.0%} per step"
    halving = "it does not shrink" if factor >= 1 else f"it halves {_interval(log(0.5) / log(factor))}"
    if kind == "vanishing":
        return f"the gradient vanishes: {halving}"
    if kind == "short":
        return f"the sequences are too short to judge the gradient: {halving}"
    if factor < _STEADY:
        return f"the gradient fades but does not vanish: {halving}"
    return f"the gradient lasts: it changes by {factor - 1:+.1%} per step"


def _interval(steps: float) -> str:
    shown = f"{steps:.2g}"
    return "at every step" if shown == "1" else f"every {shown} steps"


def _share(left: float) -> str:
    return "nothing" if left <= _EXACT_ZERO else f"{left:.2g}" if left < 0.01 or left >= 10 else f"{left:.2f}"
