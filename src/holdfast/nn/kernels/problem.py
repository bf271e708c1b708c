"""The interface of a kernel: one layer, one direction, a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad

from holdfast.nn.cells import Cell, State, Weights
from holdfast.nn.kernels.noise import RecurrentNoise


@dataclass(frozen=True)
class Problem:
    """A cell to run over a sequence.

    Attributes:
        cell: the cell.
        x: the layer's input [T, B, I], not projected.
        state: the initial state, [B, P] and, for an LSTM, [B, H].
        weights: the parameters.
        lengths: [B] int64, or None. Outputs past a sequence's end are zero, and its final state is
            the state at its last step.
        reverse: run from the last step to the first. Steps past a sequence's end do not change the
            state, so the reverse direction starts at each sequence's own end.
        noise: recurrent dropout and zoneout.
        trace: return the activations too.
    """

    cell: Cell
    x: Tensor
    state: State
    weights: Weights
    lengths: Tensor | None = None
    reverse: bool = False
    noise: RecurrentNoise | None = None
    trace: bool = False


@dataclass(frozen=True)
class ScanResult:
    """Result of a kernel.

    ``outputs`` [T, B, P], the final ``state``, and, if traced, ``activations``: name -> [T, B,
    width].
    """

    outputs: Tensor
    state: State
    activations: dict[str, Tensor] | None = None


class Kernel(Protocol):
    """Protocol of a kernel, which runs a cell over a whole sequence."""

    name: str

    def refuses(self, problem: Problem) -> str | None:
        """Return why this kernel cannot run the problem, as a clause; None if it can."""
        ...

    def remark(self, problem: Problem) -> str | None:
        """Return a remark for the plan on how this kernel computes, or None."""
        ...

    def run(self, problem: Problem) -> ScanResult:
        """Run the problem; called only if :meth:`refuses` returns None."""
        ...


def transformed() -> bool:
    """Return whether a transform of torch.func or forward-mode differentiation is active.

    Only plain torch operations run under one.
    """
    if torch.compiler.is_compiling():
        return False
    forward_mode: bool = forward_ad._current_level >= 0
    return forward_mode or torch._C._functorch.peek_interpreter_stack() is not None
