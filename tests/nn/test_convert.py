"""Conversion: torch.nn and Keras both ways, and models whose layers are replaced in place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import holdfast
from holdfast.errors import UserError
from holdfast.nn.convert import AccelerateReport, accelerate, from_keras, from_torch, to_keras, to_torch
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.recurrent import Recurrent
from layer_outputs import assert_same

Array = NDArray[np.float64]
I, H, T, B = 3, 5, 6, 2  # noqa: E741


# -- torch.nn --------------------------------------------------------------------------------------

TORCH_LAYERS: dict[str, Callable[[], nn.RNNBase]] = {
    "rnn": lambda: nn.RNN(I, H),
    "rnn_relu": lambda: nn.RNN(I, H, nonlinearity="relu", bias=False),
    "gru": lambda: nn.GRU(I, H, num_layers=2, dropout=0.3, bidirectional=True, batch_first=True),
    "lstm": lambda: nn.LSTM(I, H, num_layers=2, bidirectional=True),
    "lstm_proj": lambda: nn.LSTM(I, H, proj_size=2),
    "double": lambda: nn.LSTM(I, H, dtype=torch.float64),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", TORCH_LAYERS)
def test_torch_both_ways(name: str) -> None:
    theirs = TORCH_LAYERS[name]().eval()
    theirs.weight_hh_l0.requires_grad_(False)  # type: ignore[operator,union-attr]
    before = torch.get_rng_state()
    ours = from_torch(theirs)
    back = to_torch(ours)
    assert torch.equal(torch.get_rng_state(), before)
    x = torch.randn(T, B, I).to(next(theirs.parameters()).dtype)
    assert_same(ours(x), theirs(x))
    assert_same(back(x), theirs(x), tolerance=0.0)
    assert type(back) is type(theirs) and str(back) == str(theirs)
    for layer in (ours, back):
        assert not layer.training
        flags = {name: p.requires_grad for name, p in layer.named_parameters()}
        assert flags == {name: p.requires_grad for name, p in theirs.named_parameters()}
    with torch.no_grad():
        next(ours.parameters()).add_(1.0)
    assert_same(back(x), theirs(x), tolerance=0.0)  # copies, not views


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (lambda: LSTM(I, H, peephole=True), "lstm_peephole"),
        (lambda: GRU(I, H, reset_after=False), "gru_reset_before"),
        (lambda: GRU(I, H, layer_norm=True), "layer_norm"),
        (lambda: LSTM(I, H, zoneout=(0.0, 0.1)), "zoneout"),
        (lambda: GRU(I, H, recurrent_dropout=0.1, weight_drop=0.1), "recurrent_dropout, weight_drop"),
        (lambda: RNN(I, H, learn_initial_state=True), "learn_initial_state"),
    ],
)
def test_options_that_torch_lacks_are_named(layer: Callable[[], Recurrent], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        to_torch(layer())


def test_options_for_initial_values_need_no_counterpart() -> None:
    assert isinstance(to_torch(LSTM(I, H, forget_bias=1.0, kernel="reference", zoneout=(0.0, 0.0))), nn.LSTM)


@pytest.mark.parametrize(
    "module", [nn.Linear(2, 2), nn.LSTMCell(2, 2), LSTM(2, 2)], ids=lambda m: type(m).__name__
)
def test_from_torch_refuses_other_modules(module: nn.Module) -> None:
    with pytest.raises(UserError, match=type(module).__name__):
        from_torch(module)


# -- accelerate ------------------------------------------------------------------------------------


class Tagger(nn.Module):
    """A typical model: layers nested, in lists, and with two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, I)
        self.encoder = nn.LSTM(I, H, 2, dropout=0.2, bidirectional=True, batch_first=True)
        self.blocks = nn.ModuleList([nn.GRU(2 * H, H, batch_first=True)])
        self.inner = nn.ModuleDict({"rnn": nn.RNN(H, H, nonlinearity="relu", batch_first=True)})
        self.again = self.blocks[0]
        self.out = nn.Linear(H, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x, _ = self.encoder(self.embed(tokens))
        x, _ = self.again(x)
        x, _ = self.inner["rnn"](x)
        return self.out(x)


def test_a_model_is_accelerated_in_place() -> None:
    model = Tagger().eval()
    tokens = torch.randint(0, 11, (B, T))
    expected, parameters = model(tokens), dict(model.named_parameters())
    report = accelerate(model)
    assert report.model is model
    assert report.replaced == ["encoder", "blocks.0", "inner.rnn", "again"] and not report.kept
    assert str(report) == "Replaced: encoder, blocks.0, inner.rnn, again."
    assert isinstance(model.encoder, LSTM) and isinstance(model.inner["rnn"], RNN)
    assert model.again is model.blocks[0]
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-6)
    assert {name: id(p) for name, p in model.named_parameters()} == {n: id(p) for n, p in parameters.items()}
    assert not any(module.training for module in model.modules())
    assert model.encoder.dropout == 0.2
    assert str(accelerate(model)) == "The model has no recurrent layers of torch.nn."


