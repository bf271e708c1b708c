"""Layers that run one step at a time and remember where they are: live audio, sensors, text as it is typed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol, Self, overload

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.nn import layout
from holdfast.nn.cells import State
from holdfast.nn.kernels import Plan
from holdfast.nn.kernels.native import Int8, Native
from holdfast.nn.kernels.problem import Problem
from holdfast.nn.kernels.stream_stack import NativeSteps, Shapes, misfit
from holdfast.nn.options import Options


class Layer(layout.Layer, Protocol):
    """What a stream needs of a layer: :class:`holdfast.nn.recurrent.Recurrent` has it."""

    bidirectional: bool
    options: Options

    def __call__(self, x: Tensor, hx: Any) -> tuple[Tensor, Any]:
        """Run over whole sequences."""
        ...

    def eval(self) -> Self:
        """Behave as in evaluation."""
        ...

    def requires_grad_(self, requires_grad: bool) -> Self:
        """Say whether gradients are kept."""
        ...

    def problems(self, batch: int) -> list[Problem]:
        """One step in each layer, from its beginning."""
        ...

    def plan(self, x: Tensor) -> Plan:
        """Which kernel would run."""
        ...


class Stream:
    """A layer's state and a copy of its weights, taken when it is made: ``layer.stream()``.

    It runs as in evaluation (no dropout; zoneout's mean) and without gradients. Several sequences, each a session, go
    together: row k of the input belongs to ``sessions[k]``. One thread at a time may use it.

    Attributes:
        sessions: the sessions' numbers, in the order of the rows; at first 0 ... batch - 1.
        kernel: ``"native"``, ``"int8"`` (see :func:`holdfast.quantize`), or the kernel that runs
            where the compiled core cannot, one call of the layer a step.

    Example:
        >>> import torch, holdfast
        >>> layer, x = holdfast.GRU(3, 5), torch.randn(7, 1, 3)
        >>> stream = layer.stream()
        >>> steps = torch.stack([stream.step(x_t) for x_t in x])
        >>> torch.allclose(steps, layer(x)[0], atol=1e-6)
        True
    """

    def __init__(self, layer: Layer, batch: int = 1) -> None:
        if layer.bidirectional:
            raise ValueError(
                "a stream runs forward in time, but the layer is bidirectional: make it with False"
            )
        if batch < 1:
            raise ValueError(f"batch must be at least 1, but got {batch}")
        self._layer = copy.deepcopy(layer).eval().requires_grad_(False)
        self._steps = _steps(self._layer, batch)
        self.kernel = self._steps.kernel
        self.sessions = list(range(batch))
        self._next = batch
        self._sizes = layer.input_size, self._layer._widths[0]
        self._start = _initial(self._layer, 1)
        self._shape()

    def _shape(self) -> None:
        """The shapes that a step takes and gives."""
        inputs, outputs = self._sizes
        batch = len(self.sessions)
        self._pairs: dict[tuple[int, ...], tuple[int, ...]] = {(batch, inputs): (batch, outputs)}
        if batch == 1:
            self._pairs[(inputs,)] = (outputs,)

    @overload
    def step(self, x: Tensor) -> Tensor: ...
    @overload
    def step(self, x: Array) -> Array: ...
    def step(self, x: Tensor | Array) -> Tensor | Array:
        """One step of every session.

        Args:
            x: [B, I] with a row for each of ``sessions``, or [I] where there is one; torch or numpy.

        Returns:
            the top layer's output [B, P], or [P]; a new array of the kind of ``x``.

        Raises:
            ValueError, TypeError: another shape, type or device than the layer's.
        """
        return (
            self._steps.array(x, self._pairs)
            if isinstance(x, np.ndarray)
            else self._steps.tensor(x, self._pairs)
        )

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self.sessions)

    @property
    def state(self) -> Any:
        """A copy of the state in the form of the layer's ``hx``, [L, B, width]; what is set is taken over."""
        layers = self._steps.get(len(self.sessions))
        joined = tuple(torch.stack(states) for states in zip(*layers, strict=True))
        return joined if len(joined) == 2 else joined[0]

    @state.setter
    def state(self, hx: Any) -> None:
        self._steps.set(self._by_layer(hx, len(self.sessions)))

    def reset(self) -> None:
        """Every session begins anew."""
        self._steps.set([tuple(s.expand(len(self.sessions), -1) for s in state) for state in self._start])

    def join(self, state: Any = None) -> int:
        """A new session, in the last row.

        Args:
            state: where it begins, in the form of ``state`` with B = 1; the layer's beginning when None.

        Returns:
            its number.
        """
        joining = self._start if state is None else self._by_layer(state, 1)
        present = self._steps.get(len(self.sessions))
        self._steps.resize([_rows(old, new) for old, new in zip(present, joining, strict=True)])
        self.sessions.append(self._next)
        self._next += 1
        self._shape()
        return self.sessions[-1]

    def leave(self, session: int) -> None:
        """End a session; the rows after it move up.

        Raises:
            ValueError: there is no such session, or it is the last one.
        """
        if session not in self.sessions or len(self.sessions) == 1:
            raise ValueError(
                f"leave takes one of the sessions {self.sessions}, of which one stays, but got {session}"
            )
        row = self.sessions.index(session)
        stay = [k for k in range(len(self.sessions)) if k != row]
        self._steps.resize([tuple(s[stay] for s in state) for state in self._steps.get(len(self.sessions))])
        self.sessions.remove(session)
        self._shape()

    def _by_layer(self, hx: Any, batch: int) -> list[State]:
        """Hx -> for each layer its states [B, width]."""
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        wanted = [(self._layer.num_layers, batch, width) for width in self._layer._widths]
        if [tuple(s.shape) for s in states] != wanted:
            raise ValueError(f"a state has the shapes {wanted}, but got {[tuple(s.shape) for s in states]}")
        return list(zip(*(s.unbind() for s in states), strict=True))


def _rows(old: State, new: State) -> State:
    return tuple(torch.cat([o, n.to(o)]) for o, n in zip(old, new, strict=True))


def _initial(layer: Layer, batch: int) -> list[State]:
    return [p.state for p in layer.problems(batch)]


class _LayerSteps:
    """The steps of a stream by calls of the layer itself, where the compiled core cannot."""

    def __init__(self, layer: Layer, batch: int) -> None:
        self._layer = layer
        self.kernel = layer.plan(layer.weight_ih_l0.new_zeros(1, 1, layer.input_size)).kernel
        self._states = _initial(layer, batch)

    def tensor(self, x: Tensor, shapes: Shapes) -> Tensor:
        """As of :class:`holdfast.nn.kernels.stream_stack.NativeSteps`, in the dtype and on the device of the layer."""
        weight = self._layer.weight_ih_l0
        if tuple(x.shape) not in shapes:
            raise misfit(x, shapes)
        if x.dtype != weight.dtype or x.device != weight.device:
            raise TypeError(
                f"a step takes {weight.dtype} on {weight.device}, but got {x.dtype} on {x.device}"
            )
        hx = tuple(torch.stack(states) for states in zip(*self._states, strict=True))
        batched = x.view(-1, 1, x.size(-1)) if self._layer.batch_first else x.view(1, -1, x.size(-1))
        y, state = self._layer(batched, hx if len(hx) == 2 else hx[0])
        self.set(
            list(zip(*(s.unbind() for s in (state if isinstance(state, tuple) else (state,))), strict=True))
        )
        outputs: Tensor = y.reshape(shapes[tuple(x.shape)])
        return outputs

    def array(self, x: Array, shapes: Shapes) -> Array:
        """The same from numpy to numpy."""
        return self.tensor(torch.from_numpy(x), shapes).numpy(force=True)

    def get(self, batch: int) -> list[State]:
        """Copies of the states of each layer."""
        return [tuple(s.clone() for s in state) for state in self._states]

    def set(self, states: Sequence[State]) -> None:
        """Take over states."""
        like = self._layer.weight_ih_l0
        self._states = [tuple(s.detach().to(like).clone() for s in state) for state in states]

    resize = set


def _steps(layer: Layer, batch: int) -> NativeSteps | _LayerSteps:
    problems = layer.problems(batch)
    native = Int8() if layer.options.kernel == Int8.name else Native()
    able = problems[0].x.dtype == torch.float32 and all(native.refuses(p) is None for p in problems)
    if able and layer.options.kernel in ("auto", native.name):
        return NativeSteps(problems, native)
    return _LayerSteps(layer, batch)
