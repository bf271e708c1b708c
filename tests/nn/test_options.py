"""Options that torch.nn does not have: each alone, and all pairs."""

from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast.nn import kernels
from holdfast.nn.cells import CELLS
from holdfast.nn.init import chrono
from holdfast.nn.kernels import Problem, ScanResult
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent

# torch itself warns once
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

INPUT, H, T, B = 3, 5, 6, 4
RAGGED = [6, 1, 0, 4]
BY_NAME: dict[str, Any] = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}

COMMON: dict[str, dict[str, Any]] = {
    "layer_norm": {"layer_norm": True},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "zoneout": {"zoneout": 0.2},
    "weight_drop": {"weight_drop": 0.3},
    "learn_initial_state": {"learn_initial_state": True},
    "orthogonal": {"init": "orthogonal"},
    "dropout": {"dropout": 0.2},
    "no bias": {"bias": False},
    "batch_first": {"batch_first": True},
    "float64": {"dtype": torch.float64},
}
GATED = {"chrono": {"init": chrono(20)}}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "RNN": COMMON | {"relu": {"nonlinearity": "relu"}},
    "GRU": COMMON | GATED | {"reset_before": {"reset_after": False}},
    "LSTM": COMMON
    | GATED
    | {
        "two zoneouts": {"zoneout": (0.1, 0.3)},
        "forget_bias": {"forget_bias": 1.0},
        "peephole": {"peephole": True},
        "coupled": {"coupled": True},
        "proj_size": {"proj_size": 2},
    },
}
EXCLUSIVE = {
    frozenset({"chrono", "no bias"}): "bias=False",
    frozenset({"forget_bias", "no bias"}): "bias=False",
    frozenset({"chrono", "forget_bias"}): "pass only one of them",
}
PAIRS = [
    pytest.param(layer, first, second, id=f"{layer}-{first}-{second}")
    for layer, options in OPTIONS.items()
    for first, second in itertools.combinations_with_replacement(options, 2)
    if first == second or not set(options[first]) & set(options[second])  # one value for each
]


@pytest.mark.parametrize(("layer", "first", "second"), PAIRS)
def test_any_two_options_work_together_or_give_a_reason(layer: str, first: str, second: str) -> None:
    """Run forward, backward, trace and lengths, with two layers and both directions."""
    arguments: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    arguments |= OPTIONS[layer][first] | OPTIONS[layer][second]
    if (reason := EXCLUSIVE.get(frozenset({first, second}))) is not None:
        with pytest.raises(ValueError, match=reason):
            BY_NAME[layer](INPUT, H, **arguments)
        return
    made = BY_NAME[layer](INPUT, H, **arguments)
    x = torch.randn(T, B, INPUT, dtype=made.weight_ih_l0.dtype)
    x = x.transpose(0, 1) if made.batch_first else x
    outputs, state = made(x, lengths=RAGGED)
    rows = outputs if made.batch_first else outputs.transpose(0, 1)
    assert rows.shape == (B, T, 2 * (made.proj_size or H)) and torch.isfinite(outputs).all()
    assert not any(row[length:].any() for row, length in zip(rows, RAGGED, strict=True))
    total = outputs.square().sum() + sum(s.square().sum() for s in (state if layer == "LSTM" else (state,)))
    total.backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
    check_trace(made.eval(), x)


def check_trace(layer: Recurrent, x: Tensor) -> None:
    """In evaluation mode, the traced hidden states of the last layer are the outputs."""
    traced, (outputs, _) = layer.trace(x, lengths=RAGGED), layer(x, lengths=RAGGED)
    assert set(traced) == {*layer.cell.activations, *layer.cell.states}
    batch = (B, T) if layer.batch_first else (T, B)
    for name, values in traced.items():
        width = layer.proj_size or H if name == "hidden" else H
        assert values.shape == (2, 2, *batch, width), name
    torch.testing.assert_close(torch.cat(list(traced["hidden"][-1]), -1), outputs, rtol=0, atol=1e-6)


def spy(layer: Recurrent, *args: Any, **kwargs: Any) -> list[Problem]:
    """Return the problems that a call of the layer passes to the kernels."""
    seen: list[Problem] = []
    scan = kernels.scan

    def watch(problem: Problem, kernel: str = "auto") -> ScanResult:
        seen.append(problem)
        return scan(problem, kernel)

    with mock.patch.object(kernels, "scan", watch):
        layer(*args, **kwargs)
    return seen


# -- recurrent dropout -----------------------------------------------------------------------------


