"""The equations: one time step of RNN, LSTM, GRU and their variants in plain torch.

Letters used everywhere in Holdfast: T time, B batch, I input, H hidden, G gates, L layers, D
directions. P is the width of the hidden state: H, or ``proj_size`` for an LSTM with a projection.

Each cell is short enough to compare with its paper line by line. Its step takes the projected input
(``x W_ih^T + b_ih``), the state, and a :class:`Recurrence`, which computes ``W_hh h + b_hh`` with
layer normalization and dropout if the layer has them. To add a variant, write one class here and
add one entry to :data:`CELLS`; every layer can then run it with the reference kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

State = tuple[Tensor, ...]
Activations = tuple[Tensor, ...]


@dataclass(frozen=True)
class Norm:
    """Gains of layer normalization (Ba et al. 2016) for one layer and direction.

    Each gate is normalized separately, and so are its two parts, ``W_ih x`` and ``W_hh h``. The
    biases are added afterwards, as the shifts. ``ih_gain`` and ``hh_gain`` are [G*H]. ``ch_gain``
    and ``ch_bias`` [H] normalize an LSTM's cell state before the output's tanh.
    """

    ih_gain: Tensor
    hh_gain: Tensor
    ch_gain: Tensor | None = None
    ch_bias: Tensor | None = None


@dataclass(frozen=True)
class Weights:
    """Parameters of one layer in one direction, in PyTorch's layout.

    ``weight_ih`` [G*H, I], ``weight_hh`` [G*H, P], ``bias_ih`` and ``bias_hh`` [G*H], ``weight_hr``
    [P, H] (projection), ``weight_ch`` [number of peepholes * H].
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None
    weight_ch: Tensor | None = None
    norm: Norm | None = None

    @property
    def hidden_size(self) -> int:
        """H, the number of rows for each gate."""
        return self.weight_hh.size(1) if self.weight_hr is None else self.weight_hr.size(1)

    def project(self, x: Tensor) -> Tensor:
        """Compute ``x W_ih^T + b_ih``, normalized with layer norm: [T, B, I] -> [T, B, G*H]."""
        if self.norm is None:
            return F.linear(x, self.weight_ih, self.bias_ih)
        return _normalize(F.linear(x, self.weight_ih), self.norm.ih_gain, self.bias_ih, self.hidden_size)


def _normalize(pre: Tensor, gain: Tensor, bias: Tensor | None, hidden_size: int) -> Tensor:
    """Normalize over each gate's H units, then apply gain and bias: [..., G*H] -> [..., G*H]."""
    gates = pre.unflatten(-1, (-1, hidden_size))
    scaled = F.layer_norm(gates, (hidden_size,)).flatten(-2) * gain
    return scaled if bias is None else scaled + bias


class Recurrence:
    """The recurrent product ``W_hh h + b_hh`` of a cell, assembled once for each sequence.

    Args:
        cell: defines the gates and their order.
        weights: the parameters.
        dropout_mask: [B, P] or None. The same mask multiplies the hidden state at each step, before
            the recurrent product (variational dropout, Gal & Ghahramani 2016).
    """

    def __init__(self, cell: Cell, weights: Weights, dropout_mask: Tensor | None = None) -> None:
        self.gates = cell.gates
        self.weights = weights
        self.dropout_mask = dropout_mask
        self._product = self._plain if weights.norm is None else self._normalized

    def __call__(self, hidden: Tensor, *gates: str) -> Tensor:
        """Compute ``W_hh h + b_hh`` for the named gates, or for all gates: [B, P] -> [B, gates*H].

        Raises:
            ValueError: the gates are not neighbors in the cell's order.
        """
        masked = hidden if self.dropout_mask is None else hidden * self.dropout_mask
        return self._product(masked, self._rows(gates))

    def _rows(self, gates: tuple[str, ...]) -> slice:
        if not gates:
            return slice(0, None)
        first = self.gates.index(gates[0]) if gates[0] in self.gates else 0
        if self.gates[first : first + len(gates)] != gates:
            raise ValueError(f"gates must follow each other in {self.gates}, but got {gates}")
        size = self.weights.hidden_size
        return slice(first * size, (first + len(gates)) * size)

    def _plain(self, hidden: Tensor, rows: slice) -> Tensor:
        bias = self.weights.bias_hh
        return F.linear(hidden, self.weights.weight_hh[rows], None if bias is None else bias[rows])

    def _normalized(self, hidden: Tensor, rows: slice) -> Tensor:
        weights, norm = self.weights, self.weights.norm
        assert norm is not None
        bias = None if weights.bias_hh is None else weights.bias_hh[rows]
        product = F.linear(hidden, weights.weight_hh[rows])
        return _normalize(product, norm.hh_gain[rows], bias, weights.hidden_size)

    def peepholes(self) -> tuple[Tensor, ...]:
        """Return the diagonal weights from the cell state to the gates, each [H]."""
        assert self.weights.weight_ch is not None
        return tuple(self.weights.weight_ch.split(self.weights.hidden_size))

    def output(self, gate: Tensor, cell: Tensor) -> Tensor:
        """Compute an LSTM's ``h = o * tanh(c)`` [B, P], with layer norm and projection, if any."""
        norm, projection = self.weights.norm, self.weights.weight_hr
        if norm is not None:
            cell = F.layer_norm(cell, cell.shape[-1:], norm.ch_gain, norm.ch_bias)
        hidden = gate * torch.tanh(cell)
        return hidden if projection is None else F.linear(hidden, projection)


