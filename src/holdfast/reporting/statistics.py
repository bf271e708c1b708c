"""Paired tests of a claim: it holds, it does not hold, or it is not decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf, isfinite, sqrt
from statistics import mean, stdev
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np

from holdfast.errors import missing_library

Decision = Literal["holds", "does not hold", "not decided"]

_LEVEL = 0.95
"""Confidence level of every interval."""
_RESAMPLES = 10_000
"""Most sign flips of a permutation test: up to 13 pairs it is exact, beyond that it samples."""


class Bounds(NamedTuple):
    """The interval in which an effect lies if a claim holds; either bound may be infinite.

    ``Bounds(-inf, -0.02)`` claims "smaller by more than 0.02". ``Bounds(-0.1, 0.1)`` claims "equal
    up to differences that do not matter", which is tested by two one-sided tests of equivalence
    (Schuirmann 1987).
    """

    low: float
    high: float

    def nearest(self, effect: float) -> float:
        """Return the finite bound nearest to an effect."""
        return min((bound for bound in self if isfinite(bound)), key=lambda bound: abs(effect - bound))


SMALLEST_LOSS_EFFECT = 0.02
"""The smallest difference in loss that matters, as a share of the loss."""
LOWER_LOSS = Bounds(-inf, -SMALLEST_LOSS_EFFECT)


@dataclass(frozen=True)
class PairedTest:
    """Result of a paired test.

    Attributes:
        decision: "holds" if the whole interval lies within the claim's bounds, "does not hold" if
            all of it lies outside, and "not decided" if it contains a bound.
        effect: mean difference.
        low, high: 95% interval of the mean difference, by the paired t test.
        pairs: number of differences.
        p: two-sided p of the paired t test against the nearest bound; below 0.05 the claim is
            decided.
        p_signs: the same p by a permutation test, which flips the signs of the differences from
            that bound and assumes only that they are symmetric about it. It cannot be below
            ``2 ** (1 - pairs)``.
    """

    decision: Decision
    effect: float
    low: float
    high: float
    pairs: int
    p: float
    p_signs: float


def paired_test(differences: Sequence[float], bounds: Bounds) -> PairedTest:
    """Test a claim on the differences of at least two pairs.

    With d the differences, n their number, s their standard deviation and b the nearest bound, the
    interval is ``mean(d) ± t(0.975, n - 1) s / sqrt(n)`` and the statistic
    ``(mean(d) - b) sqrt(n) / s``.

    Raises:
        ValueError: there are fewer than two differences, or one is not finite.
        UserError: scipy is not installed.

    Example:
        >>> from math import inf
        >>> result = paired_test([-0.11, -0.09, -0.10, -0.12], Bounds(-inf, -0.05))
        >>> result.decision, round(result.effect, 3), round(result.low, 3), round(result.high, 3)
        ('holds', -0.105, -0.126, -0.084)
        >>> paired_test([-0.11, 0.09, -0.10, 0.12], Bounds(-inf, -0.05)).decision
        'not decided'
    """
    stats = _library("scipy.stats")
    if len(differences) < 2 or not all(map(isfinite, differences)):
        raise ValueError(f"a paired test takes at least two finite differences, not {list(differences)}")
    effect, count = mean(differences), len(differences)
    error = stdev(differences) / sqrt(count)
    half = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1)) * error
    low, high, nearest = effect - half, effect + half, bounds.nearest(effect)
    distance = abs(effect - nearest)
    p = 2 * float(stats.t.sf(distance / error, count - 1)) if error else float(distance == 0)
    decision = _decision(low, high, bounds)
    return PairedTest(decision, effect, low, high, count, p, _sign_flip_p([d - nearest for d in differences]))


def _decision(low: float, high: float, bounds: Bounds) -> Decision:
    if bounds.low < low and high < bounds.high:
        return "holds"
    if high < bounds.low or low > bounds.high or bounds.low == low == high or bounds.high == low == high:
        return "does not hold"
    return "not decided"


def failure_reason(result: PairedTest, bounds: Bounds) -> str:
    """Return why a claim about "less" or "more" does not hold; "" if that is not decided."""
    if result.decision != "does not hold" or (bounds.low != -inf and bounds.high != inf):
        return ""
    bound = bounds.nearest(result.effect)
    opposite = Bounds(-bound, inf) if bounds.low == -inf else Bounds(-inf, -bound)
    if opposite.low < result.low and result.high < opposite.high:
        return "the opposite is true"
    negligible = max(abs(result.low), abs(result.high)) < abs(bound)
    return "no difference that matters" if negligible else ""


def _sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of "the mean is 0" by scipy's permutation test of paired samples.

    Example:
        >>> _sign_flip_p([1.0, 2.0, 3.0])  # 2 of the 8 sign patterns have a sum of at least 6 in size
        0.25
    """
    result = _library("scipy.stats").permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=_RESAMPLES, random_state=0
    )
    return float(result.pvalue)


def holm_correction(values: Sequence[float]) -> list[float]:
    """Correct the p values of several tests for their number (Holm 1979), in the same order.

    Raises:
        UserError: statsmodels is not installed.

    Example:
        >>> [round(p, 3) for p in holm_correction([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    if not values:
        return []
    _, corrected, *_ = _library("statsmodels.stats.multitest").multipletests(values, method="holm")
    return [float(p) for p in corrected]


def _library(name: str) -> ModuleType:
    """Import a module of scipy or statsmodels, which are in every task's extra."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing_library(error, "forecast") from None
