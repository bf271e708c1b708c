"""Comparison of what layers return."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def tensors(result: Any) -> list[Tensor]:
    """Flatten a layer's result, (outputs, state), to a list of tensors."""
    output, state = result
    return [output, *(state if isinstance(state, tuple) else (state,))]


def assert_same(got: Any, expected: Any, tolerance: float = 1e-6) -> None:
    for g, e in zip(tensors(got), tensors(expected), strict=True):
        torch.testing.assert_close(g, e, rtol=0, atol=tolerance)
