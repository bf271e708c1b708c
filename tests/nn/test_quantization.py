"""int8 weights against the same rounding in torch, on every instruction set."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import holdfast
from holdfast.cli.app import main
from holdfast.errors import UserError
from holdfast.nn.convert import to_torch
from holdfast.nn.kernels import native

pytestmark = pytest.mark.skipif(native.available() is not None, reason=f"no core: {native.available()}")

LAYERS = {
    "rnn": lambda: holdfast.RNN(13, 37),
    "relu": lambda: holdfast.RNN(13, 37, nonlinearity="relu"),
    "gru": lambda: holdfast.GRU(13, 37),
    "gru_reset_before": lambda: holdfast.GRU(13, 37, reset_after=False),
    "lstm": lambda: holdfast.LSTM(13, 37),
    "peephole": lambda: holdfast.LSTM(13, 37, peephole=True),
    "coupled": lambda: holdfast.LSTM(13, 37, coupled=True),
    "layer_norm": lambda: holdfast.LSTM(13, 37, layer_norm=True),
    "no_bias": lambda: holdfast.GRU(13, 37, bias=False),
}


def rounded(values: Tensor, most: int) -> Tensor:
    """Round each row to multiples of its largest value divided by ``most``."""
    scale = values.abs().amax(-1, keepdim=True) / most
    return (values / scale.clamp_min(1e-30)).round() * scale


def rounded_weights(layer: holdfast.GRU) -> holdfast.GRU:
    """A float64 layer of the reference kernel whose weights are exact in int8."""
    for name, parameter in layer.named_parameters():
        if parameter.dim() == 2 and name.startswith("weight"):
            parameter.data = rounded(parameter.data, 127)
    return layer.double()


@pytest.fixture(params=native.isas() if native.available() is None else [])
def isa(request):
    """Select every instruction set that runs here."""
    native.binding._core.select(request.param)
    yield request.param
    native.binding._core.select("auto")


@pytest.mark.parametrize("name", LAYERS)
def test_a_step_equals_that_of_rounded_weights_and_inputs(name, isa):
    torch.manual_seed(0)
    layer, x = LAYERS[name](), torch.randn(1, 5, 13)
    with torch.no_grad():
        ours = holdfast.quantize(layer)(x)[0]
        theirs = rounded_weights(layer)(rounded(x, 63).double())[0]
    assert (ours - theirs).abs().max() < 2e-6


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
def test_the_state_is_rounded_at_every_step(name, isa):
    torch.manual_seed(1)
    layer, x = LAYERS[name](), torch.randn(6, 3, 13)
    small = holdfast.quantize(layer)
    exact = rounded_weights(layer)
    with torch.no_grad():
        y, _ = small(x)
        state, c = torch.zeros(1, 3, 37).double(), torch.zeros(1, 3, 37).double()
        for t in range(6):
            hx = (rounded(state, 63), c) if name == "lstm" else rounded(state, 63)
            if name == "gru":  # z h reads the state itself, W h the rounded one
                state = _gru_step(exact, rounded(x[t], 63).double(), state[0])[None]
            else:
                _, new = exact(rounded(x[t : t + 1], 63).double(), hx)
                state, c = new if name == "lstm" else (new, c)
            assert (y[t] - state[0]).abs().max() < 1e-4


def _gru_step(layer, x, h):
    gates_x = x @ layer.weight_ih_l0.T + layer.bias_ih_l0
    gates_h = rounded(h, 63) @ layer.weight_hh_l0.T + layer.bias_hh_l0
    (xr, xz, xn), (hr, hz, hn) = gates_x.chunk(3, -1), gates_h.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    return (1 - z) * torch.tanh(xn + r * hn) + z * h


@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_instruction_sets_and_threads_sum_the_same_integers(name, threads):
    torch.manual_seed(2)
    small, x, results = holdfast.quantize(LAYERS[name]()), torch.randn(4, 9, 13), []
    for set_ in native.isas():
        native.binding._core.select(set_)
        for n in (1, threads):
            torch.set_num_threads(n)
            with torch.no_grad():
                results.append(small(x)[0])
    for result in results:
        assert (result - results[0]).abs().max() < 0.02  # a value on an edge may round either way


def test_a_ragged_bidirectional_stack_is_close_to_the_model():
    torch.manual_seed(3)
    layer = holdfast.LSTM(8, 64, 2, bidirectional=True, proj_size=32)
    x, lengths = torch.randn(20, 6, 8), torch.tensor([20, 3, 11, 1, 20, 7])
    with torch.no_grad():
        exact, _ = layer(x, lengths=lengths)
        y, (h, _) = holdfast.quantize(layer)(x, lengths=lengths)
    assert 0 < (y - exact).abs().max() < 0.02
    assert not y[3:, 1].any()
    assert torch.equal(h[-2, 1], y[2, 1, :32])


def test_an_int8_stream_equals_the_whole_sequence():
    torch.manual_seed(4)
    small, x = holdfast.quantize(holdfast.GRU(8, 40, 2)), torch.randn(15, 1, 8)
    stream = small.stream()
    assert stream.kernel == "int8"
    with torch.no_grad():
        whole = small(x)[0]
    steps = np.stack([stream.step(step) for step in x.numpy()])
    assert np.abs(steps - whole.numpy()).max() < 1e-5


def test_models_of_torch_are_quantized_as_copies():
    model = nn.Sequential(nn.Embedding(11, 8), nn.LSTM(8, 24))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    small = holdfast.quantize(model)
    text = torch.randint(11, (9, 2))
    with torch.no_grad():
        assert (small(text)[0] - model(text)[0]).abs().max() < 0.02
    assert type(model[1]) is nn.LSTM
    assert all(torch.equal(before[name], value) for name, value in small.state_dict().items())
    assert not small.training
    file = io.BytesIO()
    torch.save(small.state_dict(), file)
    file.seek(0)
    nn.Sequential(nn.Embedding(11, 8), nn.LSTM(8, 24)).load_state_dict(torch.load(file))


def test_layers_that_stay_in_float32_are_reported():
    normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(3, 4), "weight_hh_l0")
    model = torch.nn.ModuleList([torch.nn.GRU(3, 4), normed])
    with pytest.warns(UserWarning, match="Not quantized:\n  1: "):
        small = holdfast.quantize(model)
    assert small[0].options.kernel == "int8"


def test_gradients_are_refused_with_a_reason():
    small = holdfast.quantize(holdfast.GRU(3, 4))
    with pytest.raises(RuntimeError, match=r"forward only.*torch\.no_grad"):
        small(torch.randn(2, 1, 3, requires_grad=True))
    small(torch.randn(2, 1, 3))  # needs no gradient


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nonfinite_inputs_show_in_the_result(value):
    small, x = holdfast.quantize(holdfast.GRU(3, 4)), torch.randn(5, 2, 3)
    x[2, 0, 1] = value
    with torch.no_grad():
        y = small(x)[0]
    assert y[:2].isfinite().all()
    assert y[:, 1].isfinite().all()
    assert y[2:, 0].isnan().all()


def test_zeros_stay_zeros():
    small = holdfast.quantize(holdfast.RNN(3, 4, bias=False))
    with torch.no_grad():
        assert not small(torch.zeros(3, 1, 3))[0].any()


@pytest.mark.parametrize("what", [nn.Linear(2, 3), "model"])
def test_a_model_without_recurrent_layers_is_refused(what):
    with pytest.raises(UserError, match="must get a"):
        holdfast.quantize(what)


def test_the_plan_reports_the_rounding():
    small = holdfast.quantize(holdfast.GRU(3, 4))
    assert "rounded to 8 bits" in str(small.plan(torch.zeros(2, 1, 3)))
    assert to_torch(small)  # the weights are still there


def test_evaluate_reports_the_loss_by_rounding(tmp_path, capsys):
    series = 10 + np.sin(np.arange(300) / 5) + np.random.default_rng(0).normal(0, 0.1, 300)
    (tmp_path / "a.csv").write_text("y\n" + "\n".join(f"{v:.4f}" for v in series))
    common = [
        "train",
        "forecast",
        str(tmp_path / "a.csv"),
        "--target",
        "y",
        "--lookback",
        "16",
        "--horizon",
        "2",
    ]
    assert main([*common, "--epochs", "2", "--hidden-size", "16", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), str(tmp_path / "a.csv"), "--int8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    exact, small = result["model"]["mae"], result["int8"]["mae"]
    assert exact != small
    assert abs(small / exact - 1) < 0.05
    assert main(["evaluate", str(tmp_path / "run"), str(tmp_path / "a.csv"), "--int8"]) == 0
    assert "In int8 it is" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), "--int8"]) == 2
    assert "int8 must be scored on a file" in capsys.readouterr().err
