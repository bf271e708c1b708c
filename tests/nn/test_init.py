"""Initial weights: torch.nn's, orthogonal, chrono, and the forget bias."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.nn import layers
from holdfast.nn.cells import CELLS, Cell
from holdfast.nn.init import INITIALIZERS, chrono, gate_rows
from holdfast.nn.layers import GRU, LSTM, RNN

H = 400


def rows(layer: Any, name: str, gate: str) -> Tensor:
    parameter: Tensor = layer.get_parameter(name).detach()
    return parameter[gate_rows(layer.cell, gate, layer.hidden_size)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RNN", {"nonlinearity": "relu", "num_layers": 3}),
        ("GRU", {"num_layers": 2, "bidirectional": True}),
        ("GRU", {"bias": False}),
        ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 3}),
    ],
)
def test_the_same_seed_gives_the_values_of_torch(name: str, arguments: dict[str, Any]) -> None:
    states = []
    for home in (nn, layers):
        torch.manual_seed(3)
        layer = getattr(home, name)(4, 7, **arguments)
        states.append((layer.state_dict(), torch.rand(1)))
        layer.reset_parameters()
        states.append((layer.state_dict(), torch.rand(1)))
    for (theirs, their_next), (ours, our_next) in zip(states[:2], states[2:], strict=True):
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
        assert torch.equal(our_next, their_next)  # the same number of samples, too


def test_gates_have_their_rows_in_order() -> None:
    assert gate_rows(CELLS["gru"], "candidate", 5) == slice(10, 15)
    assert gate_rows(CELLS["lstm"], "input", 5) == slice(0, 5)


@pytest.mark.parametrize("proj_size", [0, 3])
def test_orthogonal_makes_each_gates_recurrent_matrix_orthogonal(proj_size: int) -> None:
    layer = LSTM(5, 8, num_layers=2, proj_size=proj_size, init="orthogonal")
    width = proj_size or 8
    for suffix in ("_l0", "_l1"):
        for gate in layer.cell.gates:
            block = rows(layer, "weight_hh" + suffix, gate)
            torch.testing.assert_close(block.T @ block, torch.eye(width), rtol=0, atol=1e-5)
        inputs = layer.get_parameter("weight_ih" + suffix)
        bound = (6 / sum(inputs.shape)) ** 0.5  # Glorot & Bengio 2010
        assert 0.8 * bound < float(inputs.detach().abs().max()) <= bound
        assert not layer.get_parameter("bias_ih" + suffix).any()
        assert not layer.get_parameter("bias_hh" + suffix).any()


def test_chrono_spreads_an_lstms_memory_over_the_time_scale() -> None:
    """``b_f = log U(1, T_max - 1)``, ``b_i = -b_f``, so exp(b_f) is uniform (Tallec & Ollivier)."""
    layer = LSTM(3, H, init=chrono(100))
    forget, given = rows(layer, "bias_ih_l0", "forget"), rows(layer, "bias_ih_l0", "input")
    scale = forget.exp()
    assert 1 <= float(scale.min()) < 5 and 95 < float(scale.max()) <= 99
    assert abs(float(scale.mean()) - 50) < 5  # a standard error of 99 / sqrt(12 * 400) = 1.4
    assert abs(float(scale.std()) - 98 / 12**0.5) < 3
    torch.testing.assert_close(given, -forget)
    for gate in ("forget", "input"):
        assert not rows(layer, "bias_hh_l0", gate).any()


def test_chrono_initializes_everything_else_like_torch() -> None:
    layer, bound = LSTM(3, H, init=chrono(100)), H**-0.5
    for name, parameter in layer.named_parameters():
        others = (
            [parameter]
            if name.startswith("weight")
            else [rows(layer, name, g) for g in ("candidate", "output")]
        )
        for values in others:
            assert 0.9 * bound < float(values.detach().abs().max()) <= bound


def test_chrono_of_a_gru_sets_the_gate_that_keeps() -> None:
    layer = GRU(3, H, init=chrono(50), bidirectional=True)
    for end in ("_l0", "_l0_reverse"):
        scale = rows(layer, "bias_ih" + end, "update").exp()
        assert 1 <= float(scale.min()) < 3 and 47 < float(scale.max()) <= 49
        assert not rows(layer, "bias_hh" + end, "update").any()
        assert float(rows(layer, "bias_ih" + end, "reset").abs().max()) <= H**-0.5


@pytest.mark.parametrize("coupled", [False, True], ids=["plain", "coupled"])
@pytest.mark.parametrize("init", ["torch", "orthogonal"])
def test_the_forget_bias_is_split_as_value_and_zero(init: str, coupled: bool) -> None:
    layer = LSTM(3, 5, num_layers=2, bidirectional=True, forget_bias=1.5, init=init, coupled=coupled)
    for _, suffix in layer.suffixes():
        assert (rows(layer, "bias_ih" + suffix, "forget") == 1.5).all()
        assert not rows(layer, "bias_hh" + suffix, "forget").any()
    layer.reset_parameters()
    assert (rows(layer, "bias_ih_l0", "forget") == 1.5).all()


def test_a_function_of_the_user_fills_every_parameter_of_torch() -> None:
    seen = []

    def fill(cell: Cell, name: str, parameter: Tensor, hidden_size: int) -> None:
        seen.append((cell.name, name, tuple(parameter.shape), hidden_size))
        parameter.fill_(0.25)

    layer = GRU(3, 5, init=fill, layer_norm=True, learn_initial_state=True)
    expected = {"weight_ih": (15, 3), "weight_hh": (15, 5), "bias_ih": (15,), "bias_hh": (15,)}
    assert seen == [("gru", name, shape, 5) for name, shape in expected.items()]
    assert all((layer.get_parameter(name + "_l0") == 0.25).all() for name in expected)
    assert (layer.get_parameter("norm_ih_l0") == 1).all()
    assert not layer.get_parameter("initial_hidden").any()


def test_gains_start_at_one_and_shifts_at_zero() -> None:
    layer = LSTM(3, 5, layer_norm=True)
    assert all((layer.get_parameter(name) == 1).all() for name in ("norm_ih_l0", "norm_hh_l0", "norm_ch_l0"))
    assert not layer.get_parameter("norm_ch_bias_l0").any()


def test_chrono_takes_a_time_scale_only() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        chrono(2)
    assert repr(chrono(5)) == "chrono(5)"
    with pytest.raises(ValueError, match="needs a forget or update gate"):
        RNN(3, 5, init=chrono(5))


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("layer", [RNN, GRU, LSTM])
def test_every_initializer_fills_every_layer(layer: Any, name: str) -> None:
    made = layer(3, 5, num_layers=2, bidirectional=True, init=name)
    assert all(torch.isfinite(p).all() for p in made.parameters())
    assert all(p.any() for n, p in made.named_parameters() if n.startswith("weight"))