class Cell(Protocol):
    """Protocol of a recurrent cell: its names and its step.

    Attributes:
        name: the key in :data:`CELLS`.
        gates: names of the G row blocks of the weights, in order.
        states: ``("hidden",)`` or ``("hidden", "cell")``.
        activations: names of the activations that ``step`` returns, each [B, H].
        peepholes: number of diagonal weights [H] from the cell state to the gates.
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    activations: tuple[str, ...]
    peepholes: int

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """Run one time step.

        Args:
            projected: ``x W_ih^T + b_ih``, [B, G*H].
            state: the hidden state [B, P]; for an LSTM, also the cell state [B, H].
            recur: computes ``W_hh h + b_hh``.

        Returns:
            The new state and the activations.
        """
        ...


class RNNEquations:
    """``h' = f(x W_ih^T + b_ih + W_hh h + b_hh)`` with f tanh or relu (Elman 1990)."""

    gates: tuple[str, ...] = ("candidate",)
    states: tuple[str, ...] = ("hidden",)
    activations: tuple[str, ...] = ()
    peepholes = 0

    def __init__(self, nonlinearity: str) -> None:
        self.name = f"rnn_{nonlinearity}"
        self.function = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        return (self.function(projected + recur(state[0])),), ()


class GRUEquations:
    """Gated recurrent unit (Cho et al. 2014). As in cuDNN and PyTorch, r resets after the product.

    ``r, z = sigmoid(x_rz + W_rz h)``; ``n = tanh(x_n + r * (W_n h + b_n))``; ``h' = (1 - z) * n + z
    * h``.
    """

    name = "gru"
    gates: tuple[str, ...] = ("reset", "update", "candidate")
    states: tuple[str, ...] = ("hidden",)
    activations: tuple[str, ...] = ("reset", "update", "candidate")
    peepholes = 0

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, -1)
        h_r, h_z, h_n = recur(h).chunk(3, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * h,), (r, z, n)


class _ResetBeforeGRU(GRUEquations):
    """GRU that resets before the product (Cho et al. 2014, v1; Keras' ``reset_after=False``).

    Like :class:`GRUEquations`, except ``n = tanh(x_n + W_n (r * h) + b_n)``.
    """

    name = "gru_reset_before"

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, -1)
        h_r, h_z = recur(h, "reset", "update").chunk(2, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + recur(r * h, "candidate"))
        return ((1 - z) * n + z * h,), (r, z, n)


class LSTMEquations:
    """Long short-term memory (Hochreiter & Schmidhuber 1997), forget gate of Gers et al. 2000.

    ``i, f, o = sigmoid(...)``; ``g = tanh(...)``; ``c' = f * c + i * g``; ``h' = o * tanh(c')``.
    """

    name = "lstm"
    gates: tuple[str, ...] = ("input", "forget", "candidate", "output")
    states: tuple[str, ...] = ("hidden", "cell")
    activations: tuple[str, ...] = ("input", "forget", "candidate", "output")
    peepholes = 0

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        h, c = state
        a_i, a_f, a_g, a_o = (projected + recur(h)).chunk(4, -1)
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
        c = f * c + i * g
        return (recur.output(o, c), c), (i, f, g, o)


class _PeepholeLSTM(LSTMEquations):
    """LSTM with peepholes (Gers et al. 2002): i and f read the old cell state, o the new one."""

    name = "lstm_peephole"
    peepholes = 3

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        h, c = state
        p_i, p_f, p_o = recur.peepholes()
        a_i, a_f, a_g, a_o = (projected + recur(h)).chunk(4, -1)
        i, f, g = torch.sigmoid(a_i + p_i * c), torch.sigmoid(a_f + p_f * c), torch.tanh(a_g)
        c = f * c + i * g
        o = torch.sigmoid(a_o + p_o * c)
        return (recur.output(o, c), c), (i, f, g, o)


class _CoupledLSTM(LSTMEquations):
    """LSTM with coupled gates, ``i = 1 - f`` (CIFG, Greff et al. 2017), so G = 3."""

    name = "lstm_coupled"
    gates: tuple[str, ...] = ("forget", "candidate", "output")

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        h, c = state
        a_f, a_g, a_o = (projected + recur(h)).chunk(3, -1)
        f, g, o = torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
        c = f * c + (1 - f) * g
        return (recur.output(o, c), c), (1 - f, f, g, o)


class _CoupledPeepholeLSTM(LSTMEquations):
    """LSTM with coupled gates and peepholes: f reads the old cell state, o the new one."""

    name = "lstm_coupled_peephole"
    gates: tuple[str, ...] = ("forget", "candidate", "output")
    peepholes = 2

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """See :class:`Cell`."""
        h, c = state
        p_f, p_o = recur.peepholes()
        a_f, a_g, a_o = (projected + recur(h)).chunk(3, -1)
        f, g = torch.sigmoid(a_f + p_f * c), torch.tanh(a_g)
        c = f * c + (1 - f) * g
        o = torch.sigmoid(a_o + p_o * c)
        return (recur.output(o, c), c), (1 - f, f, g, o)


CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        RNNEquations("tanh"),
        RNNEquations("relu"),
        GRUEquations(),
        _ResetBeforeGRU(),
        LSTMEquations(),
        _PeepholeLSTM(),
        _CoupledLSTM(),
        _CoupledPeepholeLSTM(),
    )
}
"""Name -> cell."""
