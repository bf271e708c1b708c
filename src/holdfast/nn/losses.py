"""Losses of forecasts with gaps: targets that are missing (NaN, or mask 0) are left out.

Letters: B batch, h horizon, C channels, Q quantiles. Each loss is a mean over the observed targets,
in the targets' unit (``mse_loss``: its square), and zero if no target was observed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.errors import UserError


def pinball_loss(
    output: Tensor, target: Tensor, levels: Sequence[float], mask: Tensor | None = None
) -> Tensor:
    """Quantile loss (Koenker & Bassett 1978).

    ``max(q e, (q - 1) e)`` with ``e = target - output``, averaged over Q.

    For the single level 0.5 it is half of :func:`l1_loss`.

    Args:
        output: [B, h, C, Q], one entry along Q for each of ``levels``.
        target: [B, h, C]; NaN if not observed.
        levels: Q numbers between 0 and 1.
        mask: [B, h, C], 0 for targets to leave out, 1 otherwise; or None.

    Raises:
        UserError: Q is not the number of levels, or a level is outside (0, 1).

    Example:
        >>> output, target = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1)
        >>> pinball_loss(output, target, levels=[0.1, 0.9]).item()
        0.5
    """
    if output.size(-1) != len(levels) or not all(0 < level < 1 for level in levels):
        raise UserError(
            "The quantile loss must get one level in (0, 1) for each output.",
            f"There were {output.size(-1)} outputs and the levels {list(levels)}.",
            "Pass as many levels as the network has quantiles.",
        )
    error, observed = _error(output, target, mask)
    level = torch.tensor(levels, dtype=output.dtype, device=output.device)
    return _mean(torch.maximum(level * error, (level - 1) * error), observed)


def l1_loss(output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean absolute error over ``output`` [B, h, C, Q]; arguments as :func:`pinball_loss`."""
    error, observed = _error(output, target, mask)
    return _mean(error.abs(), observed)


def mse_loss(output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error over ``output`` [B, h, C, Q]; arguments as :func:`pinball_loss`."""
    error, observed = _error(output, target, mask)
    return _mean(error.square(), observed)


def _error(output: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return ``target - output`` [B, h, C, Q] and the mask of observed targets [B, h, C, 1].

    The error of a missing target is 0, without a gradient.
    """
    observed = target.isfinite() if mask is None else target.isfinite() & mask.bool()
    error = torch.where(observed, target, 0.0).unsqueeze(-1) - output
    return torch.where(observed.unsqueeze(-1), error, 0.0), observed.unsqueeze(-1)


def _mean(loss: Tensor, observed: Tensor) -> Tensor:
    return loss.sum() / (observed.sum().clamp(min=1) * loss.size(-1))
