"""Metrics against hand-computed cases and a slow loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from holdfast import metrics
from holdfast.errors import UserError

TRUTH = np.array([[[1.0], [2.0]], [[3.0], [np.nan]]])
FORECAST = np.array([[[2.0], [0.0]], [[3.0], [9.0]]])


def test_hand_computed() -> None:
    assert metrics.mae(TRUTH, FORECAST) == pytest.approx(1.0)  # 1, 2, 0
    assert metrics.mse(TRUTH, FORECAST) == pytest.approx(5 / 3)
    assert metrics.rmse(TRUTH, FORECAST) == pytest.approx((5 / 3) ** 0.5)
    assert metrics.smape(TRUTH, FORECAST) == pytest.approx((200 / 3 + 200 + 0) / 3)
    assert metrics.mase(TRUTH, FORECAST, np.array([0.5])) == pytest.approx(2.0)


def test_smape_counts_zero_against_zero_as_exact() -> None:
    assert metrics.smape(np.zeros((1, 2, 1)), np.zeros((1, 2, 1))) == 0.0


def test_pinball_and_coverage_by_hand() -> None:
    quantiles = np.stack([FORECAST - 1, FORECAST, FORECAST + 1], -1)
    # errors y - f of the three quantiles: (0, -1, -2), (3, 2, 1), (1, 0, -1)
    losses = [0.1 * 0, 0.5 * 1, 0.1 * 2, 0.1 * 3, 0.5 * 2, 0.9 * 1, 0.1 * 1, 0, 0.1 * 1]
    assert metrics.pinball(TRUTH, quantiles, (0.1, 0.5, 0.9)) == pytest.approx(sum(losses) / 9)
    assert metrics.coverage(TRUTH, quantiles[..., 0], quantiles[..., -1]) == pytest.approx(2 / 3)


def test_seasonal_scale_is_the_seasonal_naive_error_on_the_training_rows() -> None:
    train = np.array([[1.0], [5.0], [2.0], [7.0], [np.nan], [6.0]])
    assert metrics.seasonal_scale(train, 2) == pytest.approx([(1 + 2 + 1) / 3])
    assert metrics.seasonal_scale(train, 9) == pytest.approx([0.0])


def test_a_series_that_repeats_itself_has_no_mase() -> None:
    assert metrics.mase(TRUTH, FORECAST, np.array([0.0])) is None
    assert "mase" not in metrics.score(TRUTH, FORECAST, None, (0.5,), np.array([0.0]))


def test_nothing_observed_is_told() -> None:
    with pytest.raises(UserError, match="missing"):
        metrics.mae(np.full((1, 1, 1), np.nan), np.zeros((1, 1, 1)))


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, (3, 4, 2), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, (3, 4, 2), elements=st.floats(-1e3, 1e3)),
    arrays(np.bool_, (3, 4, 2)),
)
def test_mae_and_mse_against_a_loop(truth: np.ndarray, forecast: np.ndarray, gone: np.ndarray) -> None:
    if gone.all():
        return
    truth = np.where(gone, np.nan, truth)
    errors = [t - f for t, f in zip(truth.flat, forecast.flat, strict=True) if t == t]
    assert metrics.mae(truth, forecast) == pytest.approx(sum(map(abs, errors)) / len(errors))
    assert metrics.mse(truth, forecast) == pytest.approx(sum(e * e for e in errors) / len(errors))
