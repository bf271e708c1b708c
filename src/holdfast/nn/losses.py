"""Losses of forecasts with gaps: a target that was not observed (NaN, or mask 0) counts for nothing.

Letters: B batch, h horizon, C channels, Q quantiles. Each loss is a mean over the observed targets, in the
targets' unit (``mse_loss``: its square), and zero where nothing was observed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.errors import UserError


def pinball_loss(
    output: Tensor, target: Tensor, levels: Sequence[float], mask: Tensor | None = None
) -> Tensor:
    """Quantile loss (Koenker & Bassett 1978): ``max(q e, (q - 1) e)`` with ``e = target - output``, mean over Q.

    For the single level 0.5 it is half of :func:`l1_loss`.

    Args:
        output: [B, h, C, Q], one entry along Q for each of ``levels``.
        target: [B, h, C]; NaN where not observed.
        levels: Q numbers between 0 and 1.
        mask: [B, h, C] of 0 and 1, or None: where to count.

    Raises:
        UserError: Q differs from the number of levels, or a level lies outside (0, 1).
    """
    if output.size(-1) != len(levels) or not all(0 < level < 1 for level in levels):
        raise UserError(
            "The quantile loss takes one level in (0, 1) for each output.",
            f"There were {output.size(-1)} outputs and the levels {list(levels)}.",
            "Give as many levels as the network has quantiles.",
        )
    error, counted = _error(output, target, mask)
    level = torch.tensor(levels, dtype=output.dtype, device=output.device)
    return _mean(torch.maximum(level * error, (level - 1) * error), counted)


def l1_loss(output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error of every entry of ``output`` [B, h, C, Q]; arguments as :func:`pinball_loss`."""
    error, counted = _error(output, target, mask)
    return _mean(error.abs(), counted)


def mse_loss(output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error of every entry of ``output`` [B, h, C, Q]; arguments as :func:`pinball_loss`."""
    error, counted = _error(output, target, mask)
    return _mean(error.square(), counted)


def _error(output: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """``target - output`` [B, h, C, Q], 0 (and without gradient) where not counted, and what counts [B, h, C, 1]."""
    counted = target.isfinite() if mask is None else target.isfinite() & mask.bool()
    error = torch.where(counted, target, 0.0).unsqueeze(-1) - output
    return torch.where(counted.unsqueeze(-1), error, 0.0), counted.unsqueeze(-1)


def _mean(loss: Tensor, counted: Tensor) -> Tensor:
    return loss.sum() / (counted.sum().clamp(min=1) * loss.size(-1))
