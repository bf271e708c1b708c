"""Measure the loss with one gate, unit or layer ablated, without retraining.

A gate is ablated through its own weights: zero rows, and a bias that holds it at a value. A unit or
a layer is ablated by setting its output to zero. Greff et al. (2017) and Jozefowicz et al. (2015)
retrain without the gate; here the network has learned to rely on it, so the change is what this
network loses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.insight.analysis.layer_capture import (
    LayerCall,
    LayerDirection,
    cell_of,
    eval_mode,
    single_layer,
    split_directions,
)
from holdfast.insight.analysis.request import Loss
from holdfast.insight.analysis.results import AblatedComponent, Ablation

UNITS = 24
"""Number of units to ablate, those with the strongest output first."""
TINY = 1e-6
_SATURATED = 30.0
"""A pre-activation at which a gate is open, and the negative one at which it is shut."""


def ablate(model: nn.Module, calls: list[LayerCall], loss: Loss) -> Ablation:
    """Ablate every gate (at its mean, and open or shut), every layer, and the strongest units.

    Args:
        model: the network.
        calls: one call of each recurrent module, from which the gates' means are computed.
        loss: the loss to measure.
    """
    cuts: list[AblatedComponent] = []
    with eval_mode(model), torch.no_grad():
        whole = loss.of()
        every = [(call.module, row, one) for call in calls for row, one in enumerate(split_directions(call))]
        places = {layer: place for layer, place in enumerate(every) if has_own_weights(place[0])}
        for layer, (module, row, one) in places.items():
            for name, value in _gates(module, one).items():
                with hold_gate(module, row, *value):
                    cuts.append(AblatedComponent("gate", layer, name, loss.of()))
            with silence(module, row, slice(None)):
                cuts.append(AblatedComponent("layer", layer, one.name, loss.of()))
        for layer, unit in _strongest(places):
            module, row, _ = places[layer]
            with silence(module, row, slice(unit, unit + 1)):
                cuts.append(AblatedComponent("unit", layer, f"unit {unit}", loss.of()))
    order = {"gate": 0, "layer": 1, "unit": 2}
    return Ablation(whole, loss.name, sorted(cuts, key=lambda cut: (order[cut.kind], -cut.loss)), loss.on)


# -- gates -----------------------------------------------------------------------------------------


def _gates(module: Any, one: LayerDirection) -> dict[str, tuple[str, Tensor]]:
    """Return description -> gate and the pre-activation [H] that holds it; empty without biases."""
    if not module.bias:
        return {}
    active = torch.arange(one.x.size(0))[:, None] < one.lengths
    found: dict[str, tuple[str, Tensor]] = {}
    activations = one.activations()
    for gate in one.layer.cell.gates:
        if gate not in activations:
            continue
        mean = activations[gate][active].mean(0)
        if gate == "candidate":
            found["candidate held at its mean"] = gate, torch.atanh(mean.clamp(TINY - 1, 1 - TINY))
            continue
        found[f"{gate} gate held at its mean"] = gate, torch.logit(mean.clamp(TINY, 1 - TINY))
        extreme, value = ("shut", -_SATURATED) if _replaces(one, gate) else ("open", _SATURATED)
        found[f"{gate} gate always {extreme}"] = gate, torch.full_like(mean, value)
    return found


def _replaces(one: LayerDirection, gate: str) -> bool:
    """Whether an open gate blocks input: a GRU's update gate, an LSTM's coupled forget gate."""
    return gate == "update" or (gate == "forget" and "input" not in one.layer.cell.gates)


def has_own_weights(module: Any) -> bool:
    """Whether a layer's weights are its own parameters, not computed from others (weight norm)."""
    names = [name for name, _ in single_layer(module, 0, False).named_parameters() if name.endswith("_l0")]
    return all(name in module._parameters for name in names)


@contextmanager
def hold_gate(module: Any, row: int, gate: str, value: Tensor) -> Iterator[None]:
    """Hold a gate of one layer and direction at pre-activations [H], then restore the weights."""
    suffix = _suffix(module, row)
    cell, hidden = cell_of(module), module.hidden_size
    first = cell.gates.index(gate) * hidden
    rows = slice(first, first + hidden)
    with ExitStack() as back:
        for name in ("weight_ih", "weight_hh", "bias_hh"):
            back.enter_context(_changed(getattr(module, name + suffix), rows, 0.0))
        back.enter_context(_changed(getattr(module, "bias_ih" + suffix), rows, value))
        if cell.peepholes:  # the diagonal weights of all gates of the layer
            back.enter_context(_changed(getattr(module, "weight_ch" + suffix), slice(None), 0.0))
        yield


@contextmanager
def _changed(parameter: Tensor, where: Any, value: Any) -> Iterator[None]:
    before = parameter.data.clone()
    parameter.data[where] = value if isinstance(value, float) else value.to(parameter)
    try:
        yield
    finally:
        parameter.data.copy_(before)


def _suffix(module: Any, row: int) -> str:
    layer, direction = divmod(row, 2 if module.bidirectional else 1)
    return f"_l{layer}" + ("_reverse" if direction else "")


# -- units and layers ------------------------------------------------------------------------------


@contextmanager
def silence(module: Any, row: int, units: slice) -> Iterator[None]:
    """Set the output of some units to 0, for their layer's next step and for its readers."""
    directions = 2 if module.bidirectional else 1
    layer, direction = divmod(row, directions)
    width = module.proj_size or module.hidden_size
    columns = slice(direction * width + (units.start or 0), direction * width + (units.stop or width))
    with ExitStack() as back:
        own = getattr(module, "weight_hh" + _suffix(module, row))
        back.enter_context(_changed(own, (slice(None), units), 0.0))
        if layer + 1 < module.num_layers:
            for following in range(directions):
                name = "weight_ih" + _suffix(module, (layer + 1) * directions + following)
                back.enter_context(_changed(getattr(module, name), (slice(None), columns), 0.0))
        else:
            back.enter_context(module.register_forward_hook(_zeros(columns, row, units)))
        yield


def _zeros(columns: slice, row: int, units: slice) -> Callable[..., Any]:
    def zero(module: object, _given: object, output: Any) -> object:
        y, state = output
        y = y._replace(data=_blank(y.data, columns)) if hasattr(y, "batch_sizes") else _blank(y, columns)
        h = (state if isinstance(state, Tensor) else state[0]).clone()
        h[row, ..., units] = 0.0
        return y, h if isinstance(state, Tensor) else (h, *state[1:])

    return zero


def _blank(y: Tensor, columns: slice) -> Tensor:
    y = y.clone()
    y[..., columns] = 0.0
    return y


def _strongest(places: Mapping[int, tuple[object, int, LayerDirection]]) -> list[tuple[int, int]]:
    """Return (layer, unit) of the units with the largest std of the output times outgoing norm."""
    found = []
    for layer, (_, _, one) in places.items():
        hidden = one.activations()["hidden"]
        active = torch.arange(hidden.size(0))[:, None] < one.lengths
        weigh = hidden[active].std(0, correction=0) * one.layer.get_parameter("weight_hh_l0").norm(dim=0)
        found += [(float(value), layer, unit) for unit, value in enumerate(weigh)]
    return [(layer, unit) for _, layer, unit in sorted(found, reverse=True)[:UNITS]]
