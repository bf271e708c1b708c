"""Memory of the backward pass that is used again: fresh pages of a large array cost about as much as filling it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

_KEPT = 2
_free: list[Tensor] = []
_guard = Lock()


def _renew() -> None:
    """Another thread may have held the lock when this process was forked."""
    global _guard  # noqa: PLW0603
    _guard = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def scratch(floats: int) -> Iterator[Tensor]:
    """A float32 array of this many elements holding anything, for the time of the block."""
    taken = _take(floats)
    try:
        yield taken[:floats]
    finally:
        with _guard:
            _free.append(taken)
            del _free[:-_KEPT]


def _take(floats: int) -> Tensor:
    """The smallest free one that is large enough and not more than twice as large, or a new one."""
    with _guard:
        fitting = [t for t in _free if floats <= t.numel() <= 2 * floats]
        if fitting:
            best = min(fitting, key=Tensor.numel)
            _free[:] = [t for t in _free if t is not best]
            return best
    return torch.empty(floats, dtype=torch.float32, device="cpu")