def test_recurrent_dropout_drops_the_same_units_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step has the same mask for a sequence, of 0 and 1 / (1 - p), new in each call."""
    cell = CELLS["gru"]
    step, masks = type(cell).step, list[Tensor]()

    def watch(self: Any, projected: Tensor, state: Any, recur: Any) -> Any:
        one = torch.ones_like(state[0])
        without = recur.weights.bias_hh.expand(len(one), -1)
        # the product of a diagonal of ones shows which units pass
        masks.append(torch.stack([(recur(one * unit) - without).abs().sum(-1) for unit in torch.eye(H)], -1))
        return step(self, projected, state, recur)

    monkeypatch.setattr(type(cell), "step", watch)
    layer = GRU(INPUT, H, recurrent_dropout=0.5, kernel="reference")
    with torch.no_grad():
        layer(torch.randn(T, B, INPUT))
        first, masks[:] = list(masks), []
        layer(torch.randn(T, B, INPUT))
    dropped = first[0] == 0
    assert dropped.any() and not dropped.all()
    assert all(torch.equal(mask, first[0]) for mask in first)
    assert not torch.equal(masks[0] == 0, dropped)


def test_recurrent_dropout_scales_kept_units_and_is_off_in_evaluation() -> None:
    layer = LSTM(INPUT, 400, recurrent_dropout=0.25)
    (problem,) = spy(layer, torch.randn(T, B, INPUT))
    assert problem.noise is not None and problem.noise.dropout_mask is not None
    mask = problem.noise.dropout_mask
    torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert abs(float((mask == 0).float().mean()) - 0.25) < 0.05  # standard error 0.011
    (problem,) = spy(layer.eval(), torch.randn(T, B, INPUT))
    assert problem.noise is None


# -- zoneout ---------------------------------------------------------------------------------------


def test_zoneout_keeps_units_with_its_probability_in_training() -> None:
    """A unit that is kept has exactly its old value; both states are sampled independently."""
    layer = LSTM(INPUT, 50, zoneout=(0.1, 0.4))
    traced = layer.trace(torch.randn(40, B, INPUT))
    for state, rate in (("hidden", 0.1), ("cell", 0.4)):
        values = traced[state][0, 0]
        same = (values[1:] == values[:-1]).float().mean()
        assert abs(float(same) - rate) < 0.02  # 7800 samples: a standard error of at most 0.006


def test_zoneout_is_its_expectation_in_evaluation() -> None:
    """``s = p * old + (1 - p) * new``, by hand, with the plain layer's own step as ``new``."""
    layer, plain = GRU(INPUT, H, zoneout=0.3).eval(), GRU(INPUT, H)
    plain.load_state_dict(layer.state_dict())
    x, h = torch.randn(T, B, INPUT), torch.zeros(1, B, H)
    got, _ = layer(x)
    for t in range(T):
        h = 0.3 * h + 0.7 * plain(x[t : t + 1], h)[1]
        torch.testing.assert_close(got[t], h[0], rtol=0, atol=1e-6)


def test_the_mean_of_zoneout_in_training_is_the_evaluation_after_one_step() -> None:
    layer = GRU(INPUT, H, zoneout=0.3)
    x, h = torch.randn(1, 1, INPUT).expand(1, 4000, INPUT), torch.randn(1, 1, H).expand(1, 4000, H)
    trained = layer(x, h.contiguous())[0].mean((0, 1))
    torch.testing.assert_close(trained, layer.eval()(x, h.contiguous())[0][0, 0], rtol=0, atol=0.05)


# -- weight drop, initial state, layer norm --------------------------------------------------------


def test_weight_drop_drops_recurrent_weights_for_a_whole_call() -> None:
    layer = LSTM(INPUT, 40, num_layers=2, weight_drop=0.5)
    problems = spy(layer, torch.randn(T, B, INPUT))
    for number, problem in enumerate(problems):
        dropped, full = problem.weights.weight_hh, layer.get_parameter(f"weight_hh_l{number}")
        kept = dropped != 0
        assert abs(float(kept.float().mean()) - 0.5) < 0.03  # standard error 0.006
        torch.testing.assert_close(dropped[kept], 2 * full[kept])
        assert problem.weights.weight_ih is layer.get_parameter(f"weight_ih_l{number}")
    first, second = (spy(layer, torch.randn(T, B, INPUT))[0].weights.weight_hh for _ in range(2))
    assert not torch.equal(first, second)
    (problem, _) = spy(layer.eval(), torch.randn(T, B, INPUT))
    assert torch.equal(problem.weights.weight_hh, layer.get_parameter("weight_hh_l0"))