def test_an_optimizer_made_before_keeps_working() -> None:
    plain = Tagger()
    plain.encoder.dropout = 0.0  # dropout would sample other masks
    tokens = torch.randint(0, 11, (B, T))
    fast = copy.deepcopy(plain)
    ends = []
    for model in (plain, fast):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        model(tokens).square().mean().backward()
        optimizer.step()
        if model is fast:
            accelerate(model)
        for _ in range(2):
            optimizer.zero_grad()
            model(tokens).square().mean().backward()
            optimizer.step()
        ends.append(model)
    for (name, slow), quick in zip(plain.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(quick, slow, rtol=0, atol=1e-4, msg=name)


class OwnLSTM(nn.LSTM):
    """A subclass of a user."""


def hooked() -> nn.Module:
    layer = nn.GRU(I, H)
    layer.register_forward_hook(lambda *_: None)
    return layer


def patched() -> nn.Module:
    layer = nn.GRU(I, H)
    layer.forward = lambda *_: None  # type: ignore[method-assign,assignment]
    return layer


def extended() -> nn.Module:
    layer = nn.GRU(I, H)
    layer.register_parameter("extra", nn.Parameter(torch.zeros(1)))
    return layer


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda: OwnLSTM(I, H), "OwnLSTM is a subclass of LSTM"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.LSTM(I, H), "weight_hh_l0"), "parametrized"),
        (hooked, "forward_hooks"),
        (patched, "forward was replaced"),
        (extended, "parameters differ from"),
        (lambda: nn.LSTMCell(I, H), "LSTMCell runs one time step"),
        (lambda: nn.GRUCell(I, H), "GRUCell runs one time step"),
    ],
)
def test_modules_that_would_lose_something_are_kept_and_reported(
    module: Callable[[], nn.Module], reason: str
) -> None:
    model = nn.Sequential(module(), nn.Linear(H, 1))
    first = model[0]
    report = accelerate(model)
    assert model[0] is first and not report.replaced
    assert list(report.kept) == ["0"] and reason in report.kept["0"]
    assert str(report).startswith("Replaced: none.\nKept:\n  0: ")


def test_a_model_that_is_a_layer_is_replaced_in_the_report() -> None:
    layer = nn.GRU(I, H)
    report = accelerate(layer)
    assert isinstance(report.model, GRU) and report.replaced == [""]
    assert report.model.weight_ih_l0 is layer.weight_ih_l0
    assert str(report) == "Replaced: the model itself."
    x = torch.randn(T, B, I)
    assert_same(report.model(x), layer(x))


