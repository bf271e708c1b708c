"""Measure memory: the influence of an input on the recurrent output some steps later.

Letters: T steps, B sequences, I input, P output width, K lags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.insight.analysis.rerun import Rerun
from holdfast.insight.analysis.results import MemoryCurve

DRAWS = 16
"""Number of random vectors that multiply the Jacobian."""
_CHECKED, _CHECKS = 8, 2
"""Number of lags checked by finite differences, and random changes at each."""
_STEP = 3e-2
"""Size of these changes relative to the root mean square input."""
RESOLVED = 1e-2
"""Share of the peak below which rounding dominates a finite difference in float32."""
TINY = 1e-30
_HALF, SMALL = 1 / 2, 1 / 20
"""Shares of the peak that define ``half_life`` and ``reach``."""


def memory_curve(
    model: nn.Module, run: Callable[[], object], *, layers: Sequence[str] = (), seed: int = 0
) -> MemoryCurve:
    """Measure the influence ``r(k)`` of the input k steps back on the recurrent output.

    ``r(k)^2`` is the mean over sequences of ``||d y_t / d x_{t-k}||_F^2``, where x is the input of
    the first recurrent layer, y the output of the last layer stacked on it (see :class:`Rerun`),
    and t each sequence's last step. Products of the Jacobian J with random vectors w (each row of
    length ``sqrt(P)``) estimate it: ``E ||w^T J||^2 = ||J||_F^2``, and one backward pass gives
    every lag. Central finite differences along random changes u check some lags, since ``E ||J
    u||^2`` is the same.

    Args:
        model: the network, with recurrent layers of Holdfast or torch.nn.
        run: runs the model on a batch, with gradients allowed; called again for every measurement.
        layers: name prefixes of the layers to measure; all when empty.
        seed: seed of the random vectors.

    Returns:
        The curve, scaled to 1 at its peak; ``half_life`` and ``reach`` are infinite if the curve
        does not fall that far within the sequences.

    Raises:
        UserError: no recurrent layer, none ran, one is in int8, sequences of one step, no gradient,
            or one that is not finite.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> layer, x = torch.nn.GRU(3, 8), torch.randn(40, 4, 3)
        >>> found = memory_curve(layer, lambda: layer(x))
        >>> found.longest, found.agreement < 0.01
        (39, True)
    """
    rerun = Rerun(model, run, layers)
    if int(rerun.first.lengths.max()) < 2:
        raise UserError(
            "Sequences must have at least 2 steps to measure memory.",
            "The first recurrent layer got single steps.",
            "Pass whole sequences.",
        )
    random = torch.Generator().manual_seed(seed)
    x, last = _forward(rerun)
    draws = [_direction(last, random) for _ in range(DRAWS)]
    products = [_product(last, w, x) for w in draws]
    lengths = rerun.first.lengths
    squared = torch.stack([_by_lag(g.square().sum(-1), lengths) for g in products]).mean(0)
    curve = squared.sqrt().double().numpy()
    peak = _peak(curve)
    lags = np.arange(len(curve))
    checked = np.unique([*np.geomspace(1, len(curve), _CHECKED).astype(int) - 1, int(curve.argmax())])
    finite, agreement = _checks(rerun, checked, list(zip(draws, products, strict=True)), curve, random)
    return MemoryCurve(
        lags, curve / peak, checked, finite, lag_below(curve, _HALF), lag_below(curve, SMALL), agreement
    )


def _peak(curve: Array) -> float:
    """Return the largest value, if it is finite and positive."""
    if not np.isfinite(curve).all():
        raise UserError(
            "The derivatives must be finite to measure memory.",
            "The derivative of the recurrent output with respect to an input is not.",
            "Check the weights: a state that grows at every step overflows.",
        )
    peak = float(curve.max())
    if not peak > 0:
        raise UserError(
            "The input must influence the output to measure memory.",
            "The derivative of the recurrent output is 0 everywhere.",
            "Check the weights for zeros.",
        )
    return peak


def lag_below(curve: Array, share: float) -> float:
    """Return the interpolated lag from which a curve stays below a share of its peak, or infinity.

    Example:
        >>> import numpy as np
        >>> lag_below(np.array([1.0, 0.5, 0.25, 0.125]), 0.3)
        1.7...
        >>> lag_below(np.array([1.0, 0.9]), 0.5)
        inf
    """
    values = np.maximum(curve / curve.max(), TINY)
    above = int(np.flatnonzero(values >= share)[-1])
    if above + 1 == len(values):
        return float("inf")
    high, low = np.log(values[above]), np.log(values[above + 1])
    return above + float((high - np.log(share)) / (high - low)) if high > low else float(above)


def _forward(rerun: Rerun) -> tuple[Tensor, Tensor]:
    """Return the first layer's input, and the stack's outputs [B, P] at each last step."""
    x = rerun.first.x.clone().requires_grad_()
    with torch.enable_grad():
        y, _ = rerun(x)
    last = _last(y, rerun.first.lengths)
    if not last.requires_grad:
        raise UserError(
            "The run must give gradients to measure memory.",
            "It gave none.",
            "Remove torch.no_grad() and quantized layers from it.",
        )
    return x, last


def _last(y: Tensor, lengths: Tensor) -> Tensor:
    """Select [B, P] from [T, B, P] at each sequence's last step."""
    places = (lengths.to(y.device) - 1).clamp(min=0)
    return y[places, torch.arange(y.size(1), device=y.device)]


