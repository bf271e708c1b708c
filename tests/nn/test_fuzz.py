"""Random layers against the reference kernel in float64: outputs, states, traces and all gradients.

Scratch memory is filled with NaN. ``HOLDFAST_FUZZ=2000 pytest tests/nn/test_fuzz.py`` runs as
many layers; a failure names the number and the layer.
"""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

import holdfast
from holdfast.nn.kernels import native
from holdfast.nn.recurrent import Recurrent

pytestmark = pytest.mark.skipif(native.available() is not None, reason=f"no core: {native.available()}")

COUNT = int(os.environ.get("HOLDFAST_FUZZ", "60"))
TOLERANCE = 5e-5
"""Relative to the largest value of a tensor."""


def draw_layer(random: Random) -> tuple[type[Recurrent], dict[str, Any]]:
    """A layer's class and arguments."""
    layer = random.choice([holdfast.RNN, holdfast.GRU, holdfast.LSTM, holdfast.LSTM])
    sizes = (random.randint(1, 24), random.choice([random.randint(1, 48), random.randint(100, 150)]))
    arguments: dict[str, Any] = {"input_size": sizes[0], "hidden_size": sizes[1]}
    arguments |= {"num_layers": random.choice([1, 1, 1, 2, 3]), "bias": random.random() < 0.8}
    arguments |= {"batch_first": random.random() < 0.5, "bidirectional": random.random() < 0.3}
    switches = {
        "layer_norm": True,
        "recurrent_dropout": 0.3,
        "zoneout": 0.2,
        "weight_drop": 0.3,
        "learn_initial_state": True,
        "recompute": True,
        **({"nonlinearity": "relu"} if layer is holdfast.RNN else {}),
        **({"reset_after": False} if layer is holdfast.GRU else {}),
    }
    if layer is holdfast.LSTM:
        switches |= {"peephole": True, "coupled": True, "zoneout": (0.3, 0.1)}
        if sizes[1] > 1 and random.random() < 0.3:
            arguments["proj_size"] = random.randint(1, sizes[1] - 1)
    arguments |= {name: value for name, value in switches.items() if random.random() < 0.25}
    if (
        "layer_norm" in arguments
    ):  # the deviation of a few values may be almost zero, which magnifies any rounding
        arguments["hidden_size"] += 16
    if arguments["num_layers"] > 1:
        arguments["dropout"] = random.choice([0.0, 0.4])
    return layer, arguments


def draw_call(random: Random, layer: Recurrent) -> dict[str, Any]:
    """An input, its lengths and its state, in float64 for the reference."""
    steps, batch = random.randint(1, 20), random.choice([1, random.randint(2, 12), 40])
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    lengths = (
        torch.tensor([random.randint(0, steps) for _ in range(batch)]) if random.random() < 0.5 else None
    )
    rows = layer.num_layers * layer.num_directions
    states = tuple(torch.randn(rows, batch, width).double() for width in layer._widths)
    hx = states if len(states) == 2 else states[0]
    return {
        "x": torch.randn(*shape, layer.input_size).double(),
        "hx": hx if random.random() < 0.5 else None,
        "lengths": lengths,
    }


def tensors(result: Any) -> list[Tensor]:
    """Flatten a nested result to a list of tensors."""
    if isinstance(result, Tensor):
        return [result]
    parts = result.values() if isinstance(result, dict) else result
    return [tensor for part in parts for tensor in tensors(part)]


def run(
    layer: Recurrent, call: dict[str, Any], trace: bool, dtype: torch.dtype, seed: int, kernel: str
) -> dict[str, Tensor]:
    """Return all outputs, and the gradients of their weighted sum with respect to all inputs."""
    layer = copy.deepcopy(layer).to(dtype)
    layer.options = replace(layer.options, kernel=kernel)
    x, given = call["x"].detach().to(dtype, copy=True).requires_grad_(), call["hx"]
    states = [
        s.detach().to(dtype, copy=True).requires_grad_() for s in tensors([] if given is None else given)
    ]
    hx = None if given is None else tuple(states) if len(states) == 2 else states[0]
    torch.manual_seed(seed)
    run_ = layer.trace if trace else layer
    outputs = tensors(run_(x, hx, lengths=call["lengths"]))
    weights = [torch.linspace(-1, 1, o.numel(), dtype=dtype).view_as(o) for o in outputs]
    torch.stack([(o * w).sum() for o, w in zip(outputs, weights, strict=True)]).sum().backward()
    found = {f"output {i}": o.detach() for i, o in enumerate(outputs)} | {"gradient of x": x.grad}
    found |= {f"gradient of state {i}": s.grad for i, s in enumerate(states)}
    found |= {f"gradient of {name}": p.grad for name, p in layer.named_parameters()}
    return {name: torch.zeros(()) if value is None else value for name, value in found.items()}


def error(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference."""
    return (found.double() - exact).abs().max().item() if exact.numel() else 0.0


def bound(exact: Tensor) -> float:
    """Return the largest allowed difference."""
    return TOLERANCE * max(exact.abs().max().item() if exact.numel() else 0.0, 1e-2)


@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("number", range(COUNT))
def test_a_random_layer_equals_the_reference(number):
    random = Random(number)
    torch.manual_seed(number)
    make, arguments = draw_layer(random)
    layer = make(**arguments)
    for name, parameter in layer.named_parameters():
        if "norm" in name or "initial" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    call, trace = draw_call(random, layer), random.random() < 0.3
    set_, threads = random.choice(native.isas()), random.randint(1, 4)
    sampled = (
        f"{make.__name__} {arguments} x {tuple(call['x'].shape)} trace {trace} {set_}, {threads} threads"
    )
    exact = run(layer, call, trace, torch.float64, number, "reference")
    native.binding._core.poison(True)
    native.binding._core.select(set_)
    native.binding._core.eager(number % 2 == 1)  # threads share even a small layer
    torch.set_num_threads(threads)
    ours = run(layer, call, trace, torch.float32, number, "native")
    beyond = {
        name for name, value in exact.items() if not error(ours[name], value) <= bound(value)
    }  # NaN must fail
    if beyond:  # a gradient that float32 itself loses, like that of a scale before layer norm
        plain = run(layer, call, trace, torch.float32, number, "reference")
        for name in beyond:
            limit = max(bound(exact[name]), 2 * error(plain[name], exact[name]))
            found = error(ours[name], exact[name])
            assert found <= limit, f"{name} differs by {found:.2g}, more than {limit:.2g}: {sampled}"
