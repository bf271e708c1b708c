"""Exponential smoothing compared with its equations and with statsmodels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handmade import Array, seasonal, split_of, table_of
from holdfast.tasks.forecast import ets as ets_module
from holdfast.tasks.forecast.ets import START, Ets, start
from holdfast.tasks.forecast.metrics import truth


def oracle(values: Array, season: int, lookback: int, parameters: Array, horizon: int) -> Array:
    """Return the forecast of statsmodels, from the values before the origin."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    states = start(values[:lookback], season)
    kind: dict[str, Any] = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    model = ETSModel(
        values,
        trend="add",
        damped_trend=True,
        initialization_method="known",
        initial_level=states.level,
        initial_trend=states.trend,
        initial_seasonal=states.season if season > 1 else None,
        **kind,
    )
    own = parameters if season > 1 else parameters[[0, 1, 3]]
    return np.asarray(model.smooth(own).forecast(horizon))


@pytest.mark.parametrize(("season", "lookback"), [(1, 20), (7, 21), (12, 5)])
def test_ets_is_the_forecast_of_statsmodels_at_every_origin(season: int, lookback: int) -> None:
    values = seasonal(200, max(season, 9), channels=2)
    table = table_of(values[:90], values, season=season, lookback=lookback)
    model = Ets(table.preprocessing)
    model.fit(split_of(table, 15, [(0, 60), (0, 120)]), split_of(table, 15))
    assert model.season == season
    split = split_of(table, 15)
    point = model.point(split)
    for w in [7, 8, 25, 60, len(split) - 1]:  # statsmodels needs one whole season
        s = split.series[w]
        for c in range(2):
            before = table.filled[table.first[s] : split.origins[w], c].numpy().astype(np.float64)
            expected = oracle(before, season, lookback, model.parameters[s, c], 15)
            np.testing.assert_allclose(point[w, :, c], expected, rtol=2e-5, atol=2e-5)


@given(season=st.integers(1, 9), lookback=st.integers(1, 30), horizon=st.integers(1, 25))
def test_ets_follows_its_equations(season: int, lookback: int, horizon: int) -> None:
    values = seasonal(60, 5)[:, 0]
    table = table_of(values, season=season, lookback=lookback)
    alpha, beta, gamma, phi = parameters = np.array([0.4, 0.1, 0.3, 0.9])
    model = Ets(table.preprocessing)
    model.parameters, model.season = parameters[None, None], season
    values = table.filled[:, 0].numpy().astype(np.float64)
    first = start(values[:lookback], season)
    level, trend, seasons = first.level, first.trend, list(first.season)
    expected = {}
    for t, value in enumerate(values):
        error = value - (level + phi * trend + seasons[t])
        level, trend = level + phi * trend + alpha * error, phi * trend + beta * error
        seasons.append(seasons[t] + (gamma * error if season > 1 else 0))
        damped = [sum(phi**j for j in range(1, k + 1)) for k in range(1, horizon + 1)]
        expected[t + 1] = [level + d * trend + seasons[t + 1 + k % season] for k, d in enumerate(damped)]
    split = split_of(table, horizon)
    point = model.point(split)[..., 0]
    np.testing.assert_allclose(point, [expected[o] for o in split.origins], atol=1e-5)


def test_ets_improves_on_its_initial_parameters() -> None:
    table = table_of(seasonal(300, 12), season=12, lookback=24)
    model = Ets(table.preprocessing)
    model.fit(split_of(table, 12), split_of(table, 12))
    judge = model._model(table.filled[:, 0].numpy().astype(np.float64))
    assert judge.loglike(model.parameters[0, 0]) > judge.loglike(np.array(START)) + 1


def test_ets_is_fitted_on_training_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    values = seasonal(300, 12)
    later, early = values.copy(), values.copy()
    later[200:] += 50
    early[:90] += 50
    monkeypatch.setattr(ets_module, "FIT_ROWS", 110)
    fitted = []
    for own in (values, later, early):
        table = table_of(own, season=12, lookback=24)
        model = Ets(table.preprocessing)
        model.fit(split_of(table, 12, [(0, 200)]), split_of(table, 12))
        fitted.append(model.parameters)
    np.testing.assert_array_equal(fitted[0], fitted[1])
    np.testing.assert_array_equal(fitted[0], fitted[2])


def test_first_states_are_those_of_a_line() -> None:
    states = start(5 + 0.5 * np.arange(1, 9), 1)
    assert (states.level, states.trend) == pytest.approx((5, 0.5))


def test_first_states_are_those_of_a_line_with_a_season() -> None:
    season = np.array([2.0, -3.0, 1.0])
    states = start(5 + 0.5 * np.arange(1, 13) + np.tile(season, 4), 3)
    assert states.trend == pytest.approx(0.5)
    assert states.season.sum() == pytest.approx(0)
    np.testing.assert_allclose(states.level + states.season, 5 + season)


@pytest.mark.parametrize(
    "values", [np.full(60, 3.0), np.sin(np.arange(60) * np.pi / 6), np.arange(60.0), np.arange(3.0)]
)
@pytest.mark.parametrize("season", [1, 12])
def test_ets_stays_finite_where_the_likelihood_has_no_maximum(values: Array, season: int) -> None:
    table = table_of(values, season=season, lookback=min(24, len(values) - 1))
    model = Ets(table.preprocessing)
    split = split_of(table, 1)
    model.fit(split, split)
    assert model.season == (season if len(values) >= 2 * season else 1)
    assert np.isfinite(model.parameters).all()
    error = np.abs(model.point(split) - truth(split)).max()
    assert error < (0.1 if season == 12 and len(values) > 12 else 1.5)
