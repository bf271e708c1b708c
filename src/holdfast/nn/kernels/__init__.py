"""How a whole sequence is run: :func:`scan` is the one door; :func:`choose` can say why."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.nn.kernels.aten import Aten
from holdfast.nn.kernels.checkpointing import scan_in_segments
from holdfast.nn.kernels.native import Int8, Native
from holdfast.nn.kernels.noise import RecurrentNoise, Zoneout
from holdfast.nn.kernels.problem import Kernel, Problem, ScanResult
from holdfast.nn.kernels.reference import Reference

KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (Native(), Aten(), Reference())}
"""In the order in which ``auto`` tries them."""

ROUNDING_KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (Int8(),)}
"""Those that run only where they are asked for by name."""


@dataclass(frozen=True)
class Plan:
    """Which kernel runs, why each one before it could not, and a remark on how it computes.

    ``str(plan)`` is a sentence: ``"aten (native cannot: the input is float64, it takes float32)"``.
    """

    kernel: str
    refused: dict[str, str] = field(default_factory=dict)
    remark: str | None = None

    def __str__(self) -> str:
        reasons = "; ".join(f"{name} cannot: {reason}" for name, reason in self.refused.items())
        why = f"{self.kernel} ({reasons})" if reasons else f"{self.kernel} (the first choice here)"
        return why if self.remark is None else f"{why}; {self.remark}"


def check_name(kernel: str) -> None:
    """An unknown kernel name is a ValueError."""
    if kernel != "auto" and kernel not in KERNELS | ROUNDING_KERNELS:
        raise ValueError(f"kernel must be one of {['auto', *KERNELS, *ROUNDING_KERNELS]}, but got {kernel!r}")


def choose(problem: Problem, kernel: str = "auto") -> Plan:
    """Choose a kernel for a problem.

    Args:
        problem: what is to run.
        kernel: ``"auto"`` for the first that can, or a name, which is never replaced by another.

    Raises:
        RuntimeError: the kernel asked for by name cannot run this problem; the message says why.
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
    """Run a cell over a whole sequence with the kernel that :func:`choose` names."""
    return (KERNELS | ROUNDING_KERNELS)[choose(problem, kernel).kernel].run(problem)


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
