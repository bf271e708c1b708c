"""torch.nn: layers (also on packed and padded batches), single steps, bfloat16 and int8."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from holdfast.bench.cases import CELLS, Case, Refused
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner, differentiated, inference, low_precision, training


def _packed(case: Case) -> Runner:
    """Run pack_padded_sequence, the layer, and pad_packed_sequence."""
    layer = case.torch_layer()

    def loss(x: Tensor) -> Tensor:
        sequences = pack_padded_sequence(x, case.lengths, enforce_sorted=False)
        y, _ = pad_packed_sequence(layer(sequences)[0], total_length=case.shape.steps)
        return y.sum()

    return differentiated(layer, case.x, loss)


def _step(case: Case) -> Runner:
    """Run torch.nn's layer on one step at a time, with its state fed back."""
    layer, x = case.torch_layer().eval(), case.x
    state: Tensor | tuple[Tensor, Tensor] | None = None

    def call() -> Tensor:
        nonlocal state
        with torch.inference_mode():
            y, state = layer(x, state)
        return y[0]  # type: ignore[no-any-return]

    return Runner(call)


def _cell_step(case: Case) -> Runner:
    """Run torch.nn's cell, one step at a time."""
    cell, x = CELLS[case.cell].step(case.shape.inputs, case.shape.hidden), case.x[0]
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in case.layer.state_dict().items()})
    state: Tensor | tuple[Tensor, Tensor] | None = None

    def call() -> Tensor:
        nonlocal state
        with torch.inference_mode():
            state = cell(x, state)
        h: Tensor = state[0] if isinstance(state, tuple) else state
        return h

    return Runner(call)


def _int8(case: Case) -> Runner:
    """Run torch.ao's dynamic quantization."""
    if case.cell == "rnn":
        raise Refused("does not quantize RNNs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favor of torchao
        quantize: Any = torch.ao.quantization.quantize_dynamic
        module = quantize(nn.ModuleList([case.torch_layer()]), {CELLS[case.cell].torch}, torch.qint8)
    return inference(module[0], case.x)


_TORCH = {"torch": "torch"}
PEERS = {
    "torch": Peer(
        {
            "inference": lambda case: inference(case.torch_layer(), case.x),
            "training": lambda case: training(case.torch_layer(), case.x),
            "streaming": _step,
            "bf16": lambda case: low_precision(case, case.torch_layer()),
            "int8": _int8,
        },
        _TORCH,
        best_threads=True,
    ),
    "torch-packed": Peer({"ragged": _packed}, _TORCH, best_threads=True),
    "torch-padded": Peer(
        {"ragged": lambda case: training(case.torch_layer(), case.x)},
        _TORCH,
        best_threads=True,
        checked=False,
    ),
    "torch-cell": Peer({"streaming": _cell_step}, _TORCH, best_threads=True),
}
