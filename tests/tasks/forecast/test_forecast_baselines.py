"""The baselines compared with values by hand and published ones; none reads the future."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmade import at, config_of, preprocessing_of, seasonal, split_of, table_of
from holdfast.checkpoint import load_arrays, save_arrays
from holdfast.errors import UserError
from holdfast.tasks.baselines import BaselineSet, LeftOut
from holdfast.tasks.forecast.baselines import (
    Drift,
    LastValue,
    MeanReturn,
    PointBaseline,
    RandomWalk,
    SeasonalNaive,
)
from holdfast.tasks.forecast.ets import Ets
from holdfast.tasks.forecast.linear import Linear
from holdfast.tasks.forecast.metrics import Forecast, error_quantiles, score, truth, with_intervals
from holdfast.tasks.forecast.preprocessing import ForecastPreprocessing, Scale, SeriesTable, WindowSplit
from holdfast.tasks.forecast.task import Forecaster

# -- rules, by hand --------------------------------------------------------------------------------


def test_last_value_repeats_the_last_value_of_each_channel() -> None:
    table = table_of(np.array([[1, 10], [2, 20], [4, 40], [7, 70]]))
    np.testing.assert_array_equal(LastValue().point(at(table, 3, 2)), [[[4, 40], [4, 40]]])


def test_drift_continues_the_line_from_the_first_to_the_last_value() -> None:
    table = table_of(np.array([5.0, 5.0]), np.array([1.0, 2.0, 4.0, 7.0]))
    np.testing.assert_array_equal(Drift().point(at(table, 6, 3))[0, :, 0], [9, 11, 13])
    np.testing.assert_array_equal(Drift().point(at(table, 3, 2))[0, :, 0], [1, 1])  # not a line


def test_drift_begins_at_the_first_value_that_was_seen() -> None:
    gap = np.nan
    table = table_of(np.array([[gap, gap], [gap, gap], [2.0, gap], [5.0, gap]]))
    np.testing.assert_array_equal(Drift().point(at(table, 4, 2))[0], [[8, 0], [11, 0]])
    np.testing.assert_array_equal(Drift().point(at(table, 2, 2))[0], np.zeros((2, 2)))


def test_seasonal_naive_repeats_the_last_season() -> None:
    table = table_of(np.array([9.0] * 5), np.array([1.0, 2.0, 3.0, 4.0, 5.0]), season=3)
    np.testing.assert_array_equal(SeasonalNaive(3).point(at(table, 9, 5))[0, :, 0], [2, 3, 4, 2, 3])


def test_seasonal_naive_takes_the_last_value_where_the_season_begins_before_the_series() -> None:
    table = table_of(np.array([9.0] * 5), np.array([1.0, 2.0, 3.0, 4.0, 5.0]), season=3)
    np.testing.assert_array_equal(SeasonalNaive(3).point(at(table, 7, 4))[0, :, 0], [2, 1, 2, 2])


@given(season=st.integers(2, 30), horizon=st.integers(1, 70))
def test_seasonal_naive_is_exact_on_a_periodic_series(season: int, horizon: int) -> None:
    values = np.sin(2 * np.pi * (np.arange(150) % season) / season)
    split = split_of(table_of(values, season=season, lookback=season), horizon)
    np.testing.assert_array_equal(SeasonalNaive(season).point(split), truth(split))


def test_rules_of_returns_are_no_change_and_the_mean_change() -> None:
    table = table_of(np.zeros((4, 2)))
    split = at(table, 2, 3)
    np.testing.assert_allclose(split.unscale(RandomWalk().point(split)), np.zeros((1, 3, 2)), atol=1e-15)
    np.testing.assert_array_equal(split.unscale(MeanReturn().point(split)), np.tile([1.0, 2.0], (1, 3, 1)))


# -- the family ------------------------------------------------------------------------------------

LEVELS, RETURNS = (False, True)


def set_of(
    preprocessing: ForecastPreprocessing, horizon: int, returns: bool = False
) -> BaselineSet[WindowSplit, Forecast]:
    return Forecaster(config_of(preprocessing, horizon, returns)).baseline_set(preprocessing)


def members_of(
    preprocessing: ForecastPreprocessing, horizon: int, returns: bool = False
) -> tuple[PointBaseline, ...]:
    members = set_of(preprocessing, horizon, returns).members
    return tuple(member for member in members if isinstance(member, PointBaseline))


@cache
def base(returns: bool) -> tuple[SeriesTable, tuple[PointBaseline, ...]]:
    """Return two series with gaps, and all baselines of a set, fitted on their first rows."""
    values = seasonal(160, 6, channels=2, noise=0.3)
    values[[3, 50, 51, 90], [0, 1, 1, 0]] = np.nan
    table = table_of(values, values[::-1][:120], season=6, lookback=14)
    members = members_of(table.preprocessing, 8, returns)
    for member in members:
        member.fit(split_of(table, 8, [(0, 90), (0, 80)]), split_of(table, 8, [(90, 120), (80, 100)]))
    return table, members


def changed(table: SeriesTable, at_rows: list[int], value: float) -> SeriesTable:
    values = table.targets.numpy().copy()
    values[at_rows] = value
    pieces = [values[a:b] for a, b in zip(table.first[:-1], table.first[1:], strict=True)]
    return table_of(*pieces, season=table.preprocessing.season, lookback=table.preprocessing.lookback)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
@given(data=st.data())
def test_no_baseline_sees_the_future(returns: bool, data: st.DataObject) -> None:
    table, members = base(returns)
    series = data.draw(st.integers(0, 1))
    first, last = int(table.first[series]), int(table.first[series + 1])
    origin = data.draw(st.integers(first + 14, last - 1))
    future = data.draw(st.lists(st.integers(origin, last - 1), min_size=1, max_size=5))
    value = data.draw(st.sampled_from([np.nan, 0.0, 1e4, -3.5]))
    before, after = split_of(table, 8), split_of(table, 8)
    after = WindowSplit(changed(table, future, value), before.origins, before.series, 8)
    blind = (before.origins <= origin) | (before.series != series)
    for member in members:
        got, expected = member.point(after)[blind], member.point(before)[blind]
        np.testing.assert_array_equal(got, expected, err_msg=member.name)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_a_forecast_does_not_depend_on_the_batch(returns: bool) -> None:
    table, members = base(returns)
    whole = split_of(table, 8)
    some = np.array([0, 40, len(whole) - 3])
    for member in members:
        alone = member.point(WindowSplit(table, whole.origins[some], whole.series[some], 8))
        np.testing.assert_allclose(alone, member.point(whole)[some], atol=1e-6, err_msg=member.name)


@settings(max_examples=10)
@given(factor=st.floats(0.1, 20), shift=st.floats(-30, 30))
def test_baselines_of_levels_commute_with_an_affine_scale(factor: float, shift: float) -> None:
    values = seasonal(160, 6, channels=2, noise=0.3)
    table, scaled = (
        table_of(v, season=6, lookback=14) for v in (values, factor * values.astype(np.float32) + shift)
    )
    spans = [(0, 90)], [(90, 120)]
    fitted_ets = None
    for one, other in zip(*(members_of(t.preprocessing, 8) for t in (table, scaled)), strict=True):
        for member, own in ((one, table), (other, scaled)):
            member.fit(*(split_of(own, 8, span) for span in spans))
        if isinstance(
            one, Ets
        ):  # a numerical search stops elsewhere; the forecast given the parameters is exact
            fitted_ets = np.array(one.parameters)
            other.load_state(one.state())
        expected = factor * one.point(split_of(table, 8)) + shift
        tolerance = 1e-4 * (factor * np.abs(values).max() + abs(shift))
        got = other.point(split_of(scaled, 8))
        np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0, err_msg=one.name)
    assert fitted_ets is not None


def test_a_random_walk_forecasts_no_direction() -> None:
    scale = Scale([0.0007], [0.013], [0.01])
    table = table_of(np.random.default_rng(1).normal(size=40))
    preprocessing = replace(table.preprocessing, scales={"a": scale})
    split = split_of(replace(table, preprocessing=preprocessing, prices=np.ones((1, 1))), 2)
    point = RandomWalk().point(split)
    assert "direction" not in score(split, with_intervals(point, np.zeros((2, 1, 3))), (0.1, 0.5, 0.9))
    assert "direction" in score(split, with_intervals(point + 0.1, np.zeros((2, 1, 3))), (0.1, 0.5, 0.9))


def names(season: int, returns: bool) -> list[str]:
    preprocessing = preprocessing_of(["a"], 1, season, 5)
    return [member.name for member in members_of(preprocessing, 3, returns)]


def test_the_set_follows_the_data() -> None:
    assert names(24, LEVELS) == ["last_value", "seasonal_naive", "drift", "ets", "linear"]
    assert names(1, LEVELS) == ["last_value", "drift", "ets", "linear"]
    assert names(1, RETURNS) == ["random_walk", "drift", "linear"]


def test_many_series_are_not_smoothed() -> None:
    names = [str(i) for i in range(33)]
    Ets(preprocessing_of(names[:32], 2, 1, 5))._check_count()
    with pytest.raises(LeftOut, match="66 fits"):
        Ets(preprocessing_of(names, 2, 1, 5))._check_count()


def test_a_baseline_that_is_left_out_is_named() -> None:
    table = table_of(*[np.random.default_rng(i).normal(size=12) for i in range(65)], lookback=2)
    split = split_of(table, 1)
    fitted = set_of(table.preprocessing, 1).fit(split, split)
    assert "65" in " ".join(fitted.notes)
    loaded = set_of(table.preprocessing, 1).load_state(fitted.state())
    assert "ets" not in dict(fitted.each(split)) and "ets" not in dict(loaded.each(split))
    assert set_of(table.preprocessing, 1, RETURNS).fit(split, split).notes == []


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_intervals_come_from_the_validation_errors(returns: bool) -> None:
    table, members = base(returns)
    config = config_of(table.preprocessing, 8, returns)
    splits = [split_of(table, 8, spans) for spans in ([(0, 90), (0, 80)], [(90, 120), (80, 100)])]
    forecasts = dict(set_of(table.preprocessing, 8, returns).fit(*splits).each(split_of(table, 8)))
    assert list(forecasts) == [member.name for member in members]
    for member in members:
        errors = error_quantiles(member.point(splits[1]), splits[1], config.quantiles)
        forecast = forecasts[member.name]
        away = forecast.quantiles - forecast.point[..., None]
        np.testing.assert_allclose(away, np.broadcast_to(errors, away.shape), atol=1e-5, err_msg=member.name)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_fitted_baselines_are_saved_as_arrays(returns: bool, tmp_path: Path) -> None:
    table, _ = base(returns)
    split, valid = split_of(table, 8), split_of(table, 8, [(90, 120), (80, 100)])
    fitted = set_of(table.preprocessing, 8, returns).fit(split, valid)
    save_arrays(tmp_path / "baselines.safetensors", fitted.state())
    arrays = load_arrays(tmp_path / "baselines.safetensors")
    loaded = set_of(table.preprocessing, 8, returns).load_state(arrays)
    for (name, one), (again, other) in zip(fitted.each(split), loaded.each(split), strict=True):
        assert name == again
        np.testing.assert_array_equal(one.point, other.point, err_msg=name)
        np.testing.assert_array_equal(one.quantiles, other.quantiles, err_msg=name)


@pytest.mark.parametrize(
    ("missing", "made"),
    [
        ("statsmodels.tsa.exponential_smoothing.ets", Ets),
        ("sklearn.linear_model", lambda preprocessing: Linear(preprocessing, returns=False)),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    missing: str, made: Callable[[ForecastPreprocessing], PointBaseline], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(seasonal(60, 6), lookback=5)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"pip install 'holdfast\[forecast\]'"):
        made(table.preprocessing).fit(split_of(table, 2), split_of(table, 2))


def test_metrics_on_a_public_dataset_are_the_published_ones(shared_data: Callable[[str], Path]) -> None:
    """Zeng et al. 2023, table 2, ETTh1, 96 steps: Repeat 1.295, 0.713; NLinear 0.374, 0.394."""
    file = shared_data("ett/ETTh1.csv")
    raw = np.loadtxt(file, delimiter=",", skiprows=1, usecols=range(1, 8))[:14400]
    table = table_of((raw - raw[:8640].mean(0)) / raw[:8640].std(0), season=24, lookback=336)
    train, valid, test = (split_of(table, 96, [span]) for span in ((0, 8640), (8640, 11520), (11520, 14400)))
    linear = Linear(table.preprocessing, returns=False)
    linear.fit(train, valid)
    for point, mse, mae in (
        (LastValue().point(test), 1.295, 0.713),
        (linear.point(test), 0.374, 0.394),
    ):
        error = point - truth(test)
        assert (error**2).mean() == pytest.approx(mse, abs=0.005)
        assert np.abs(error).mean() == pytest.approx(mae, abs=0.005)
