"""Each cell's step against its equations, written by hand in numpy from the papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from holdfast.nn.cells import CELLS, Cell, Norm, Recurrence, Weights

Array = NDArray[np.float64]
B, INPUT, H = 3, 4, 5


class Arrays(dict[str, Any]):
    """The parameters as numpy arrays by name, with the products the equations need."""

    def rows(self, gate: int) -> slice:
        return slice(gate * H, (gate + 1) * H)

    def x(self, gate: int, x: Array) -> Array:
        rows = self.rows(gate)
        return x @ self["weight_ih"][rows].T + self["bias_ih"][rows]

    def h(self, gate: int, h: Array) -> Array:
        rows = self.rows(gate)
        return h @ self["weight_hh"][rows].T + self["bias_hh"][rows]

    def peephole(self, number: int) -> Array:
        return np.asarray(self["weight_ch"][self.rows(number)])


class NormedArrays(Arrays):
    """Arrays whose products are normalized for each gate, before the biases (Ba et al. 2016)."""

    def x(self, gate: int, x: Array) -> Array:
        rows = self.rows(gate)
        return normalized(x @ self["weight_ih"][rows].T) * self["ih_gain"][rows] + self["bias_ih"][rows]

    def h(self, gate: int, h: Array) -> Array:
        rows = self.rows(gate)
        return normalized(h @ self["weight_hh"][rows].T) * self["hh_gain"][rows] + self["bias_hh"][rows]


def normalized(a: Array) -> Array:
    mean = a.sum(-1, keepdims=True) / a.shape[-1]
    variance = ((a - mean) ** 2).sum(-1, keepdims=True) / a.shape[-1]
    return np.asarray((a - mean) / np.sqrt(variance + 1e-5))


def sigmoid(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


def lstm_values(w: Arrays, i: Array, f: Array, g: Array, o: Array, c: Array) -> dict[str, Array]:
    """Name an LSTM's values and add its hidden state; layer norm normalizes c before the tanh."""
    shown = np.tanh(normalized(c) * w["ch_gain"] + w["ch_bias"] if "ch_gain" in w else c)
    return {"input": i, "forget": f, "candidate": g, "output": o, "cell": c, "hidden": o * shown}


def rnn_tanh(w: Arrays, x: Array, h: Array) -> dict[str, Array]:
    return {"hidden": np.tanh(w.x(0, x) + w.h(0, h))}


def rnn_relu(w: Arrays, x: Array, h: Array) -> dict[str, Array]:
    return {"hidden": np.maximum(w.x(0, x) + w.h(0, h), 0)}


def gru(w: Arrays, x: Array, h: Array) -> dict[str, Array]:
    r, z = sigmoid(w.x(0, x) + w.h(0, h)), sigmoid(w.x(1, x) + w.h(1, h))
    n = np.tanh(w.x(2, x) + r * w.h(2, h))
    return {"reset": r, "update": z, "candidate": n, "hidden": z * h + (1 - z) * n}


def gru_reset_before(w: Arrays, x: Array, h: Array) -> dict[str, Array]:
    r, z = sigmoid(w.x(0, x) + w.h(0, h)), sigmoid(w.x(1, x) + w.h(1, h))
    n = np.tanh(w.x(2, x) + w.h(2, r * h))
    return {"reset": r, "update": z, "candidate": n, "hidden": z * h + (1 - z) * n}


def lstm(w: Arrays, x: Array, h: Array, c: Array) -> dict[str, Array]:
    i, f = sigmoid(w.x(0, x) + w.h(0, h)), sigmoid(w.x(1, x) + w.h(1, h))
    g, o = np.tanh(w.x(2, x) + w.h(2, h)), sigmoid(w.x(3, x) + w.h(3, h))
    new = f * c + i * g
    return lstm_values(w, i, f, g, o, new)


def lstm_peephole(w: Arrays, x: Array, h: Array, c: Array) -> dict[str, Array]:
    i = sigmoid(w.x(0, x) + w.h(0, h) + w.peephole(0) * c)
    f = sigmoid(w.x(1, x) + w.h(1, h) + w.peephole(1) * c)
    g = np.tanh(w.x(2, x) + w.h(2, h))
    new = f * c + i * g
    o = sigmoid(w.x(3, x) + w.h(3, h) + w.peephole(2) * new)
    return lstm_values(w, i, f, g, o, new)


def lstm_coupled(w: Arrays, x: Array, h: Array, c: Array) -> dict[str, Array]:
    f = sigmoid(w.x(0, x) + w.h(0, h))
    g, o = np.tanh(w.x(1, x) + w.h(1, h)), sigmoid(w.x(2, x) + w.h(2, h))
    new = f * c + (1 - f) * g
    return lstm_values(w, 1 - f, f, g, o, new)


