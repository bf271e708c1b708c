"""Something that can be timed, and how to read what it computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused


def _as_arrays(result: Any) -> list[Array]:
    """A result (one tensor or several, of any library) as float32 arrays."""
    several = result if isinstance(result, tuple | list) else [result]
    return [
        part.detach().float().numpy().copy() if isinstance(part, Tensor) else np.array(part, dtype=np.float32)
        for part in several
    ]


@dataclass(frozen=True)
class Runner:
    """A case as one library runs it.

    Attributes:
        call: what is timed. Inference gives y [T, B, H]; training the gradients of x and of the two weights
            (fewer will do), in torch.nn's layout; a stream y [B, H] of one more step.
        read: what ``call`` gives as arrays, for comparison.
        flop: of one call, where the share of the peak is wanted.
    """

    call: Callable[[], Any]
    read: Callable[[Any], Sequence[Array]] = _as_arrays
    flop: float | None = None


def library(name: str) -> Any:
    """A module that need not be installed; it is an Any for the type checker, whether it is or not."""
    return import_module(name)


def inference(layer: nn.Module, x: Tensor, *more: Any, dtype: torch.dtype | None = None) -> Runner:
    """The forward pass of a torch module, without gradients; with ``dtype`` under autocast."""
    layer = layer.eval()

    def call() -> Tensor:
        with torch.inference_mode(), _autocast(dtype):
            y: Tensor = layer(x, *more)[0]
        return y

    return Runner(call)


def training(layer: nn.Module, x: Tensor, *more: Any, dtype: torch.dtype | None = None) -> Runner:
    """Forward and backward of a torch module, the input's gradient included."""

    def loss(x: Tensor) -> Tensor:
        total: Tensor = layer(x, *more)[0].sum()
        return total

    return differentiated(layer, x, loss, dtype)


def differentiated(
    layer: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor], dtype: torch.dtype | None = None
) -> Runner:
    """A loss and its gradients by the input and all of a layer's parameters."""
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


def _autocast(dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast("cpu", dtype)


MAKERS: dict[str, Callable[..., Runner]] = {"inference": inference, "training": training}
"""How a torch module is run."""


def low_precision(case: Case, layer: nn.Module) -> Runner:
    """A torch module as a variant of bf16 asks: its weights converted, or under autocast."""
    use, _, cast = case.variant.partition(" ")
    if cast == "autocast":
        return MAKERS[use](layer, case.x, dtype=torch.bfloat16)
    return MAKERS[use](layer.bfloat16(), case.x.bfloat16())


def attribute(owner: Any, name: str) -> Any:
    """A part of Holdfast that this version may not have."""
    if not hasattr(owner, name):
        raise Refused("not in this version of Holdfast")
    return getattr(owner, name)