def test_sequences_start_from_the_learned_state_without_hx() -> None:
    layer = LSTM(INPUT, H, num_layers=2, bidirectional=True, learn_initial_state=True, proj_size=2)
    nn.init.normal_(layer.get_parameter("initial_hidden"))
    nn.init.normal_(layer.get_parameter("initial_cell"))
    x = torch.randn(T, B, INPUT)
    h, c = (layer.get_parameter(f"initial_{s}").expand(-1, B, -1).contiguous() for s in ("hidden", "cell"))
    torch.testing.assert_close(layer(x)[0], layer(x, (h, c))[0], rtol=0, atol=1e-6)
    zeros = (torch.zeros_like(h), torch.zeros_like(c))
    plain = LSTM(INPUT, H, num_layers=2, bidirectional=True, proj_size=2)
    plain.load_state_dict(layer.state_dict(), strict=False)
    torch.testing.assert_close(layer(x, zeros)[0], plain(x)[0], rtol=0, atol=1e-6)


def test_layer_norm_over_a_sequence_by_hand() -> None:
    """Run a layer norm RNN in numpy: normalize each part, then apply gain and bias."""
    layer = RNN(INPUT, H, layer_norm=True, dtype=torch.float64)
    for name in ("norm_ih_l0", "norm_hh_l0"):
        nn.init.normal_(layer.get_parameter(name))
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}

    def norm(a: Any) -> Any:
        return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)

    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    got, h = layer(x)[0].detach().numpy(), np.zeros((B, H))
    for t in range(T):
        of_x = norm(x[t].numpy() @ p["weight_ih_l0"].T) * p["norm_ih_l0"] + p["bias_ih_l0"]
        of_h = norm(h @ p["weight_hh_l0"].T) * p["norm_hh_l0"] + p["bias_hh_l0"]
        h = np.tanh(of_x + of_h)
        np.testing.assert_allclose(got[t], h, rtol=0, atol=1e-12)


def test_layer_norm_does_not_depend_on_the_scale_of_the_input() -> None:
    layer = GRU(INPUT, H, layer_norm=True)
    x = torch.randn(T, B, INPUT) + 1
    torch.testing.assert_close(layer(x)[0], layer(1000 * x)[0], rtol=0, atol=1e-3)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, {"recurrent_dropout": 1.0}, "recurrent_dropout"),
        (ValueError, {"recurrent_dropout": float("nan")}, "recurrent_dropout"),
        (ValueError, {"weight_drop": -0.1}, "weight_drop"),
        (ValueError, {"weight_drop": True}, "weight_drop"),
        (ValueError, {"zoneout": "0.1"}, "zoneout"),
        (ValueError, {"zoneout": [0.1, 0.2]}, "zoneout"),
        (ValueError, {"zoneout": (0.1, 1.5)}, "zoneout"),
        (ValueError, {"zoneout": (0.1,)}, r"one rate for each state \(hidden, cell\)"),
        (ValueError, {"init": "ortogonal"}, "orthogonal"),
        (TypeError, {"init": 3}, "function"),
        (TypeError, {"forget_bias": "1"}, "forget_bias"),
        (TypeError, {"layer_norm": "yes"}, "layer_norm"),
        (TypeError, {"learn_initial_state": 1}, "learn_initial_state"),
        (TypeError, {"peephole": "yes"}, "peephole"),
        (TypeError, {"coupled": 2}, "coupled"),
        (ValueError, {"kernel": "fast"}, "native"),
        (TypeError, {"zone_out": 0.1}, "zone_out"),
    ],
)
def test_a_wrong_option_is_refused_at_construction(
    error: type[Exception], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(error, match=message):
        LSTM(INPUT, H, **arguments)


def test_an_option_for_another_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="forget_bias needs a forget gate"):
        GRU(INPUT, H, forget_bias=1.0)
    with pytest.raises(TypeError, match="reset_after"):
        GRU(INPUT, H, reset_after="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="peephole"):
        GRU(INPUT, H, peephole=True)  # type: ignore[call-arg]


def test_numbers_of_numpy_are_numbers() -> None:
    assert LSTM(INPUT, H, 2, dropout=np.float32(0.5), zoneout=np.float64(0.5)).dropout == 0.5
    assert Options().zoneout_rates(CELLS["lstm"]) == (0.0, 0.0)


def test_an_unknown_option_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match=r"GRU\(\) got .* 'layernorm', did you mean 'layer_norm'"):
        GRU(3, 5, layernorm=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="its options are layer_norm"):
        LSTM(3, 5, color="red")  # type: ignore[call-arg]
