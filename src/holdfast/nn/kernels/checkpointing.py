"""Long sequences: keep the state at about sqrt(T) steps and compute the rest again in the backward pass."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from holdfast.nn.cells import State
from holdfast.nn.kernels.noise import RecurrentNoise
from holdfast.nn.kernels.problem import Problem, ScanResult


def scan_in_segments(problem: Problem, kernel: str) -> ScanResult:
    """As :func:`holdfast.nn.kernels.scan`, with the same gradients, in memory for about 2 sqrt(T) steps' activations.

    The sequence is run in segments of sqrt(T) steps under :func:`torch.utils.checkpoint.checkpoint` (Chen et al. 2016):
    forward keeps the state between them, backward runs each again. That costs one more forward pass.
    """
    size = max(isqrt(problem.x.size(0)), 1)
    parts = list(enumerate(problem.x.split(size)))
    state, outputs = problem.state, [problem.x] * len(parts)
    for i, x in reversed(parts) if problem.reverse else parts:
        outputs[i], *states = checkpoint(
            _segment, problem, kernel, i * size, x, *state, use_reentrant=False, preserve_rng_state=False
        )
        state = tuple(states)
    return ScanResult(torch.cat(outputs), state)


def _segment(problem: Problem, kernel: str, start: int, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
    from holdfast.nn.kernels import scan

    lengths = None if problem.lengths is None else (problem.lengths - start).clamp(0, x.size(0))
    noise = _later(problem.noise, start, state)
    result = scan(replace(problem, x=x, state=state, lengths=lengths, noise=noise), kernel)
    return result.outputs, *result.state


def _later(noise: RecurrentNoise | None, start: int, state: State) -> RecurrentNoise | None:
    """The noise as seen by a scan that begins at step ``start``."""
    if noise is None or noise.zoneout is None:
        return noise
    return replace(noise, zoneout=noise.zoneout.later([start * s.numel() for s in state]))
