"""Sampling filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decoding.sampling import (
    exclude_token,
    repetition_penalty,
    sample,
    sampling_filters,
    temperature,
    top_k,
    top_p,
)
from holdfast.errors import UserError

P = np.log(np.array([0.5, 0.3, 0.15, 0.05]))


def shares(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores)
    return weights / weights.sum()


def test_filters_by_hand() -> None:
    np.testing.assert_allclose(
        shares(temperature(0.5)(P, [])), np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365
    )
    np.testing.assert_allclose(shares(temperature(0)(P, [])), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(top_k(2)(P, [])), [0.625, 0.375, 0, 0])
    np.testing.assert_allclose(shares(top_p(0.5)(P, [])), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(top_p(0.51)(P, [])), [0.625, 0.375, 0, 0])
    np.testing.assert_allclose(np.exp(repetition_penalty(2.0)(P, [0, 0])), [0.25, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(shares(exclude_token(0)(P, [])), [0, 0.6, 0.3, 0.1])
    np.testing.assert_array_equal(exclude_token(None)(P, []), P)


def test_samples_have_the_probabilities() -> None:
    random = np.random.default_rng(0)
    sampled = [sample(P, [], [top_k(3)], random) for _ in range(4000)]
    np.testing.assert_allclose(
        np.bincount(sampled, minlength=4) / 4000, np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=0.03
    )


@given(st.integers(1, 9), st.floats(0.01, 1.0), st.floats(0.0, 3.0), st.floats(0.5, 3.0))
def test_a_token_always_remains(most: int, share: float, degree: float, penalty: float) -> None:
    chain = sampling_filters(degree, most, share, penalty)
    assert 0 <= sample(P, [1, 2], chain, np.random.default_rng(0)) < 4


def test_default_settings_need_no_filter() -> None:
    assert sampling_filters(1.0, None, None, 1.0) == []


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((-1.0, None, None, 1.0), "temperature"),
        ((float("nan"), None, None, 1.0), "temperature"),
        ((1.0, 0, None, 1.0), "top-k"),
        ((1.0, None, 0.0, 1.0), "top-p"),
        ((1.0, None, 1.5, 1.0), "top-p"),
        ((1.0, None, None, 0.0), "repetition-penalty"),
    ],
)
def test_values_out_of_range_are_refused(
    values: tuple[float, int | None, float | None, float], name: str
) -> None:
    with pytest.raises(UserError, match=name):
        sampling_filters(*values)
