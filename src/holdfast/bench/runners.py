"""Runners: a call to time, and how to read its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.bench.cases import Case


def _as_arrays(result: object) -> list[Array]:
    """Convert a result (one or several tensors of any library) to float32 arrays."""
    several = result if isinstance(result, tuple | list) else [result]
    return [
        part.detach().float().numpy().copy() if isinstance(part, Tensor) else np.array(part, dtype=np.float32)
        for part in several
    ]


@dataclass(frozen=True)
class Runner:
    """A case as one library runs it.

    Attributes:
        call: the function to time. Inference returns y [T, B, H]; training the gradients of x and
            the two weights (or fewer), in torch.nn's layout; a stream y [B, H] of one more step.
        read: converts the result of ``call`` to arrays, for comparison.
        flop: flop of one call, for the share of the peak.
    """

    call: Callable[[], object]
    read: Callable[[Any], Sequence[Array]] = _as_arrays
    flop: float | None = None


def inference(layer: nn.Module, x: Tensor, *more: object, dtype: torch.dtype | None = None) -> Runner:
    """Run a torch module without gradients, under autocast if ``dtype`` is given."""
    layer = layer.eval()

    def call() -> Tensor:
        with torch.inference_mode(), _autocast(dtype):
            y: Tensor = layer(x, *more)[0]
        return y

    return Runner(call)


def training(layer: nn.Module, x: Tensor, *more: object, dtype: torch.dtype | None = None) -> Runner:
    """Run forward and backward of a torch module, with the gradient of the input."""

    def loss(x: Tensor) -> Tensor:
        total: Tensor = layer(x, *more)[0].sum()
        return total

    return differentiated(layer, x, loss, dtype)


def differentiated(
    layer: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor], dtype: torch.dtype | None = None
) -> Runner:
    """Run a loss and its gradients with respect to the input and the parameters."""
    leaf = x.detach().clone().requires_grad_()
    layer = layer.train()
    weights: list[Any] = [layer.weight_ih_l0, layer.weight_hh_l0]

    def call() -> tuple[Tensor | None, ...]:
        layer.zero_grad()
        leaf.grad = None
        with _autocast(dtype):
            total = loss(leaf)
        total.backward()
        return (leaf.grad, *(weight.grad for weight in weights))

    return Runner(call)


def _autocast(dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return nullcontext() if dtype is None else torch.autocast("cpu", dtype)


MAKERS: dict[str, Callable[..., Runner]] = {"inference": inference, "training": training}
"""Kind of run -> the function that makes a runner of a torch module."""


def low_precision(case: Case, layer: nn.Module) -> Runner:
    """Run a torch module in a variant of bf16: with converted weights, or under autocast."""
    use, _, cast = case.variant.partition(" ")
    if cast == "autocast":
        return MAKERS[use](layer, case.x, dtype=torch.bfloat16)
    return MAKERS[use](layer.bfloat16(), case.x.bfloat16())
