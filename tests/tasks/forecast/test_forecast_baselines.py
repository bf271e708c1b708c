"""The baselines against hand computation and published figures; each is blind to the future."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmade import at, config_of, part_of, rows_of, schema_of, seasonal
from holdfast.checkpoint import load_arrays, save_arrays
from holdfast.errors import UserError
from holdfast.tasks.forecast.baselines import (
    Baseline,
    Baselines,
    Drift,
    LastValue,
    MeanReturn,
    RandomWalk,
    SeasonalNaive,
    baselines,
)
from holdfast.tasks.forecast.ets import Ets
from holdfast.tasks.forecast.linear import Linear
from holdfast.tasks.forecast.preprocessing import Scale, Schema
from holdfast.tasks.forecast.scoring import error_quantiles, score, truth, with_intervals
from holdfast.tasks.forecast.windows import Part, Rows

# -- rules, by hand ----------------------------------------------------------------------------------------------


def test_last_value_repeats_the_last_value_of_each_channel() -> None:
    rows = rows_of(np.array([[1, 10], [2, 20], [4, 40], [7, 70]]))
    np.testing.assert_array_equal(LastValue().forecast(at(rows, 3, 2)), [[[4, 40], [4, 40]]])


def test_drift_draws_on_the_line_from_the_first_to_the_last_value() -> None:
    rows = rows_of(np.array([5.0, 5.0]), np.array([1.0, 2.0, 4.0, 7.0]))
    np.testing.assert_array_equal(Drift().forecast(at(rows, 6, 3))[0, :, 0], [9, 11, 13])
    np.testing.assert_array_equal(Drift().forecast(at(rows, 3, 2))[0, :, 0], [1, 1])  # one value is no line


def test_drift_begins_at_the_first_value_that_was_seen() -> None:
    gap = np.nan
    rows = rows_of(np.array([[gap, gap], [gap, gap], [2.0, gap], [5.0, gap]]))
    np.testing.assert_array_equal(Drift().forecast(at(rows, 4, 2))[0], [[8, 0], [11, 0]])
    np.testing.assert_array_equal(Drift().forecast(at(rows, 2, 2))[0], np.zeros((2, 2)))


def test_seasonal_naive_repeats_the_last_season() -> None:
    rows = rows_of(np.array([9.0] * 5), np.array([1.0, 2.0, 3.0, 4.0, 5.0]), season=3)
    np.testing.assert_array_equal(SeasonalNaive(3).forecast(at(rows, 9, 5))[0, :, 0], [2, 3, 4, 2, 3])


def test_seasonal_naive_takes_the_last_value_where_the_season_begins_before_the_series() -> None:
    rows = rows_of(np.array([9.0] * 5), np.array([1.0, 2.0, 3.0, 4.0, 5.0]), season=3)
    np.testing.assert_array_equal(SeasonalNaive(3).forecast(at(rows, 7, 4))[0, :, 0], [2, 1, 2, 2])


@given(season=st.integers(2, 30), horizon=st.integers(1, 70))
def test_seasonal_naive_is_exact_on_a_periodic_series(season: int, horizon: int) -> None:
    values = np.sin(2 * np.pi * (np.arange(150) % season) / season)
    part = part_of(rows_of(values, season=season, lookback=season), horizon)
    np.testing.assert_array_equal(SeasonalNaive(season).forecast(part), truth(part))


def test_rules_of_returns_are_no_change_and_the_mean_change() -> None:
    rows = rows_of(np.zeros((4, 2)))
    part = at(rows, 2, 3)
    np.testing.assert_allclose(part.unscale(RandomWalk().forecast(part)), np.zeros((1, 3, 2)), atol=1e-15)
    np.testing.assert_array_equal(part.unscale(MeanReturn().forecast(part)), np.tile([1.0, 2.0], (1, 3, 1)))


# -- the family --------------------------------------------------------------------------------------------------

LEVELS, RETURNS = (False, True)


@cache
def base(returns: bool) -> tuple[Rows, tuple[Baseline, ...]]:
    """Two series with gaps, and every baseline of one set, fitted on their first part."""
    values = seasonal(160, 6, channels=2, noise=0.3)
    values[[3, 50, 51, 90], [0, 1, 1, 0]] = np.nan
    rows = rows_of(values, values[::-1][:120], season=6, lookback=14)
    members = tuple(baselines(config_of(rows.schema, 8, returns), rows.schema))
    for member in members:
        member.fit(part_of(rows, 8, [(0, 90), (0, 80)]), part_of(rows, 8, [(90, 120), (80, 100)]))
    return rows, members


def changed(rows: Rows, at_rows: list[int], value: float) -> Rows:
    table = rows.targets.numpy().copy()
    table[at_rows] = value
    pieces = [table[a:b] for a, b in zip(rows.first[:-1], rows.first[1:], strict=True)]
    return rows_of(*pieces, season=rows.schema.season, lookback=rows.schema.lookback)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
@given(data=st.data())
def test_no_baseline_sees_the_future(returns: bool, data: st.DataObject) -> None:
    rows, members = base(returns)
    series = data.draw(st.integers(0, 1))
    first, last = int(rows.first[series]), int(rows.first[series + 1])
    origin = data.draw(st.integers(first + 14, last - 1))
    future = data.draw(st.lists(st.integers(origin, last - 1), min_size=1, max_size=5))
    value = data.draw(st.sampled_from([np.nan, 0.0, 1e4, -3.5]))
    before, after = part_of(rows, 8), part_of(rows, 8)
    after = Part(changed(rows, future, value), before.origins, before.series, 8)
    blind = (before.origins <= origin) | (before.series != series)
    for member in members:
        got, expected = member.forecast(after)[blind], member.forecast(before)[blind]
        np.testing.assert_array_equal(got, expected, err_msg=member.name)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_a_window_is_forecast_the_same_alone_as_among_others(returns: bool) -> None:
    rows, members = base(returns)
    whole = part_of(rows, 8)
    some = np.array([0, 40, len(whole) - 3])
    for member in members:
        alone = member.forecast(Part(rows, whole.origins[some], whole.series[some], 8))
        np.testing.assert_allclose(alone, member.forecast(whole)[some], atol=1e-6, err_msg=member.name)


@settings(max_examples=10)
@given(factor=st.floats(0.1, 20), shift=st.floats(-30, 30))
def test_baselines_of_levels_commute_with_an_affine_scale(factor: float, shift: float) -> None:
    values = seasonal(160, 6, channels=2, noise=0.3)
    rows, scaled = (
        rows_of(v, season=6, lookback=14) for v in (values, factor * values.astype(np.float32) + shift)
    )
    spans = [(0, 90)], [(90, 120)]
    fitted_ets = None
    for one, other in zip(
        *(baselines(config_of(r.schema, 8), r.schema) for r in (rows, scaled)), strict=True
    ):
        for member, own in ((one, rows), (other, scaled)):
            member.fit(*(part_of(own, 8, span) for span in spans))
        if isinstance(
            one, Ets
        ):  # a numerical search stops elsewhere: what is exact is the forecast given parameters
            fitted_ets = np.array(one.parameters)
            other.load(one.state())
        expected = factor * one.forecast(part_of(rows, 8)) + shift
        tolerance = 1e-4 * (factor * np.abs(values).max() + abs(shift))
        got = other.forecast(part_of(scaled, 8))
        np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0, err_msg=one.name)
    assert fitted_ets is not None


def test_a_random_walk_forecasts_no_direction() -> None:
    scale = Scale([0.0007], [0.013], [0.01])
    rows = rows_of(np.random.default_rng(1).normal(size=40))
    schema = replace(rows.schema, scales={"a": scale})
    part = part_of(replace(rows, schema=schema, prices=np.ones((1, 1))), 2)
    point = RandomWalk().forecast(part)
    assert "direction" not in score(with_intervals(point, np.zeros((2, 1, 3))), part, (0.1, 0.5, 0.9))
    assert "direction" in score(with_intervals(point + 0.1, np.zeros((2, 1, 3))), part, (0.1, 0.5, 0.9))


def names(season: int, returns: bool, series: int = 1, channels: int = 1) -> list[str]:
    schema = schema_of([str(i) for i in range(series)], channels, season, 5)
    return [member.name for member in baselines(config_of(schema, 3, returns), schema)]


def test_the_set_follows_the_data() -> None:
    assert names(24, LEVELS) == ["last_value", "seasonal_naive", "drift", "ets", "linear"]
    assert names(1, LEVELS) == ["last_value", "drift", "ets", "linear"]
    assert names(1, RETURNS) == ["random_walk", "drift", "linear"]
    assert "ets" in names(1, LEVELS, series=32, channels=2)
    assert "ets" not in names(1, LEVELS, series=33, channels=2)


def test_what_is_left_out_is_said() -> None:
    rows = rows_of(*[np.random.default_rng(i).normal(size=12) for i in range(65)], lookback=2)
    part = part_of(rows, 1)
    assert "65" in " ".join(Baselines.fit(config_of(rows.schema, 1), rows.schema, part, part).notes)
    assert Baselines.fit(config_of(rows.schema, 1, RETURNS), rows.schema, part, part).notes == ()


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_intervals_come_from_the_validation_errors(returns: bool) -> None:
    rows, members = base(returns)
    config = config_of(rows.schema, 8, returns)
    parts = [part_of(rows, 8, spans) for spans in ([(0, 90), (0, 80)], [(90, 120), (80, 100)])]
    forecasts = Baselines.fit(config, rows.schema, *parts).forecasts(part_of(rows, 8))
    assert list(forecasts) == [member.name for member in members]
    for member in members:
        errors = error_quantiles(member.forecast(parts[1]), parts[1], config.quantiles)
        forecast = forecasts[member.name]
        away = forecast.quantiles - forecast.point[..., None]
        np.testing.assert_allclose(away, np.broadcast_to(errors, away.shape), atol=1e-5, err_msg=member.name)


@pytest.mark.parametrize("returns", [LEVELS, RETURNS])
def test_fitted_baselines_are_kept_as_arrays(returns: bool, tmp_path: Path) -> None:
    rows, _ = base(returns)
    config, part = config_of(rows.schema, 8, returns), part_of(rows, 8)
    fitted = Baselines.fit(config, rows.schema, part, part_of(rows, 8, [(90, 120), (80, 100)]))
    save_arrays(tmp_path / "baselines.safetensors", fitted.state())
    loaded = Baselines.from_state(config, rows.schema, load_arrays(tmp_path / "baselines.safetensors"))
    for (name, one), (again, other) in zip(fitted.each(part), loaded.each(part), strict=True):
        assert name == again
        np.testing.assert_array_equal(one.point, other.point, err_msg=name)
        np.testing.assert_array_equal(one.quantiles, other.quantiles, err_msg=name)


@pytest.mark.parametrize(
    ("missing", "made"),
    [
        ("statsmodels.tsa.exponential_smoothing.ets", Ets),
        ("sklearn.linear_model", lambda schema: Linear(schema, returns=False)),
    ],
)
def test_a_missing_library_is_told_with_its_remedy(
    missing: str, made: Callable[[Schema], Baseline], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(seasonal(60, 6), lookback=5)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"pip install 'holdfast\[forecast\]'"):
        made(rows.schema).fit(part_of(rows, 2), part_of(rows, 2))


def test_figures_on_a_public_data_set_are_the_published_ones(shared_data: Callable[[str], Path]) -> None:
    """Zeng et al. 2023, table 2, ETTh1 at 96 steps: Repeat MSE 1.295, MAE 0.713; NLinear 0.374, 0.394."""
    file = shared_data("ett/ETTh1.csv")
    raw = np.loadtxt(file, delimiter=",", skiprows=1, usecols=range(1, 8))[:14400]
    rows = rows_of((raw - raw[:8640].mean(0)) / raw[:8640].std(0), season=24, lookback=336)
    train, valid, test = (part_of(rows, 96, [span]) for span in ((0, 8640), (8640, 11520), (11520, 14400)))
    linear = Linear(rows.schema, returns=False)
    linear.fit(train, valid)
    for point, mse, mae in (
        (LastValue().forecast(test), 1.295, 0.713),
        (linear.forecast(test), 0.374, 0.394),
    ):
        error = point - truth(test)
        assert (error**2).mean() == pytest.approx(mse, abs=0.005)
        assert np.abs(error).mean() == pytest.approx(mae, abs=0.005)
