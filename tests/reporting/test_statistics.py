"""Paired tests: by hand, against scipy's tests, and against their definitions."""

from __future__ import annotations

import sys
from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from holdfast.errors import UserError
from holdfast.reporting.statistics import Bounds, _sign_flip_p, holm_correction, paired_test

DIFFERENCES = [-0.31, -0.12, -0.25, -0.22, -0.05]


def test_the_interval_and_p_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 7))
    found = paired_test(list(one - other), Bounds(-inf, -0.02))
    theirs = stats.ttest_rel(one, other + -0.02)
    low, high = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(theirs.pvalue) and found.pairs == 7


def test_by_hand() -> None:
    """Mean 2, deviation 1, n = 4: the error is 0.5 and t(0.975, 3) is 3.182446."""
    found = paired_test([1.0, 2.0, 2.0, 3.0], Bounds(-inf, 0.0))
    error = (2 / 3) ** 0.5 / 2
    assert (found.low, found.high) == pytest.approx((2 - 3.182446 * error, 2 + 3.182446 * error), rel=1e-6)
    assert found.decision == "does not hold"


@pytest.mark.parametrize(
    ("shift", "bounds", "decision"),
    [
        (0.0, Bounds(-inf, -0.02), "holds"),
        (0.5, Bounds(-inf, -0.02), "does not hold"),
        (0.17, Bounds(-inf, -0.02), "not decided"),
        (0.19, Bounds(-0.3, 0.3), "holds"),
        (0.19, Bounds(-0.05, 0.05), "not decided"),
        (2.0, Bounds(-0.3, 0.3), "does not hold"),
        (-2.0, Bounds(-0.3, 0.3), "does not hold"),
        (2.0, Bounds(0.2, inf), "holds"),
    ],
)
def test_where_the_interval_lies_decides(shift: float, bounds: Bounds, decision: str) -> None:
    found = paired_test([d + shift for d in DIFFERENCES], bounds)
    assert found.decision == decision
    assert (found.p < 0.05) == (decision != "not decided")


def test_equivalence_is_the_two_one_sided_tests() -> None:
    values = np.array(DIFFERENCES) + 0.2
    low = stats.ttest_1samp(values, -0.3, alternative="greater").pvalue
    high = stats.ttest_1samp(values, 0.3, alternative="less").pvalue
    assert paired_test(list(values), Bounds(-0.3, 0.3)).p == pytest.approx(2 * max(low, high))


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6), st.floats(-5, 5))
def test_a_large_shift_is_decided_with_its_direction(noise: list[float], shift: float) -> None:
    """A shift of much more than half the interval is decided, with the right sign."""
    found = paired_test([n + shift for n in noise], Bounds(-inf, -0.02))
    half = (found.high - found.low) / 2
    if abs(found.effect + 0.02) > half * 1.001 + 1e-9:
        assert found.decision == ("holds" if found.effect < -0.02 else "does not hold")
    elif abs(found.effect + 0.02) < half * 0.999 - 1e-9:
        assert found.decision == "not decided"


def test_noise_is_decided_as_often_as_the_level_says() -> None:
    """Of 400 samples with a true effect at the bound, one in twenty is decided by chance."""
    rng = np.random.default_rng(1)
    bounds = Bounds(-inf, -0.02)
    decided = sum(
        paired_test(list(rng.normal(-0.02, 0.1, 5)), bounds).decision != "not decided" for _ in range(400)
    )
    assert stats.binomtest(decided, 400, 0.05).pvalue > 0.01


def test_sets_without_spread() -> None:
    assert paired_test([0.0, 0.0], Bounds(-inf, -0.02)).decision == "does not hold"
    assert (
        paired_test([-0.02, -0.02], Bounds(-inf, -0.02)).decision == "does not hold"
    )  # larger effects matter
    assert paired_test([-0.1, -0.1], Bounds(-inf, -0.02)).decision == "holds"


@pytest.mark.parametrize("differences", [[0.1], [], [0.1, float("nan")], [0.1, inf]])
def test_untestable_samples(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="two finite"):
        paired_test(differences, Bounds(-inf, 0.0))


def _all_sign_flips(values: list[float]) -> float:
    """Return the share of all sign patterns whose sum is at least as large as the values' own."""
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True)))
        for signs in product((1, -1), repeat=len(values))
    ]
    return float(np.mean(np.array(sums) >= abs(sum(values)) * (1 - 1e-9)))


@given(st.lists(st.integers(-9, 9).map(lambda x: x / 10), min_size=2, max_size=8))
def test_sign_flips_by_enumeration(values: list[float]) -> None:
    assert _sign_flip_p(values) == pytest.approx(_all_sign_flips(values))


@pytest.mark.parametrize(
    ("values", "expected"),
    [(DIFFERENCES, 0.0625), ([d + 0.19 for d in DIFFERENCES], 1.0), ([d + 0.12 for d in DIFFERENCES], 0.25)],
)
def test_sign_flips_of_five_pairs(values: list[float], expected: float) -> None:
    assert _sign_flip_p(values) == pytest.approx(_all_sign_flips(values)) == expected


def test_sign_flips_of_many_pairs_are_sampled() -> None:
    assert _sign_flip_p([1.0] * 30) < 0.001 < 0.9 < _sign_flip_p([1.0, -1.0] * 15)
    assert _sign_flip_p([0.3, -0.1] * 10) == _sign_flip_p([0.3, -0.1] * 10)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_holm_by_its_definition(values: list[float]) -> None:
    """Reject the k-th smallest if it and all smaller ones have p_j <= level / (m - j + 1)."""
    ordered = sorted(range(len(values)), key=values.__getitem__)
    for place, corrected in enumerate(holm_correction(values)):
        before = ordered[: ordered.index(place) + 1]
        least = max((len(values) - j) * values[one] for j, one in enumerate(before))
        assert corrected == pytest.approx(min(1.0, least))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(UserError, match=r"statsmodels.*pip install 'holdfast\[forecast\]'"):
        holm_correction([0.5])