def lstm_coupled_peephole(w: Arrays, x: Array, h: Array, c: Array) -> dict[str, Array]:
    f = sigmoid(w.x(0, x) + w.h(0, h) + w.peephole(0) * c)
    g = np.tanh(w.x(1, x) + w.h(1, h))
    new = f * c + (1 - f) * g
    o = sigmoid(w.x(2, x) + w.h(2, h) + w.peephole(1) * new)
    return lstm_values(w, 1 - f, f, g, o, new)


EQUATIONS: dict[str, Callable[..., dict[str, Array]]] = {
    function.__name__: function
    for function in (
        rnn_tanh,
        rnn_relu,
        gru,
        gru_reset_before,
        lstm,
        lstm_peephole,
        lstm_coupled,
        lstm_coupled_peephole,
    )
}


def sample(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def weights(cell: Cell, layer_norm: bool) -> Weights:
    rows = len(cell.gates) * H
    with_cell = "cell" in cell.states
    norm = (
        Norm(sample(rows), sample(rows), *((sample(H), sample(H)) if with_cell else ()))
        if layer_norm
        else None
    )
    peepholes = sample(cell.peepholes * H) if cell.peepholes else None
    return Weights(
        sample(rows, INPUT), sample(rows, H), sample(rows), sample(rows), weight_ch=peepholes, norm=norm
    )


def arrays(weights: Weights) -> Arrays:
    named = {**vars(weights), **(vars(weights.norm) if weights.norm else {})}
    kind = Arrays if weights.norm is None else NormedArrays
    return kind({name: t.numpy() for name, t in named.items() if isinstance(t, Tensor)})


@pytest.mark.parametrize("layer_norm", [False, True], ids=["plain", "layer_norm"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_a_step_follows_the_equations(name: str, layer_norm: bool) -> None:
    cell = CELLS[name]
    given = weights(cell, layer_norm)
    x, state = sample(B, INPUT), tuple(sample(B, H) for _ in cell.states)
    new, activations = cell.step(given.project(x), state, Recurrence(cell, given))
    names = cell.states + cell.activations
    got = dict(zip(names, new + activations, strict=True))
    expected = EQUATIONS[name](arrays(given), x.numpy(), *(s.numpy() for s in state))
    assert set(got) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key].numpy(), value, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name", EQUATIONS)
def test_dropout_masks_the_hidden_state_in_the_recurrent_product_only(name: str) -> None:
    cell = CELLS[name]
    given = weights(cell, layer_norm=False)
    x, state = sample(B, INPUT), tuple(sample(B, H) for _ in cell.states)
    mask = 2.0 * torch.bernoulli(torch.full((B, H), 0.5, dtype=torch.float64))
    masked, _ = cell.step(given.project(x), state, Recurrence(cell, given, mask))

    class Masked(Arrays):
        def h(self, gate: int, h: Array) -> Array:
            return super().h(gate, h * mask.numpy())

    expected = EQUATIONS[name](Masked(arrays(given)), x.numpy(), *(s.numpy() for s in state))
    np.testing.assert_allclose(masked[0].numpy(), expected["hidden"], rtol=1e-12, atol=1e-12)


def test_a_projection_follows_the_output_gate() -> None:
    cell, width = CELLS["lstm"], 2
    given = Weights(sample(4 * H, INPUT), sample(4 * H, width), weight_hr=sample(width, H))
    assert given.hidden_size == H
    (h, c), (_, _, _, o) = cell.step(
        given.project(sample(B, INPUT)), (sample(B, width), sample(B, H)), Recurrence(cell, given)
    )
    assert given.weight_hr is not None
    np.testing.assert_allclose(h.numpy(), (o * torch.tanh(c)).numpy() @ given.weight_hr.numpy().T, rtol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_the_attributes_of_a_cell_match_its_step(name: str) -> None:
    cell = CELLS[name]
    assert cell.name == name
    assert cell.states in (("hidden",), ("hidden", "cell"))
    given = weights(cell, layer_norm=False)
    state = tuple(sample(B, H) for _ in cell.states)
    new, activations = cell.step(sample(B, len(cell.gates) * H), state, Recurrence(cell, given))
    assert [s.shape for s in new] == [s.shape for s in state]
    assert len(activations) == len(cell.activations)


def test_gates_are_named_in_the_order_of_the_weights() -> None:
    cell = CELLS["gru"]
    given = weights(cell, layer_norm=False)
    h, recur = sample(B, H), Recurrence(cell, given)
    whole = F.linear(h, given.weight_hh, given.bias_hh)
    assert torch.equal(recur(h), whole)
    for names, blocks in {("update",): (1, 2), ("reset", "update"): (0, 2), ("candidate",): (2, 3)}.items():
        expected = whole[:, blocks[0] * H : blocks[1] * H]
        torch.testing.assert_close(recur(h, *names), expected, rtol=1e-12, atol=1e-12)
    for wrong in [("forget",), ("update", "reset"), ("reset", "candidate"), ("candidate", "reset")]:
        with pytest.raises(ValueError, match="gates must follow each other"):
            recur(h, *wrong)
