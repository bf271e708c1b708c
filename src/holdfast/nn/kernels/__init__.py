"""Kernels that run a cell over a whole sequence, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isqrt

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from holdfast.nn.cells import State
from holdfast.nn.kernels.aten import Aten
from holdfast.nn.kernels.native import Int8, Native
from holdfast.nn.kernels.noise import RecurrentNoise, Zoneout
from holdfast.nn.kernels.problem import Kernel, Problem, ScanResult
from holdfast.nn.kernels.reference import Reference

KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (Native(), Aten(), Reference())}
"""Name -> kernel, in the order in which ``auto`` tries them."""

ROUNDING_KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (Int8(),)}
"""Name -> kernel with rounded weights; ``auto`` never chooses one."""


@dataclass(frozen=True)
class Plan:
    """The kernel that runs, why each kernel before it cannot, and a remark on how it computes.

    ``str(plan)`` is one line: ``"aten (native cannot: it takes float32, not an input of torch.float64)"``.
    """

    kernel: str
    refused: dict[str, str] = field(default_factory=dict)
    remark: str | None = None

    def __str__(self) -> str:
        reasons = "; ".join(f"{name} cannot: {reason}" for name, reason in self.refused.items())
        why = f"{self.kernel} ({reasons})" if reasons else f"{self.kernel} (the first choice here)"
        return why if self.remark is None else f"{why}; {self.remark}"


def check_name(kernel: str) -> None:
    """Raise a ValueError for an unknown kernel name."""
    if kernel != "auto" and kernel not in KERNELS | ROUNDING_KERNELS:
        raise ValueError(f"kernel must be one of {['auto', *KERNELS, *ROUNDING_KERNELS]}, but got {kernel!r}")


def choose(problem: Problem, kernel: str = "auto") -> Plan:
    """Choose a kernel for a problem.

    Args:
        problem: the sequence to run.
        kernel: ``"auto"`` for the first kernel that can run it, or a name, which is never replaced.

    Raises:
        RuntimeError: the named kernel cannot run this problem; the message says why.
    """
    if kernel != "auto":
        named = (KERNELS | ROUNDING_KERNELS)[kernel]
        reason = named.refuses(problem)
        if reason is not None:
            raise RuntimeError(
                f"kernel {kernel!r} cannot run this: {reason}. Use kernel='auto' or change that."
            )
        return Plan(kernel, remark=named.remark(problem))
    refused: dict[str, str] = {}
    for name, candidate in KERNELS.items():
        reason = candidate.refuses(problem)
        if reason is None:
            return Plan(name, refused, candidate.remark(problem))
        refused[name] = reason
    raise AssertionError("the reference kernel runs everything")


def scan(problem: Problem, kernel: str = "auto") -> ScanResult:
    """Run a cell over a whole sequence with the kernel that :func:`choose` returns."""
    return (KERNELS | ROUNDING_KERNELS)[choose(problem, kernel).kernel].run(problem)


def scan_in_segments(problem: Problem, kernel: str) -> ScanResult:
    """Run :func:`scan` with activations of about 2 sqrt(T) steps in memory, and equal gradients.

    The sequence runs in segments of sqrt(T) steps under :func:`torch.utils.checkpoint.checkpoint`
    (Chen et al. 2016). The forward pass keeps the state between segments, and the backward pass
    runs each segment again. This costs one more forward pass.
    """
    size = max(isqrt(problem.x.size(0)), 1)
    segments = list(enumerate(problem.x.split(size)))
    state, outputs = problem.state, [problem.x] * len(segments)
    for i, x in reversed(segments) if problem.reverse else segments:
        outputs[i], *states = checkpoint(
            _segment, problem, kernel, i * size, x, *state, use_reentrant=False, preserve_rng_state=False
        )
        state = tuple(states)
    return ScanResult(torch.cat(outputs), state)


def _segment(problem: Problem, kernel: str, start: int, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
    lengths = None if problem.lengths is None else (problem.lengths - start).clamp(0, x.size(0))
    noise = _noise_from(problem.noise, start, state)
    result = scan(replace(problem, x=x, state=state, lengths=lengths, noise=noise), kernel)
    return result.outputs, *result.state


def _noise_from(noise: RecurrentNoise | None, start: int, state: State) -> RecurrentNoise | None:
    """Return the noise of a scan that begins at step ``start`` of the sequence."""
    if noise is None or noise.zoneout is None:
        return noise
    return replace(noise, zoneout=noise.zoneout.shifted([start * s.numel() for s in state]))


__all__ = [
    "KERNELS",
    "ROUNDING_KERNELS",
    "Kernel",
    "Plan",
    "Problem",
    "RecurrentNoise",
    "ScanResult",
    "Zoneout",
    "check_name",
    "choose",
    "scan",
    "scan_in_segments",
]