def test_tied_parameters_stay_tied() -> None:
    model = nn.ModuleList([nn.GRU(I, H), nn.GRU(I, H)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    accelerate(model)
    assert isinstance(model[1], GRU) and model[1].weight_hh_l0 is model[0].weight_hh_l0


def test_a_replaced_model_moves_and_loads_as_before() -> None:
    model = nn.Sequential(nn.GRU(I, H))
    state = copy.deepcopy(model.state_dict())
    accelerate(model)
    model.load_state_dict(state)
    assert model.double()(torch.randn(T, B, I).double())[0].dtype == torch.float64


def test_only_modules_are_accelerated() -> None:
    with pytest.raises(UserError, match="It got a str"):
        accelerate("model")  # type: ignore[arg-type]


def test_the_public_names_are_the_functions() -> None:
    assert holdfast.accelerate is accelerate
    assert holdfast.from_keras is from_keras and holdfast.to_keras is to_keras
    assert isinstance(accelerate(nn.Linear(1, 1)), AccelerateReport)


# -- Keras -----------------------------------------------------------------------------------------


def sigmoid(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


def keras_lstm(x: Array, weights: list[Array]) -> Array:
    """keras.layers.LSTMCell.call for [B, T, I]: gates i, f, c, o; outputs of every step."""
    kernel, recurrent, *bias = weights
    h, c, outputs = np.zeros((len(x), H)), np.zeros((len(x), H)), []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent + (bias[0] if bias else 0)
        z0, z1, z2, z3 = np.split(z, 4, axis=1)
        i, f = sigmoid(z0), sigmoid(z1)
        c = f * c + i * np.tanh(z2)
        h = sigmoid(z3) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_gru_after(x: Array, weights: list[Array]) -> Array:
    """keras.layers.GRUCell.call with ``reset_after=True``: gates z, r, h; biases [2, 3*H]."""
    kernel, recurrent, *bias = weights
    input_bias, recurrent_bias = bias[0] if bias else (0, 0)
    h, outputs = np.zeros((len(x), H)), []
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + input_bias, 3, axis=1)
        r_z, r_r, r_h = np.split(h @ recurrent + recurrent_bias, 3, axis=1)
        z, r = sigmoid(x_z + r_z), sigmoid(x_r + r_r)
        hh = np.tanh(x_h + r * r_h)
        h = z * h + (1 - z) * hh
        outputs.append(h)
    return np.stack(outputs, 1)


def keras_gru_before(x: Array, weights: list[Array]) -> Array:
    """keras.layers.GRUCell.call with ``reset_after=False``: gates z, r, h; bias [3*H]."""
    kernel, recurrent, *bias = weights
    h, outputs = np.zeros((len(x), H)), []
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + (bias[0] if bias else 0), 3, axis=1)
        z = sigmoid(x_z + h @ recurrent[:, :H])
        r = sigmoid(x_r + h @ recurrent[:, H : 2 * H])
        hh = np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])
        h = z * h + (1 - z) * hh
        outputs.append(h)
    return np.stack(outputs, 1)


KERAS: dict[str, tuple[Callable[[Array, list[Array]], Array], int, tuple[int, ...], dict[str, Any]]] = {
    "lstm": (keras_lstm, 4, (4 * H,), {}),
    "gru_after": (keras_gru_after, 3, (2, 3 * H), {"reset_after": True}),
    "gru_before": (keras_gru_before, 3, (3 * H,), {"reset_after": False}),
}


def keras_weights(gates: int, bias: tuple[int, ...], inputs: int = I) -> list[Array]:
    shapes = [(inputs, gates * H), (H, gates * H), bias]
    return [torch.randn(shape, dtype=torch.float64).numpy() for shape in shapes]


