"""What a kernel is given and what it returns: one layer, one direction, a whole sequence."""

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
    """Run ``cell`` over ``x`` [T, B, I] from ``state`` ([B, P] and, for an LSTM, [B, H]).

    ``lengths`` [B] int64: outputs are zero past a sequence's end and its final state is that of its own last
    step. ``reverse`` runs from the last step to the first; a step past the end leaves the state
    untouched, so that the reverse direction starts at each sequence's own end. ``trace`` asks for the activations.
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
    """``outputs`` [T, B, P], the final ``state``, and the named ``activations`` [T, B, width] where asked."""

    outputs: Tensor
    state: State
    activations: dict[str, Tensor] | None = None


class Kernel(Protocol):
    """A way to run a whole sequence."""

    name: str

    def refuses(self, problem: Problem) -> str | None:
        """Why this kernel cannot run the problem, as a sentence; None when it can."""
        ...

    def remark(self, problem: Problem) -> str | None:
        """What a plan says of how this kernel computes the problem; mostly nothing."""
        ...

    def run(self, problem: Problem) -> ScanResult:
        """Run it. Only called when :meth:`refuses` returned None."""
        ...


def transformed() -> bool:
    """Whether a transform (vmap, grad, forward-mode derivatives, ...) is at work: only plain torch runs under it."""
    if torch.compiler.is_compiling():
        return False
    forward_mode: bool = forward_ad._current_level >= 0
    return forward_mode or torch._C._functorch.peek_interpreter_stack() is not None
