"""What paired differences say of a claim: it holds, it does not hold, or it is not decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, isfinite, sqrt
from statistics import mean, stdev
from typing import Literal, NamedTuple

import numpy as np

Decision = Literal["holds", "does not hold", "not decided"]

_LEVEL = 0.95
"""Of every interval."""
_FLIPS = 10_000
"""Draws of the sign-flip test, where there are more ways to flip the signs than that."""
ROUNDING = 1e-9
"""Share by which two sums of the same size may differ."""


class Bounds(NamedTuple):
    """A claim about an effect: it lies between these two, either of which may be infinite.

    ``Bounds(-inf, -0.02)`` says "smaller by more than the 0.02 that matter"; ``Bounds(-0.1, 0.1)`` says "the same, but
    for differences that do not matter": to test that is to make the two one-sided tests of equivalence
    (Schuirmann 1987).
    """

    low: float
    high: float

    def nearest(self, effect: float) -> float:
        """The finite bound that is nearest to an effect."""
        return min((bound for bound in self if isfinite(bound)), key=lambda bound: abs(effect - bound))


SMALLEST_LOSS_EFFECT = 0.02
"""The smallest share of a loss that matters."""
LOWER_LOSS = Bounds(-inf, -SMALLEST_LOSS_EFFECT)


@dataclass(frozen=True)
class PairedTest:
    """What a paired test found.

    Attributes:
        decision: the claim holds where the whole interval lies within its bounds, does not hold where all of it lies
            without, and is not decided where a bound lies in the interval.
        effect: mean difference.
        low, high: its 95 % interval, by the paired t test.
        pairs: number of differences.
        p: two-sided p of the paired t test of an effect at the nearest bound; below 0.05 it is decided.
        p_signs: the same by flipping the signs of the differences from that bound, which assumes only that they lie
            evenly about it. It can never be below ``2 ** (1 - pairs)``.
    """

    decision: Decision
    effect: float
    low: float
    high: float
    pairs: int
    p: float
    p_signs: float


def paired_test(differences: Sequence[float], bounds: Bounds) -> PairedTest:
    """Test a claim by the differences of at least two pairs.

    With d the differences, n their number, s their standard deviation and b the nearest bound: the interval is
    ``mean(d) ± t(0.975, n - 1) s / sqrt(n)``, and t of the test ``(mean(d) - b) sqrt(n) / s``.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.

    Example:
        >>> from math import inf
        >>> found = paired_test([-0.11, -0.09, -0.10, -0.12], Bounds(-inf, -0.05))
        >>> found.decision, round(found.effect, 3), round(found.low, 3), round(found.high, 3)
        ('holds', -0.105, -0.126, -0.084)
        >>> paired_test([-0.11, 0.09, -0.10, 0.12], Bounds(-inf, -0.05)).decision
        'not decided'
    """
    from scipy import stats  # type: ignore[import-untyped]

    if len(differences) < 2 or not all(map(isfinite, differences)):
        raise ValueError(f"a paired test takes at least two finite differences, not {list(differences)}")
    effect, count = mean(differences), len(differences)
    error = stdev(differences) / sqrt(count)
    half = float(stats.t.ppf((1 + _LEVEL) / 2, count - 1)) * error
    low, high, nearest = effect - half, effect + half, bounds.nearest(effect)
    away = abs(effect - nearest)
    p = 2 * float(stats.t.sf(away / error, count - 1)) if error else float(away == 0)
    decision = _decision(low, high, bounds)
    return PairedTest(decision, effect, low, high, count, p, sign_flips([d - nearest for d in differences]))


def _decision(low: float, high: float, bounds: Bounds) -> Decision:
    if bounds.low < low and high < bounds.high:
        return "holds"
    if high < bounds.low or low > bounds.high or bounds.low == low == high or bounds.high == low == high:
        return "does not hold"
    return "not decided"


def failure_reason(finding: PairedTest, bounds: Bounds) -> str:
    """What is true where a claim about "less" or "more" does not hold."""
    if finding.decision != "does not hold" or (bounds.low != -inf and bounds.high != inf):
        return ""
    bound = bounds.nearest(finding.effect)
    opposite = Bounds(-bound, inf) if bounds.low == -inf else Bounds(-inf, -bound)
    if opposite.low < finding.low and finding.high < opposite.high:
        return "the opposite is true"
    inside = max(abs(finding.low), abs(finding.high)) < abs(bound)
    return "no difference that matters" if inside else ""


def sign_flips(differences: Sequence[float]) -> float:
    """Two-sided p of a mean of zero, by all ways to flip the signs (or 10,000 that are drawn, of more than that).

    Example:
        >>> sign_flips([1.0, 2.0, 3.0])  # only one of eight ways gives such a sum, and one its negative
        0.25
    """
    values, count = np.asarray(differences, float), len(differences)
    if 2**count <= _FLIPS:
        signs = np.array(list(product((1, -1), repeat=count)))
    else:
        signs = np.random.default_rng(0).choice((1, -1), (_FLIPS, count))
    sums, found = np.abs(signs @ values), abs(values.sum())
    return float(np.mean(sums >= found * (1 - ROUNDING)))


def holm(values: Sequence[float]) -> list[float]:
    """Correct the p values of several tests for their number by Holm (1979), in the same order.

    The k-th smallest of m is multiplied by m - k + 1; none comes below a smaller one, or above 1.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order, least, corrected = sorted(range(len(values)), key=values.__getitem__), 0.0, [1.0] * len(values)
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = least
    return corrected
