"""Initial weights of a recurrent layer.

An initializer is a function ``(cell, name, parameter, hidden_size) -> None`` that fills one
parameter in place. ``name`` is the parameter's name without layer and direction: ``weight_ih``,
``bias_hh``, ...
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from holdfast.nn.cells import Cell

Initializer = Callable[[Cell, str, Tensor, int], None]


def _torch_default(cell: Cell, name: str, parameter: Tensor, hidden_size: int) -> None:
    """Fill with ``U(-1/sqrt(H), 1/sqrt(H))``, as torch.nn does."""
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    nn.init.uniform_(parameter, -bound, bound)


def orthogonal(cell: Cell, name: str, parameter: Tensor, hidden_size: int) -> None:
    """Fill recurrent matrices orthogonally, input matrices Glorot uniform, biases with zeros.

    Each gate's recurrent matrix is orthogonal on its own (Saxe et al. 2014).
    """
    if name.startswith("bias"):
        nn.init.zeros_(parameter)
    elif name == "weight_hh":
        for block in parameter.split(hidden_size):
            nn.init.orthogonal_(block)
    elif parameter.dim() == 2:
        nn.init.xavier_uniform_(parameter)
    else:
        _torch_default(cell, name, parameter, hidden_size)


class chrono:  # noqa: N801 - used like a function: init=chrono(500)
    """Gate biases for dependencies of up to ``max_steps`` steps (Tallec & Ollivier 2018).

    An LSTM's forget bias is ``log U(1, T_max - 1)`` and its input bias the negative of it. A GRU's
    update gate, which keeps the old state in PyTorch's convention, gets ``log U(1, T_max - 1)``.
    Everything else starts as in torch.nn.

    Args:
        max_steps: T_max, the longest expected dependency in time steps; at least 3.

    Raises:
        ValueError: ``max_steps`` is below 3. A layer whose cell has no gates raises it too.

    Example:
        >>> from holdfast import LSTM
        >>> LSTM(3, 5, init=chrono(100))
        LSTM(3, 5, init=chrono(100))
    """

    def __init__(self, max_steps: int) -> None:
        if max_steps < 3:
            raise ValueError(f"chrono(max_steps): max_steps must be at least 3, but got {max_steps}")
        self.max_steps = max_steps

    def __repr__(self) -> str:
        return f"chrono({self.max_steps})"

    def __call__(self, cell: Cell, name: str, parameter: Tensor, hidden_size: int) -> None:
        """Fill one parameter; PyTorch adds two biases, so the gate's ``bias_hh`` is zero."""
        _torch_default(cell, name, parameter, hidden_size)
        if not name.startswith("bias"):
            return
        keeper = "forget" if "forget" in cell.gates else "update"
        kept = torch.empty_like(parameter[:hidden_size]).uniform_(1.0, self.max_steps - 1.0).log_()
        blocks = {keeper: kept, "input": -kept}
        for gate in set(blocks) & set(cell.gates):
            block = gate_rows(cell, gate, hidden_size)
            parameter[block] = blocks[gate] if name == "bias_ih" else 0.0


def gate_rows(cell: Cell, gate: str, hidden_size: int) -> slice:
    """Return the rows of a weight or bias that belong to a gate."""
    first = cell.gates.index(gate) * hidden_size
    return slice(first, first + hidden_size)


INITIALIZERS: dict[str, Initializer] = {"torch": _torch_default, "orthogonal": orthogonal}
"""Name -> initializer."""
