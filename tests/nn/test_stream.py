"""A stream against the layer on the whole sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from holdfast import GRU, LSTM, RNN, Stream
from holdfast.nn.kernels import native
from holdfast.nn.recurrent import Recurrent

INPUT, H, T = 3, 19, 12
LAYERS: dict[str, tuple[type[Recurrent], dict[str, Any]]] = {
    "rnn": (RNN, {}),
    "relu": (RNN, {"nonlinearity": "relu", "bias": False}),
    "gru": (GRU, {"num_layers": 2, "dropout": 0.5}),
    "reset_before": (GRU, {"reset_after": False, "learn_initial_state": True}),
    "gru_norm": (GRU, {"layer_norm": True, "zoneout": 0.2, "recurrent_dropout": 0.3}),
    "lstm": (LSTM, {"num_layers": 3}),
    "lstm_norm": (LSTM, {"layer_norm": True, "zoneout": (0.1, 0.3)}),
    "peephole": (LSTM, {"peephole": True, "coupled": True}),
    "projected": (LSTM, {"proj_size": 7, "num_layers": 2, "batch_first": True}),
}


def made(name: str, **more: Any) -> Recurrent:
    layer, options = LAYERS[name]
    built = layer(INPUT, H, **{**options, **more})
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return built


def whole(layer: Recurrent, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """Return outputs [T, B, P] and the state in evaluation."""
    with torch.no_grad():
        y, state = layer.eval()(x.transpose(0, 1) if layer.batch_first else x)
    layer.train()
    return y.transpose(0, 1) if layer.batch_first else y, state


def pair(state: Any) -> tuple[torch.Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_the_whole_sequence(name: str, batch: int, kernel: str) -> None:
    layer, x = made(name, kernel=kernel), torch.randn(T, batch, INPUT)
    stream = layer.stream(batch)
    assert stream.kernel == ("native" if kernel == "auto" and native.available() is None else "reference")
    expected, state = whole(layer, x)
    torch.testing.assert_close(torch.stack([stream.step(x_t) for x_t in x]), expected, rtol=0, atol=2e-6)
    for got, wanted in zip(pair(stream.state), pair(state), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=2e-6)


@pytest.mark.skipif(native.available() is not None, reason="needs the native core")
@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("name", LAYERS)
def test_threads_that_share_a_step_are_the_whole_sequence(name: str) -> None:
    layer, x = made(name), torch.randn(T, 5, INPUT)
    native.binding._core.eager(True)
    for count in (2, 3):
        torch.set_num_threads(count)
        stream = layer.stream(5)
        found = torch.stack([stream.step(x_t) for x_t in x])
        torch.testing.assert_close(found, whole(layer, x)[0], atol=2e-6, rtol=1e-5)


def test_numpy_in_numpy_out() -> None:
    layer, x = made("gru"), torch.randn(T, 1, INPUT)
    ours, other = layer.stream(), layer.stream()
    for x_t in x:
        got = other.step(x_t.numpy()[:, :])
        assert isinstance(got, np.ndarray) and got.dtype == np.float32
        assert np.array_equal(got, ours.step(x_t).numpy())
    assert other.step(x[0, 0]).shape == (H,) and other.step(x[0, 0].numpy()).shape == (H,)


def test_an_output_is_not_overwritten_by_the_next_step() -> None:
    stream, x = made("lstm").stream(), torch.randn(2, 1, INPUT)
    first = stream.step(x[0])
    kept = first.clone()
    stream.step(x[1])
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", ["gru", "projected", "reset_before"])
def test_a_state_is_saved_and_restored(name: str) -> None:
    stream, x = made(name).stream(2), torch.randn(T, 2, INPUT)
    for x_t in x[:5]:
        stream.step(x_t)
    saved = stream.state
    wanted = [stream.step(x_t) for x_t in x[5:]]
    stream.state = saved
    assert all(torch.equal(stream.step(x_t), y) for x_t, y in zip(x[5:], wanted, strict=True))


def test_reset_restores_the_initial_state() -> None:
    stream, x = made("reset_before").stream(3), torch.randn(3, INPUT)
    first = stream.step(x)
    stream.step(x)
    stream.reset()
    assert torch.equal(stream.step(x), first)


@pytest.mark.parametrize("kernel", ["auto", "reference"])
def test_sessions_join_and_leave(kernel: str) -> None:
    """Three sessions equal three streams, though one joins later and one leaves earlier."""
    layer, x = made("lstm", kernel=kernel), torch.randn(T, 3, INPUT)
    alone, joint = [layer.stream() for _ in range(3)], layer.stream(2)
    for t in range(T):
        if t == 4:
            assert joint.join() == 2
        if t == 8:
            joint.leave(0)
        wanted = torch.cat([alone[s].step(x[t, s : s + 1]) for s in joint.sessions])
        torch.testing.assert_close(joint.step(x[t, joint.sessions]), wanted, rtol=0, atol=2e-6)
    assert joint.sessions == [1, 2] and len(joint) == 2


def test_a_session_may_start_from_the_state_of_another() -> None:
    layer, x = made("projected"), torch.randn(T, 1, INPUT)
    stream = layer.stream()
    for x_t in x[:6]:
        stream.step(x_t)
    stream.join(stream.state)
    both = stream.step(x[6].expand(2, -1))
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=2e-6)


def test_a_layer_changed_later_does_not_reach_the_stream() -> None:
    layer, x = made("peephole"), torch.randn(1, INPUT)
    stream, other = layer.stream(), layer.stream()
    first = stream.step(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    del layer
    assert torch.equal(other.step(x), first) and first.any()


def test_double_precision_runs_through_the_layer() -> None:
    layer, x = GRU(INPUT, H, dtype=torch.float64), torch.randn(T, 2, INPUT, dtype=torch.float64)
    stream = layer.stream(2)
    assert stream.kernel == "aten"
    torch.testing.assert_close(torch.stack([stream.step(x_t) for x_t in x]), layer(x)[0].detach())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(1, INPUT + 1), ValueError, r"one of the shapes \[\(1, 3\), \(3,\)\], but got \(1, 4\)"),
        (torch.zeros(1, INPUT, dtype=torch.float64), TypeError, "float32 on the CPU, but got torch.float64"),
        (np.zeros((1, INPUT)), TypeError, "float32 on the CPU, but got float64"),
        (np.zeros(4, np.float32), ValueError, "one of the shapes"),
    ],
)
def test_an_input_that_does_not_fit_is_an_error(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made("gru").stream().step(x)


def test_layers_and_states_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ValueError, match="bidirectional"):
        GRU(INPUT, H, bidirectional=True).stream()
    with pytest.raises(ValueError, match="at least 1"):
        Stream(GRU(INPUT, H), 0)
    stream = GRU(INPUT, H).stream()
    with pytest.raises(ValueError, match="must keep one session, but 0 is the only one"):
        stream.leave(0)
    with pytest.raises(ValueError, match=r"a state must have the shapes \[\(1, 1, 19\)\]"):
        stream.state = torch.zeros(1, 2, H)
