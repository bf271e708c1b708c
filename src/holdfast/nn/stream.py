"""Run layers one time step at a time: live audio, sensors, text as it is typed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.nn.cells import State
from holdfast.nn.kernels.native import Int8, Native
from holdfast.nn.kernels.stream_stack import NativeSteps, Shapes, misfit

if TYPE_CHECKING:
    from holdfast.nn.recurrent import Hidden, Recurrent


class Stream:
    """A copy of a layer that runs one time step at a time and keeps its state: ``layer.stream()``.

    A stream runs in evaluation mode (no dropout, zoneout's mean) and without gradients. It runs one
    or more sequences, called sessions, together: row k of the input belongs to ``sessions[k]``.
    Only one thread at a time may use it.

    Args:
        layer: the layer to copy; later changes of its weights do not reach the stream.
        batch: number of sessions at the start.

    Attributes:
        sessions: numbers of the sessions, in the order of the rows; at first 0 ... batch - 1.
        kernel: ``"native"`` or ``"int8"`` (see :func:`holdfast.quantize`). If the compiled core
            cannot run the layer, the name of another kernel; each step then calls the layer.

    Raises:
        ValueError: the layer is bidirectional, or ``batch`` is below 1.

    Example:
        >>> import torch, holdfast
        >>> layer, x = holdfast.GRU(3, 5), torch.randn(7, 1, 3)
        >>> stream = layer.stream()
        >>> steps = torch.stack([stream.step(x_t) for x_t in x])
        >>> torch.allclose(steps, layer(x)[0], atol=1e-6)
        True
    """

    def __init__(self, layer: Recurrent, batch: int = 1) -> None:
        if layer.bidirectional:
            raise ValueError("the layer of a stream must run forward in time, but it is bidirectional")
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
        """Map each input shape of a step to its output shape."""
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
        """Run one time step of every session.

        Args:
            x: [B, I] with one row for each of ``sessions``, or [I] for a single session; torch or
                numpy.

        Returns:
            The last layer's output [B, P], or [P]: a new tensor or array, like ``x``.

        Raises:
            ValueError: the shape of ``x`` does not fit.
            TypeError: the dtype or the device of ``x`` is not the layer's.
        """
        if isinstance(x, np.ndarray):
            return self._steps.array(x, self._pairs)
        return self._steps.tensor(x, self._pairs)

    def __len__(self) -> int:
        """Return the number of sessions, B."""
        return len(self.sessions)

    @property
    def state(self) -> Any:
        """A copy of the state in the form of ``hx``, [L, B, width]; assign to set the state."""
        layers = self._steps.get(len(self.sessions))
        joined = tuple(torch.stack(states) for states in zip(*layers, strict=True))
        return joined if len(joined) == 2 else joined[0]

    @state.setter
    def state(self, hx: Tensor | State) -> None:
        self._steps.set(self._by_layer(hx, len(self.sessions)))

    def reset(self) -> None:
        """Set every session back to the initial state."""
        self._steps.set([tuple(s.expand(len(self.sessions), -1) for s in state) for state in self._start])

    def join(self, state: Hidden = None) -> int:
        """Add a session, in the last row.

        Args:
            state: its state, in the form of ``state`` with B = 1; the layer's initial state if
                None.

        Returns:
            The number of the session.

        Raises:
            ValueError: the shape of ``state`` does not fit.
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
            ValueError: there is no such session, or it is the only one.
        """
        if session not in self.sessions:
            raise ValueError(f"leave must get one of the sessions {self.sessions}, but got {session}")
        if len(self.sessions) == 1:
            raise ValueError(f"a stream must keep one session, but {session} is the only one")
        row = self.sessions.index(session)
        stay = [k for k in range(len(self.sessions)) if k != row]
        self._steps.resize([tuple(s[stay] for s in state) for state in self._steps.get(len(self.sessions))])
        self.sessions.remove(session)
        self._shape()

    def _by_layer(self, hx: Tensor | State, batch: int) -> list[State]:
        """Split ``hx`` into the states [B, width] of each layer."""
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        wanted = [(self._layer.num_layers, batch, width) for width in self._layer._widths]
        if [tuple(s.shape) for s in states] != wanted:
            raise ValueError(
                f"a state must have the shapes {wanted}, but got {[tuple(s.shape) for s in states]}"
            )
        return list(zip(*(s.unbind() for s in states), strict=True))


def _rows(old: State, new: State) -> State:
    return tuple(torch.cat([o, n.to(o)]) for o, n in zip(old, new, strict=True))


def _initial(layer: Recurrent, batch: int) -> list[State]:
    return [p.state for p in layer.problems(batch)]


class _LayerSteps:
    """The steps of a stream as calls of the layer, for layers that the compiled core cannot run."""

    def __init__(self, layer: Recurrent, batch: int) -> None:
        self._layer = layer
        self.kernel = layer.plan(layer.weight_ih_l0.new_zeros(1, 1, layer.input_size)).kernel
        self._states = _initial(layer, batch)

    def tensor(self, x: Tensor, shapes: Shapes) -> Tensor:
        """Run one step on a tensor of the layer's dtype and device."""
        weight = self._layer.weight_ih_l0
        if tuple(x.shape) not in shapes:
            raise misfit(x, shapes)
        if x.dtype != weight.dtype or x.device != weight.device:
            raise TypeError(
                f"the input of a step must be {weight.dtype} on {weight.device}, but got {x.dtype} on {x.device}"
            )
        hx = tuple(torch.stack(states) for states in zip(*self._states, strict=True))
        batched = x.view(-1, 1, x.size(-1)) if self._layer.batch_first else x.view(1, -1, x.size(-1))
        y, state = self._layer(batched, hx if len(hx) == 2 else hx[0])
        states = state if isinstance(state, tuple) else (state,)
        self.set(list(zip(*(s.unbind() for s in states), strict=True)))
        outputs: Tensor = y.reshape(shapes[tuple(x.shape)])
        return outputs

    def array(self, x: Array, shapes: Shapes) -> Array:
        """Run one step on a numpy array."""
        return self.tensor(torch.from_numpy(x), shapes).numpy(force=True)

    def get(self, batch: int) -> list[State]:
        """Return copies of each layer's states."""
        return [tuple(s.clone() for s in state) for state in self._states]

    def set(self, states: Sequence[State]) -> None:
        """Replace each layer's states, for any batch size."""
        like = self._layer.weight_ih_l0
        self._states = [tuple(s.detach().to(like).clone() for s in state) for state in states]

    resize = set


def _steps(layer: Recurrent, batch: int) -> NativeSteps | _LayerSteps:
    problems = layer.problems(batch)
    native = Int8() if layer.options.kernel == Int8.name else Native()
    able = problems[0].x.dtype == torch.float32 and all(native.refuses(p) is None for p in problems)
    if able and layer.options.kernel in ("auto", native.name):
        return NativeSteps(problems, native)
    return _LayerSteps(layer, batch)
