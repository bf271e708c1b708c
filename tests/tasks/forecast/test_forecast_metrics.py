"""Metrics compared with cases by hand and a slow loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from holdfast.errors import UserError
from holdfast.tasks.forecast import metrics
from holdfast.tasks.forecast.preprocessing import seasonal_scale

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
    assert seasonal_scale(train, 2) == pytest.approx([(1 + 2 + 1) / 3])
    assert seasonal_scale(train, 9) == pytest.approx([0.0])


def test_a_series_that_repeats_itself_has_no_mase() -> None:
    assert metrics.mase(TRUTH, FORECAST, np.array([0.0])) is None
    assert "mase" not in metrics.metrics_of(TRUTH, FORECAST, FORECAST[..., None], (0.5,), np.array([0.0]))


def test_a_truth_without_observed_values_is_refused() -> None:
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


@given(
    arrays(np.float64, (3, 2, 2), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, (3, 2, 2, 3), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, (3, 1, 2), elements=st.sampled_from([0.0, 0.5, 2.0])),
    arrays(np.bool_, (3, 2, 2)),
)
def test_the_others_against_a_loop(
    truth: np.ndarray, quantiles: np.ndarray, scale: np.ndarray, gone: np.ndarray
) -> None:
    gone[0, 0, 0] = False
    truth, levels = np.where(gone, np.nan, truth), (0.1, 0.5, 0.9)
    quantiles = np.sort(quantiles, -1)
    seen = [at for at in np.ndindex(truth.shape) if not gone[at]]
    found = metrics.metrics_of(truth, quantiles[..., 1], quantiles, levels, scale)

    smape, mase, pinball, covered = [], [], [], []
    for at in seen:
        y, (low, f, high), unit = truth[at], quantiles[at], scale[at[0], 0, at[2]]
        smape.append(200 * abs(y - f) / (abs(y) + abs(f)) if abs(y) + abs(f) > 0 else 0.0)
        mase += [abs(y - f) / unit] if unit else []
        pinball += [
            q * (y - z) if y >= z else (1 - q) * (z - y) for q, z in zip(levels, (low, f, high), strict=True)
        ]
        covered.append(low <= y <= high)
    assert found["smape"] == pytest.approx(np.mean(smape)) and 0 <= found["smape"] <= 200 + 1e-9
    assert found["pinball"] == pytest.approx(np.mean(pinball))
    assert found["coverage"] == pytest.approx(np.mean(covered))
    assert ("mase" in found) == bool(mase)
    assert not mase or found["mase"] == pytest.approx(np.mean(mase))
    assert all(np.isfinite(value) for value in found.values())


def test_a_constant_column_is_left_out_of_mase() -> None:
    truth, forecast = np.ones((1, 2, 2)), np.array([[[2.0, 9.0], [4.0, 9.0]]])
    assert metrics.mase(truth, forecast, np.array([2.0, 0.0])) == pytest.approx((0.5 + 1.5) / 2)


def test_squares_of_large_values_fit() -> None:
    large = np.full((1, 1, 1), 1e30, np.float32)
    assert metrics.mse(large, -large) == pytest.approx(4e60)
    assert metrics.smape(large * 3e8, -large * 3e8) == pytest.approx(200)


def test_the_names_of_a_score() -> None:
    quantiles = np.stack([FORECAST - 1, FORECAST, FORECAST + 1], -1)
    scale = np.array([1.0])
    names = {"mae", "rmse", "smape", "mase"}
    assert metrics.metrics_of(TRUTH, FORECAST, FORECAST[..., None], (0.5,), scale).keys() == names
    whole = metrics.metrics_of(TRUTH, FORECAST, quantiles, (0.1, 0.5, 0.9), scale)
    assert whole.keys() == names | {"pinball", "coverage"}
