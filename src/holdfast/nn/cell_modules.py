"""RNNCell, GRUCell and LSTMCell: one time step as a module, drop-in for torch.nn."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from holdfast._json import Keywords
from holdfast.nn.cells import CELLS, Cell, Recurrence, State, Weights


class _CellModule(nn.Module):
    """Parameters and checks that RNNCell, GRUCell and LSTMCell share."""

    cell: Cell
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = len(self.cell.gates) * hidden_size
        factory: Keywords = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty((rows, input_size), **factory))
        self.weight_hh = nn.Parameter(torch.empty((rows, hidden_size), **factory))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, nn.Parameter(torch.empty(rows, **factory)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill every parameter from ``U(-1/sqrt(H), 1/sqrt(H))``, in torch.nn's order."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Return torch.nn's text."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _step(self, input: Tensor, hx: State | None) -> State:
        if not isinstance(input, Tensor):
            raise TypeError(f"input must be a Tensor, but got {type(input).__name__}")
        self._check_dim("input", input)
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        state = (input.new_zeros(shape),) * len(self.cell.states) if hx is None else self._checked(hx, shape)
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        new, _ = self.cell.step(weights.project(input), state, Recurrence(self.cell, weights))
        return new

    def _checked(self, hx: State, shape: tuple[int, ...]) -> State:
        if len(hx) != len(self.cell.states):
            raise RuntimeError(f"hx must hold {len(self.cell.states)} tensor(s) of state, but got {len(hx)}")
        for state in hx:
            if not isinstance(state, Tensor):
                raise TypeError(f"hx must hold Tensors, but got {type(state).__name__}")
            self._check_dim("hx", state)
            if state.shape != shape:
                raise RuntimeError(f"Expected hidden size {shape}, got {list(state.shape)}")
            if state.dtype != self.weight_hh.dtype and not torch.is_autocast_enabled(state.device.type):
                raise RuntimeError(
                    f"hx must have the weight's dtype {self.weight_hh.dtype}, but got {state.dtype}"
                )
        return tuple(hx)

    def _check_dim(self, name: str, tensor: Tensor) -> None:
        if tensor.dim() not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: Expected {name} to be 1D or 2D, got {tensor.dim()}D instead"
            )


class _SingleStateCell(_CellModule):
    """A cell whose state is one tensor."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Run one time step.

        Args:
            input: [B, I], or [I] unbatched.
            hx: hidden state [B, H], or [H] unbatched; zeros if None.

        Returns:
            The new hidden state, in the shape of ``hx``.

        Raises:
            ValueError: ``input`` or ``hx`` has neither 1 nor 2 dimensions.
            RuntimeError: sizes, dtypes or devices do not match.
            TypeError: ``input`` or ``hx`` is not a Tensor.
        """
        return self._step(input, None if hx is None else (hx,))[0]


class RNNCell(_SingleStateCell):
    """One step of an Elman network, drop-in for :class:`torch.nn.RNNCell`.

    ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu: :class:`holdfast.nn.cells.RNNEquations`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: False leaves out ``bias_ih`` and ``bias_hh``.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        device, dtype: of the parameters.

    Attributes:
        weight_ih: [H, I].
        weight_hh: [H, H].
        bias_ih, bias_hh: [H], or None.

    Raises:
        ValueError: ``nonlinearity`` is neither of the two.

    Example:
        >>> import torch
        >>> RNNCell(3, 5, nonlinearity="relu")(torch.zeros(2, 3)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if f"rnn_{nonlinearity}" not in CELLS:
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        self.cell = CELLS[f"rnn_{nonlinearity}"]
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def extra_repr(self) -> str:
        """Return torch.nn's text."""
        relu = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + relu


class GRUCell(_SingleStateCell):
    """One step of a gated recurrent unit, drop-in for :class:`torch.nn.GRUCell`.

    ``r, z = sigmoid(...)``; ``n = tanh(x_n + r * (W_n h + b_n))``; ``h' = (1 - z) * n + z * h``:
    :class:`holdfast.nn.cells.GRUEquations`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: False leaves out ``bias_ih`` and ``bias_hh``.
        device, dtype: of the parameters.

    Attributes:
        weight_ih: [3*H, I], the gates r, z, n one after the other.
        weight_hh: [3*H, H].
        bias_ih, bias_hh: [3*H], or None.

    Example:
        >>> import torch
        >>> cell, h = GRUCell(3, 5), torch.zeros(2, 5)
        >>> for x_t in torch.randn(7, 2, 3):
        ...     h = cell(x_t, h)
        >>> h.shape
        torch.Size([2, 5])
    """

    cell = CELLS["gru"]


class LSTMCell(_CellModule):
    """One step of a long short-term memory, drop-in for :class:`torch.nn.LSTMCell`.

    ``i, f, o = sigmoid(...)``; ``g = tanh(...)``; ``c' = f * c + i * g``; ``h' = o * tanh(c')``:
    :class:`holdfast.nn.cells.LSTMEquations`.

    Args:
        input_size: I.
        hidden_size: H.
        bias: False leaves out ``bias_ih`` and ``bias_hh``.
        device, dtype: of the parameters.

    Attributes:
        weight_ih: [4*H, I], the gates i, f, g, o one after the other.
        weight_hh: [4*H, H].
        bias_ih, bias_hh: [4*H], or None.

    Example:
        >>> import torch
        >>> h, c = LSTMCell(3, 5)(torch.zeros(2, 3))
        >>> h.shape, c.shape
        (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    cell = CELLS["lstm"]

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Run one time step.

        Args:
            input: [B, I], or [I] unbatched.
            hx: hidden and cell state (h, c), each [B, H], or [H] unbatched; zeros if None.

        Returns:
            The new (h, c).

        Raises:
            ValueError: ``input`` or a state has neither 1 nor 2 dimensions.
            RuntimeError: sizes, dtypes or devices do not match, or ``hx`` does not hold two
                tensors.
            TypeError: ``input`` is not a Tensor, or ``hx`` is not a pair of Tensors.
        """
        if isinstance(hx, Tensor):
            raise TypeError("hx must be a pair of Tensors (h, c), but got a Tensor")
        h, c = self._step(input, hx)
        return h, c