def _direction(like: Tensor, random: torch.Generator) -> Tensor:
    """Return [B, P] random rows of length sqrt(P), so that ``E w w^T`` is the identity."""
    w = torch.randn(like.shape, generator=random)
    scale: Tensor = w.size(1) ** 0.5 / w.norm(dim=1, keepdim=True)
    return (w * scale).to(like)


def _product(last: Tensor, w: Tensor, x: Tensor) -> Tensor:
    """Return ``w^T d last / d x``, [T, B, I], on the CPU."""
    (found,) = torch.autograd.grad(last, x, w, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if found is None else found.float().cpu()


def _by_lag(values: Tensor, lengths: Tensor) -> Tensor:
    """Average [T, B] by the lag [K] from each sequence's last step, where half of them reach."""
    steps = torch.arange(values.size(0))[:, None]
    places = lengths - 1 - steps
    there = places >= 0
    found = torch.gather(values, 0, places.clamp(min=0)).masked_fill(~there, 0.0)
    enough = there.sum(1) * 2 >= len(lengths)  # a mean over a few long sequences would be noise
    return (found.sum(1) / there.sum(1))[enough]


def _checks(
    rerun: Rerun,
    lags: Array,
    products: list[tuple[Tensor, Tensor]],
    curve: Array,
    random: torch.Generator,
) -> tuple[Array, float]:
    """Check the curve at some lags [C] by finite differences; return both and their difference.

    Both methods give ``w^T J u`` over all sequences for many w and u; the curve is scaled by the
    ratio of their norms.
    """
    x, lengths = rerun.first.x, rerun.first.lengths
    there = torch.arange(x.size(0))[:, None] < lengths
    size = _STEP * float(x[there].square().mean().sqrt().clamp(min=1e-3))
    peak, norms, apart = float(curve.max()), [], [float("nan")]
    for lag in lags:
        places = lengths - 1 - int(lag)
        rows = torch.arange(x.size(1))[places >= 0]
        places = places[rows]
        pairs, sizes = [], []
        for _ in range(_CHECKS):
            u = torch.zeros_like(x)
            u[places, rows] = torch.randn(len(rows), x.size(2), generator=random)
            with torch.no_grad():
                up, down = (_last(rerun(x + sign * size * u)[0], lengths).float().cpu() for sign in (1, -1))
            change = (up - down) / (2 * size)
            sizes.append(float(change[rows].square().sum() / len(rows)))
            pairs += [(float((w.cpu() * change)[rows].sum()), float((g * u).sum())) for w, g in products]
        norm = np.sqrt(np.mean(sizes)) / peak
        finite, exact = np.array(pairs).T
        sizes_of = [max(float(np.linalg.norm(values)), TINY) for values in (finite, exact)]
        norms.append(curve[lag] / peak * sizes_of[0] / sizes_of[1] if norm > RESOLVED else np.nan)
        apart.append(float(np.linalg.norm(finite - exact)) / max(sizes_of) if norm > RESOLVED else np.nan)
    return np.array(norms), float(np.fmax.reduce(apart))
