"""Captured layers of any model: each single layer computes what the whole stack did."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import holdfast as hf
from holdfast.errors import UserError
from holdfast.insight.analysis.layer_capture import (
    LayerDirection,
    capture_calls,
    recurrent_modules,
    reverse_sequences,
    split_directions,
)

LSTM_WITH_ALL = {"layer_norm": True, "zoneout": 0.2, "learn_initial_state": True, "peephole": True}


def top(layers: list[LayerDirection], module: Any) -> torch.Tensor:
    """Return the last layer's hidden states [T, B, D*P]."""
    last = layers[-(2 if module.bidirectional else 1) :]
    return torch.cat([one.activations()["hidden"] for one in last], -1)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from([nn.RNN, nn.GRU, nn.LSTM, hf.RNN, hf.GRU, hf.LSTM]),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    bias=st.booleans(),
)
def test_the_parts_give_what_the_whole_gives(
    kind: Any, layers: int, bidirectional: bool, batch_first: bool, bias: bool
) -> None:
    torch.manual_seed(layers)
    module = kind(3, 5, layers, bidirectional=bidirectional, batch_first=batch_first, bias=bias)
    x = torch.randn(4, 7, 3)
    (call,) = capture_calls(module, lambda: module(x))
    played = split_directions(call)
    y = module(x)[0]
    assert len(played) == layers * (1 + bidirectional)
    torch.testing.assert_close(top(played, module), y.transpose(0, 1) if batch_first else y)


@pytest.mark.parametrize(
    "module",
    [
        hf.LSTM(3, 5, 2, bidirectional=True, **LSTM_WITH_ALL),
        hf.GRU(3, 5, reset_after=False),
        hf.LSTM(3, 5, coupled=True),
        hf.RNN(3, 5, nonlinearity="relu"),
        hf.LSTM(3, 6, 2, proj_size=2),
    ],
    ids=str,
)
def test_options_and_variants_are_kept(module: Any) -> None:
    module.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    x, lengths = torch.randn(7, 3, 3), torch.tensor([7, 2, 5])
    (call,) = capture_calls(module, lambda: module(x, lengths=lengths))
    layers, traced = split_directions(call), module.trace(x, lengths=lengths)
    for row, one in enumerate(layers):
        layer, direction = divmod(row, module.num_directions)
        for name, values in one.activations().items():
            torch.testing.assert_close(values, traced[name][layer, direction])


def test_packed_sequences_states_and_single_sequences_are_seen() -> None:
    torch.manual_seed(2)
    module = nn.GRU(3, 5, bidirectional=True)
    x, lengths = torch.randn(6, 3, 3), torch.tensor([3, 6, 1])
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    hx = torch.randn(2, 3, 5)
    (call,) = capture_calls(module, lambda: module(packed, hx))
    assert call.lengths.tolist() == [3, 6, 1]
    torch.testing.assert_close(
        top(split_directions(call), module), pad_packed_sequence(module(packed, hx)[0])[0]
    )
    (call,) = capture_calls(module, lambda: module(x[:, 0], hx[:, 0]))
    assert call.x.shape == (6, 1, 3)
    torch.testing.assert_close(top(split_directions(call), module)[:, 0], module(x[:, 0], hx[:, 0])[0])


def test_computed_weights_and_subclasses_are_seen() -> None:
    class Own(nn.LSTM):
        pass

    torch.manual_seed(3)
    for module in (weight_norm(nn.LSTM(3, 5), "weight_hh_l0"), Own(3, 5)):
        x = torch.randn(4, 2, 3)
        (call,) = capture_calls(module, lambda m=module, x=x: m(x))
        torch.testing.assert_close(top(split_directions(call), module), module(x)[0])


def test_the_modes_are_restored_and_dropout_is_off() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.LSTM(3, 5))
    model[0].eval()
    x = torch.randn(4, 2, 3)
    (call,) = capture_calls(model, lambda: model(x))
    assert model.training and not model[0].training and model[1].training
    torch.testing.assert_close(call.x, x)


def test_names_describe_each_layer_and_direction() -> None:
    model = nn.ModuleDict(
        {"encoder": nn.LSTM(3, 3, 2, bidirectional=True), "layers": nn.ModuleList([nn.GRU(6, 4)])}
    )

    def run() -> Any:
        return model["layers"][0](model["encoder"](torch.randn(4, 1, 3))[0])

    names = [one.name for call in capture_calls(model, run) for one in split_directions(call)]
    assert names == [
        "encoder, layer 1, forward",
        "encoder, layer 1, reverse",
        "encoder, layer 2, forward",
        "encoder, layer 2, reverse",
        "layer 1",
    ]


def test_sequences_are_reversed_within_their_lengths() -> None:
    x = torch.arange(8.0).view(4, 2, 1)
    found = reverse_sequences(x, torch.tensor([4, 2]))
    assert found[:, 0, 0].tolist() == [6, 4, 2, 0]
    assert found[:, 1, 0].tolist() == [3, 1, 5, 7]


def test_a_model_without_recurrent_layers_is_refused() -> None:
    with pytest.raises(UserError, match="must have an RNN, GRU or LSTM layer"):
        recurrent_modules(nn.Linear(2, 2))
    with pytest.raises(UserError, match="single step"):
        recurrent_modules(nn.GRUCell(2, 2))
    with pytest.raises(UserError, match="None ran"):
        capture_calls(nn.GRU(2, 2), lambda: None)
