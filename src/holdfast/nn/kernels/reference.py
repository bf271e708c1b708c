"""The reference kernel: a loop over time steps, differentiated by autograd.

Every other kernel is tested against it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.nn.cells import Cell, Recurrence, State
from holdfast.nn.kernels.noise import RecurrentNoise
from holdfast.nn.kernels.problem import Problem, ScanResult

_Update = Callable[[int, State, State], State]


def _no_update(_t: int, _old: State, new: State) -> State:
    return new


def _zoneout(noise: RecurrentNoise | None) -> _Update:
    """Return the update ``s = k * old + (1 - k) * new``."""
    if noise is None or noise.zoneout is None:
        return _no_update
    zoneout = noise.zoneout

    def update(t: int, old: State, new: State) -> State:
        kept = [zoneout.keep(t, i, o) for i, o in enumerate(old)]
        return tuple(k * o + (1 - k) * n for k, o, n in zip(kept, old, new, strict=True))

    return update


def _hold(active: Tensor | None) -> _Update:
    """Return the update that keeps a sequence's state past its end; ``active`` [T, B, 1]."""
    if active is None:
        return _no_update
    return lambda t, old, new: tuple(torch.where(active[t], n, o) for o, n in zip(old, new, strict=True))


def _active(lengths: Tensor | None, x: Tensor) -> Tensor | None:
    if lengths is None:
        return None
    steps = torch.arange(x.size(0), device=x.device)[:, None, None]
    return steps < lengths.to(x.device)[:, None]


def _loop(problem: Problem, projected: Tensor) -> ScanResult:
    cell, state = problem.cell, problem.state
    recur = Recurrence(cell, problem.weights, problem.noise.dropout_mask if problem.noise else None)
    active = _active(problem.lengths, projected)
    zoneout, hold = _zoneout(problem.noise), _hold(active)
    order = range(projected.size(0))
    states: list[State] = []
    activations: list[tuple[Tensor, ...]] = []
    for t in reversed(order) if problem.reverse else order:
        new, seen = cell.step(projected[t], state, recur)
        state = hold(t, state, zoneout(t, state, new))
        states.append(state)
        activations.append(seen)
    stack = _stacker(problem.reverse, active)
    outputs = stack([s[0] for s in states])
    return ScanResult(outputs, state, _named(cell, stack, states, activations) if problem.trace else None)


def _stacker(reverse: bool, active: Tensor | None) -> Callable[[list[Tensor]], Tensor]:
    """Return a function that stacks steps, in the order they ran, to [T, B, width] in time order.

    Steps past a sequence's end are zero.
    """

    def stack(steps: list[Tensor]) -> Tensor:
        whole = torch.stack(steps[::-1] if reverse else steps)
        return whole if active is None else torch.where(active, whole, 0.0)

    return stack


def _named(
    cell: Cell,
    stack: Callable[[list[Tensor]], Tensor],
    states: list[State],
    activations: list[tuple[Tensor, ...]],
) -> dict[str, Tensor]:
    named = {name: stack([a[k] for a in activations]) for k, name in enumerate(cell.activations)}
    return named | {name: stack([s[k] for s in states]) for k, name in enumerate(cell.states)}


class Reference:
    """Runs every cell with every option on any device, in any dtype, with any derivative; slow."""

    name = "reference"

    def refuses(self, problem: Problem) -> str | None:
        """Return None: it runs everything."""
        return None

    def remark(self, problem: Problem) -> None:
        """Return None."""

    def run(self, problem: Problem) -> ScanResult:
        """Run one time step after the other."""
        return _loop(problem, problem.weights.project(problem.x))
