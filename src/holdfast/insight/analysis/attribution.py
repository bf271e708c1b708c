"""Which steps moved an answer: integrated gradients and occlusion, side by side.

Both begin where every step's input is the sequence's mean input, so that they explain the same change of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.errors import UserError, missing_library
from holdfast.insight.analysis.request import InspectionRequest, Score
from holdfast.insight.analysis.rerun import Rerun
from holdfast.insight.analysis.results import Attribution

POINTS, CLOSE = (32, 128, 512), 0.05
"""Points of the way from the mean input to the input, at which gradients are taken: more where the ones before miss the
change of the answer by more than this share, as far as :data:`_PAID` goes."""
_PAID = 20_000
"""Points times steps that are worth another look."""
ALONE, TOGETHER = 64, 32
"""The last steps are hidden one by one; those before them in so many groups, at most."""
MATTERS = 0.01
"""Share of the largest attribution from which a step counts when the two ways are compared."""
SINGLE, RESOLVED = 1e-4, 8 * float(np.finfo(np.float32).eps)
"""Share of the whole change of the answer, and share of the answer (rounding), that the occlusion of one step reaches
where any single one moves it."""


def attribute(request: InspectionRequest, score: Score) -> Attribution:
    """Integrated gradients (Sundararajan et al. 2017; by captum) and occlusion of each step.

    What is attributed to is what the first recurrent layer reads at each step: an embedded unit of a text, or numbers.

    Raises:
        UserError: captum is not installed; no recurrent layer ran; the score has no gradient, or does not depend on
            what the first recurrent layer reads.
    """
    try:
        from captum.attr import FeatureAblation, IntegratedGradients
    except ModuleNotFoundError as error:
        raise missing_library(error, "insight") from None
    rerun = Rerun(request.model, request.run, request.layers)
    answer = _answer(rerun, score)
    x = rerun.first.x[: int(rerun.first.lengths[0]), :1].transpose(0, 1)
    _needs_gradient(answer, x)
    base = x.mean(1, keepdim=True).expand_as(x).contiguous()
    groups = _groups(x.size(1))
    with torch.no_grad():
        hidden = FeatureAblation(answer).attribute(x, base, feature_mask=groups[None, :, None])
        whole, without = float(answer(x)), float(answer(base))
    change = max(abs(whole - without), 1e-9)
    for points in sorted({max(POINTS[0], min(more, _PAID // x.size(1))) for more in POINTS}):
        integrated, gap = IntegratedGradients(answer).attribute(
            x, base, n_steps=points, internal_batch_size=1, return_convergence_delta=True
        )
        incomplete = float(gap.abs().max()) / change
        if incomplete <= CLOSE:
            break
    by_step = integrated[0].sum(-1).detach().double().numpy()
    by_group = hidden[0, :, 0].double().numpy()
    sizes = np.bincount(groups.numpy())[groups.numpy()]
    moved = np.abs(by_group).max() > max(SINGLE * change, RESOLVED * max(abs(whole), abs(without)))
    agreement = agree(by_step, by_group, groups.numpy()) if moved else float("nan")
    return Attribution(score.name, by_step, by_group / sizes, agreement, incomplete, score.step)


def _answer(rerun: Rerun, score: Score) -> Callable[[Tensor], Tensor]:
    """[1, T, I] -> the score [1], with what is behind that sequence's end, and the other sequences, as they were."""

    def answer(x: Tensor) -> Tensor:
        own = torch.cat([x.transpose(0, 1), rerun.first.x[x.size(1) :, :1]])
        found = _scored(score, rerun(torch.cat([own, rerun.first.x[:, 1:]], 1))[1])
        return found.float().reshape(1).cpu()  # type: ignore[no-any-return]

    return answer


def _scored(score: Score, answer: Any) -> Any:
    try:
        return score.of(answer)
    except (RuntimeError, IndexError, AttributeError, TypeError, KeyError) as error:
        raise UserError(
            "The score makes one number of what the model answers.",
            f"It failed ({str(error).partition(chr(10))[0]}) on a {type(answer).__name__}.",
            "Mend score=; of a model in half precision it is given an answer in float32.",
        ) from error


def _needs_gradient(answer: Callable[[Tensor], Tensor], x: Tensor) -> None:
    x = x.clone().requires_grad_()
    with torch.enable_grad():
        score = answer(x)
    if not score.requires_grad:
        raise UserError(
            "Attribution goes through gradients.",
            "The score has none.",
            "Take torch.no_grad(), torch.inference_mode() and detach() out of the model and of score=.",
        )
    if torch.autograd.grad(score, x, allow_unused=True)[0] is None:
        raise UserError(
            "Attribution explains a score that depends on what the first recurrent layer reads.",
            "This one does not.",
            "Give score=, which makes a number of what that layer leads to.",
        )


def _groups(steps: int) -> Tensor:
    """The number [T] of the group in which each step is hidden: the last ones alone, those before in groups."""
    before = max(0, steps - ALONE)
    size = max(1, -(-before // TOGETHER))
    far = torch.arange(before) // size
    first = int(far[-1]) + 1 if before else 0
    return torch.cat([far, torch.arange(steps - before) + first])


def agree(by_step: Array, by_group: Array, groups: Array) -> float:
    """:func:`ranks_agree` of the groups' sums, over the groups that matter to either way; of one alone, whether they
    have the same sign. by_group is [T] as well.
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
    """Spearman's rank correlation; 0 where one of the two is constant.

    Four lines of our own: scipy is in neither what Holdfast needs nor the extra ``insight``.

    Example:
        >>> ranks_agree(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3]))
        1.0
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return round(float(np.corrcoef(_ranks(a), _ranks(b))[0, 1]), 12)


def _ranks(values: Array) -> Array:
    """Places in order; equal values share the mean of theirs."""
    whole = np.sort(values)
    return np.asarray((np.searchsorted(whole, values) + np.searchsorted(whole, values, "right")) / 2)