@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("name", KERAS)
def test_a_layer_from_keras_follows_keras_equations(name: str, with_bias: bool) -> None:
    equations, gates, bias, convention = KERAS[name]
    weights = keras_weights(gates, bias)[: 3 if with_bias else 2]
    layer = from_keras(weights, **({} if with_bias else convention))
    x = torch.randn(B, T, I, dtype=torch.float64)
    got = layer(x)[0].detach().numpy()
    np.testing.assert_allclose(got, equations(x.numpy(), weights), rtol=0, atol=1e-12)
    for array, expected in zip(to_keras(layer), weights, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("name", KERAS)
def test_a_trained_layer_goes_to_keras(name: str) -> None:
    """Keras has one bias where PyTorch has two, and gets their sum."""
    equations, _, _, convention = KERAS[name]
    layer = (GRU if convention else LSTM)(I, H, batch_first=True, dtype=torch.float64, **convention)
    x = torch.randn(B, T, I, dtype=torch.float64)
    expected = equations(x.numpy(), to_keras(layer))
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", KERAS)
def test_stacked_bidirectional_layers_come_from_keras(name: str) -> None:
    """Keras' Bidirectional(merge_mode="concat"): the backward half returns reversed sequences."""
    equations, gates, bias, _ = KERAS[name]
    groups = [keras_weights(gates, bias, size) for size in (I, I, 2 * H, 2 * H)]
    flat = [array for group in groups for array in group]
    layer = from_keras(flat, num_layers=2, bidirectional=True)
    x = torch.randn(B, T, I, dtype=torch.float64)
    expected = x.numpy()
    for forward, backward in (groups[:2], groups[2:]):
        turned = equations(expected[:, ::-1], backward)[:, ::-1]
        expected = np.concatenate([equations(expected, forward), turned], -1)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)
    for array, given in zip(to_keras(layer), flat, strict=True):
        np.testing.assert_array_equal(array, given)


def test_float32_weights_give_a_float32_layer_and_arguments_pass_through() -> None:
    weights = [w.astype(np.float32) for w in keras_weights(4, (4 * H,))]
    layer = from_keras(weights, batch_first=False, kernel="reference")
    assert isinstance(layer, LSTM) and layer.weight_ih_l0.dtype == torch.float32
    assert not layer.batch_first and layer.options.kernel == "reference"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[:1], "There were 1"),
        (lambda w: [*w, w[0]], "2 or 3 arrays"),
        (lambda w: [w[1], w[0], w[2]], "recurrent_kernel"),
        (lambda w: [w[0], w[1][:, :-1], w[2]], "recurrent_kernel"),
        (lambda w: [w[0][:, :5], w[1][:, :5], w[2][:5]], "G = 4"),
        (lambda w: [w[0], w[1], w[2][:-1]], r"bias \[20\]"),
        (lambda w: [w[0], w[1], w[2][None]], r"bias \[20\]"),
        (lambda w: [w[0].astype(int), *w[1:]], "floats"),
    ],
    ids=["too_few", "too_many", "swapped", "cut", "one_gate", "short_bias", "2d_bias", "integers"],
)
def test_an_error_names_the_expected_shapes(change: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_keras(change(keras_weights(4, (4 * H,))))


def test_a_second_layer_of_the_wrong_size_is_named() -> None:
    flat = [*keras_weights(4, (4 * H,)), *keras_weights(4, (4 * H,), I)]
    with pytest.raises(UserError, match=r"layer 1 must be kernel \[5, 20\]"):
        from_keras(flat, num_layers=2)


def test_a_reset_convention_that_contradicts_the_bias_is_an_error() -> None:
    with pytest.raises(UserError, match="the shape of the bias implies it"):
        from_keras(keras_weights(3, (2, 3 * H)), reset_after=False)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (lambda: RNN(I, H), "rnn_tanh"),
        (lambda: LSTM(I, H, coupled=True), "lstm_coupled"),
        (lambda: LSTM(I, H, proj_size=2), "proj_size"),
        (lambda: GRU(I, H, zoneout=0.1), "zoneout"),
    ],
)
def test_options_that_keras_lacks_are_named(layer: Callable[[], Recurrent], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        to_keras(layer())
