"""A stack of layers in the compiled core that runs one time step at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.nn.cells import State
from holdfast.nn.kernels import binding, thread_count
from holdfast.nn.kernels.native import Native, arguments
from holdfast.nn.kernels.problem import Problem

Shapes = Mapping[tuple[int, ...], tuple[int, ...]]


def misfit(x: Tensor | Array, shapes: Shapes) -> Exception:
    """Return the error for an input of the wrong shape, dtype or device."""
    if tuple(x.shape) not in shapes:
        return ValueError(
            f"the input of a step must have one of the shapes {list(shapes)}, but got {tuple(x.shape)}"
        )
    place = f" on {x.device}" if isinstance(x, Tensor) else ""
    return TypeError(f"the input of a step must be float32 on the CPU, but got {x.dtype}{place}; convert it")


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")  # whatever torch's defaults are


def _threads() -> int:
    return thread_count.current.available(torch.get_num_threads())


class NativeSteps:
    """The steps of a :class:`holdfast.Stream` in the core, with packed weights and native states.

    Args:
        problems: one for each layer, with any number of steps; the stream starts from their states.
        kernel: the exact kernel, or the one with int8 weights.
    """

    def __init__(self, problems: Sequence[Problem], kernel: Native) -> None:
        self.kernel = kernel.name
        first, batch = problems[0], problems[0].x.size(1)
        layers = [arguments(problem) for problem in problems]
        self._widths = [[s.size(-1) for s in problem.state] for problem in problems]
        self._core = binding.new_stream(first.cell.name + kernel.suffix, layers, batch)
        self.set([problem.state for problem in problems])

    def tensor(self, x: Tensor, shapes: Shapes) -> Tensor:
        """Run one step on a tensor; ``shapes`` maps each valid shape of x to that of the output."""
        shape = shapes.get(x.shape)
        if shape is None or x.dtype is not torch.float32 or x.device.type != "cpu":
            raise misfit(x, shapes)
        x, y = x.contiguous(), _empty(*shape)
        self._core.step_at(x.data_ptr(), y.data_ptr(), _threads())
        return y

    def array(self, x: Array, shapes: Shapes) -> Array:
        """Run one step on a numpy array."""
        shape = shapes.get(x.shape)
        if shape is None or x.dtype != np.float32:
            raise misfit(x, shapes)
        y: Array = np.empty(shape, np.float32)
        self._core.step(np.ascontiguousarray(x), y, _threads())
        return y

    def get(self, batch: int) -> list[State]:
        """Return copies of each layer's states [B, width]."""
        states = [tuple(_empty(batch, width) for width in widths) for widths in self._widths]
        self._copy(states, False)
        return states

    def set(self, states: Sequence[State]) -> None:
        """Replace the states, for the same batch size."""
        ready = [tuple(s.detach().to("cpu", torch.float32).contiguous() for s in state) for state in states]
        self._copy(ready, True)

    def resize(self, states: Sequence[State]) -> None:
        """Replace the states, for another batch size."""
        self._core.resize(states[0][0].size(0))
        self.set(states)

    def _copy(self, states: Sequence[tuple[Tensor, ...]], into_core: bool) -> None:
        for layer, state in enumerate(states):
            for which, tensor in enumerate(state):
                self._core.copy_state(layer, bool(which), into_core, tensor.data_ptr())
