"""Recomputation in segments gives the same outputs and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from holdfast import GRU, LSTM, RNN
from holdfast.nn.recurrent import Recurrent
from layer_outputs import tensors

INPUT, H, B, T = 3, 7, 4, 23  # 23 steps: segments of 4, the last one of 3
MADE: dict[str, tuple[type[Recurrent], dict[str, Any]]] = {
    "rnn": (RNN, {}),
    "gru": (GRU, {"zoneout": 0.3, "recurrent_dropout": 0.2}),
    "reset_before": (GRU, {"reset_after": False, "layer_norm": True}),
    "lstm": (LSTM, {"num_layers": 2, "zoneout": (0.2, 0.4)}),
    "projected": (LSTM, {"proj_size": 5, "peephole": True, "learn_initial_state": True}),
}


def run(layer: Recurrent, x: torch.Tensor, lengths: list[int] | None) -> list[torch.Tensor]:
    """Return outputs and gradients; the seed fixes the noise."""
    layer.zero_grad()
    leaf = x.clone().requires_grad_()
    torch.manual_seed(5)
    found = tensors(layer(leaf, lengths=lengths))
    sum((t * torch.linspace(-1, 1, t.numel()).view_as(t)).sum() for t in found).backward()
    assert leaf.grad is not None
    return [*(t.detach() for t in found), leaf.grad, *(p.grad for p in layer.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize("lengths", [None, [23, 4, 0, 17]], ids=["full", "ragged"])
@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("name", MADE)
def test_segments_change_nothing(name: str, kernel: str, lengths: list[int] | None) -> None:
    layer, options = MADE[name]
    whole = layer(INPUT, H, bidirectional=True, kernel=kernel, **options)
    parts = layer(INPUT, H, bidirectional=True, kernel=kernel, recompute=True, **options)
    parts.load_state_dict(whole.state_dict())
    x = torch.randn(T, B, INPUT)
    for wanted, got in zip(run(whole, x, lengths), run(parts, x, lengths), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_saved_bytes_grow_with_the_square_root_of_the_steps() -> None:
    """Count the bytes that autograd saves for backward, without those of the caller."""

    def kept(recompute: bool) -> int:
        layer, x = LSTM(1, 16, recompute=recompute), torch.randn(2500, 1, 1)
        held: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(x)
        return sum(held.values())

    assert kept(True) < kept(False) / 5
