"""Explain which time steps influenced a prediction, by integrated gradients and by occlusion.

Both use the sequence's mean input as the baseline at every step, so they explain the same change of
the prediction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.errors import UserError, missing_library
from holdfast.insight.analysis.request import InspectionRequest, Score
from holdfast.insight.analysis.rerun import Rerun
from holdfast.insight.analysis.results import Attribution

_POINTS, _CLOSE = (32, 128, 512), 0.05
"""Numbers of points on the path from the mean input to the input; the next is tried while the
gradients leave more than this share of the change unexplained, within :data:`_MAX_POINT_STEPS`."""
_MAX_POINT_STEPS = 20_000
"""Maximum number of points times steps for another try."""
_ALONE, _TOGETHER = 64, 32
"""The last steps are occluded one by one, the earlier ones in at most this number of groups."""
MATTERS = 0.01
"""Share of the largest attribution from which a step counts in the methods' comparison."""
_SINGLE, RESOLVED = 1e-4, 8 * float(np.finfo(np.float32).eps)
"""Occlusion of a step influences the prediction if it exceeds this share of the whole change and
this share of the prediction (rounding)."""


def attribute(request: InspectionRequest, score: Score) -> Attribution:
    """Compute integrated gradients and occlusion for each time step.

    Integrated gradients follow Sundararajan et al. (2017) and are computed by captum.

    The attributed input is what the first recurrent layer reads at each step: an embedded token, or
    numbers.

    Raises:
        UserError: captum is not installed; no recurrent layer ran; the score has no gradient, or
            does not depend on the input of the first recurrent layer.
    """
    try:
        from captum.attr import FeatureAblation, IntegratedGradients
    except ModuleNotFoundError as error:
        raise missing_library(error, "insight") from None
    rerun = Rerun(request.model, request.run, request.layers)
    predict = _score_function(rerun, score)
    x = rerun.first.x[: int(rerun.first.lengths[0]), :1].transpose(0, 1)
    _needs_gradient(predict, x)
    base = x.mean(1, keepdim=True).expand_as(x).contiguous()
    groups = _groups(x.size(1))
    with torch.no_grad():
        hidden = FeatureAblation(predict).attribute(x, base, feature_mask=groups[None, :, None])
        whole, without = float(predict(x)), float(predict(base))
    change = max(abs(whole - without), 1e-9)
    for points in sorted({max(_POINTS[0], min(more, _MAX_POINT_STEPS // x.size(1))) for more in _POINTS}):
        integrated, gap = IntegratedGradients(predict).attribute(
            x, base, n_steps=points, internal_batch_size=1, return_convergence_delta=True
        )
        incomplete = float(gap.abs().max()) / change
        if incomplete <= _CLOSE:
            break
    by_step = integrated[0].sum(-1).detach().double().numpy()
    by_group = hidden[0, :, 0].double().numpy()
    sizes = np.bincount(groups.numpy())[groups.numpy()]
    moved = np.abs(by_group).max() > max(_SINGLE * change, RESOLVED * max(abs(whole), abs(without)))
    agreement = agree(by_step, by_group, groups.numpy()) if moved else float("nan")
    return Attribution(score.name, by_step, by_group / sizes, agreement, incomplete, score.step)


def _score_function(rerun: Rerun, score: Score) -> Callable[[Tensor], Tensor]:
    """Return a function [1, T, I] -> score [1]; padding and other sequences stay as they were."""

    def predict(x: Tensor) -> Tensor:
        own = torch.cat([x.transpose(0, 1), rerun.first.x[x.size(1) :, :1]])
        _, output = rerun(torch.cat([own, rerun.first.x[:, 1:]], 1))
        try:
            found = score.of(output)
        except (RuntimeError, IndexError, AttributeError, TypeError, KeyError) as error:
            raise UserError(
                "score= must turn the model's output into one number.",
                f"It failed ({str(error).partition(chr(10))[0]}) on a {type(output).__name__}.",
                "Correct score=. For a model in half precision, it receives a float32 output.",
            ) from error
        return found.float().reshape(1).cpu()

    return predict


def _needs_gradient(predict: Callable[[Tensor], Tensor], x: Tensor) -> None:
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        score = predict(x)
    if not score.requires_grad:
        raise UserError(
            "The score must have a gradient.",
            "It has none.",
            "Remove torch.no_grad(), torch.inference_mode() and detach() from the model and from score=.",
        )
    if torch.autograd.grad(score, x, allow_unused=True)[0] is None:
        raise UserError(
            "The score must depend on the input of the first recurrent layer.",
            "It does not.",
            "Give a score= that depends on that layer.",
        )


def _groups(steps: int) -> Tensor:
    """Return the occlusion group [T] of each step: the last steps have their own."""
    before = max(0, steps - _ALONE)
    size = max(1, -(-before // _TOGETHER))
    far = torch.arange(before) // size
    first = int(far[-1]) + 1 if before else 0
    return torch.cat([far, torch.arange(steps - before) + first])


def agree(by_step: Array, by_group: Array, groups: Array) -> float:
    """Return :func:`ranks_agree` of the groups' sums, over the groups that matter to either method.

    For a single such group, returns whether the signs agree. by_group is [T] too.
    """
    sums = np.bincount(groups, by_step)
    _, first = np.unique(groups, return_index=True)
    hidden = by_group[first]
    matter = np.zeros(len(sums), bool)
    for values in (sums, hidden):
        matter |= np.abs(values) >= MATTERS * np.abs(values).max()
    if matter.sum() == 1:
        return float(np.sign(sums[matter] * hidden[matter])[0])
    return ranks_agree(sums[matter], hidden[matter])


def ranks_agree(a: Array, b: Array) -> float:
    """Return Spearman's rank correlation, without scipy; 0 if either is constant.

    Example:
        >>> ranks_agree(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3]))
        1.0
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return round(float(np.corrcoef(_ranks(a), _ranks(b))[0, 1]), 12)


def _ranks(values: Array) -> Array:
    """Return ranks; equal values share their mean rank."""
    whole = np.sort(values)
    return np.asarray((np.searchsorted(whole, values) + np.searchsorted(whole, values, "right")) / 2)
