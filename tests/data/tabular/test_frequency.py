"""Steps, grids, seasons and calendars."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.tabular.calendar_features import calendar_features
from holdfast.data.tabular.frequency import Frequency, find_season, future, grid, grid_length, infer
from holdfast.data.tabular.series import Columns, read_panel
from holdfast.errors import UserError


def times(*text: str) -> np.ndarray:
    return np.array(text, "datetime64[us]")


def hours(count: int, start: str = "2024-01-01") -> np.ndarray:
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(1, "h")


@pytest.mark.parametrize("code", ["1s", "30min", "1h", "6h", "1d", "2w", "1mo", "1q", "1y", "rows"])
def test_frequency_codes_are_read_back(code: str) -> None:
    assert Frequency.parse(code).code == code


@pytest.mark.parametrize("text", ["", "h1", "0h", "fortnight", "1.5h", "-1d"])
def test_other_codes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--frequency"):
        Frequency.parse(text)


@given(st.sampled_from(["15min", "1h", "1d", "1w", "1mo", "1q", "1y"]), st.integers(5, 60))
def test_a_grid_is_inferred_and_continued(code: str, count: int) -> None:
    frequency, start = Frequency.parse(code), times("2021-03-15 06:00")
    whole = np.concatenate([start, future(start, frequency, count)])
    assert infer(whole).code == code
    assert np.array_equal(grid(whole, frequency), whole)
    holes = np.delete(whole, len(whole) // 2)
    assert np.array_equal(grid(holes, frequency), whole)


def test_month_ends_stay_month_ends() -> None:
    ends = times("2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29")
    assert infer(ends).code == "1mo"
    assert np.array_equal(future(ends, Frequency("month"), 2), times("2024-03-31", "2024-04-30"))


def test_a_day_that_short_months_lack() -> None:
    """The 30th of each month is February's last day, whether February is first, last or between."""
    thirtieth = Frequency("month")
    days = times("2024-01-30", "2024-02-29", "2024-03-30", "2024-04-30")
    for start in range(3):
        assert infer(days[start:]).code == "1mo"
        assert np.array_equal(grid(days[start:], thirtieth), days[start:])
    assert np.array_equal(future(days[:2], thirtieth, 2), days[2:])


@given(st.sampled_from(["1s", "15min", "1h", "1d", "2w", "1mo", "1q", "1y"]), st.integers(2, 500))
def test_the_length_of_a_grid_is_known_in_advance(code: str, days: int) -> None:
    ends = np.datetime64("2024-01-15", "us") + np.array([0, days]) * np.timedelta64(7200, "s")
    frequency = Frequency.parse(code)
    assert grid_length(ends, frequency) == len(grid(ends, frequency))


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=40, unique=True), st.sampled_from([1, 60, 86_400])
)
def test_an_inferred_grid_holds_every_time_and_few_others(steps: list[int], unit: int) -> None:
    """For any times, no row is lost, and at most a quarter is added."""
    found = np.datetime64("2000-01-01", "us") + np.sort(steps) * np.timedelta64(unit, "s")
    whole = grid(found, infer(found))
    assert np.isin(found, whole).all() and len(whole) <= 1.25 * len(found)


def test_business_days_count_as_rows() -> None:
    days = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-12-31"))
    business = days[np.is_busday(days)].astype("datetime64[us]")
    assert infer(business).code == "rows"


def test_row_numbers_continue() -> None:
    assert np.array_equal(future(np.arange(5), Frequency("step"), 3), [5, 6, 7])


@pytest.mark.parametrize("season", [24, 168])
def test_a_season_is_found(season: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 1500)
    values = np.sin(2 * np.pi * np.arange(1500) / season) + noise + 0.01 * np.arange(1500)
    assert find_season(values, Frequency("hour")) == season


def test_a_random_walk_has_no_season() -> None:
    walk = np.random.default_rng(0).normal(size=2000).cumsum()
    assert find_season(walk, Frequency("hour")) == 1
    assert find_season(walk, Frequency("step")) == 1


def test_irregular_times_continue_with_the_median_step() -> None:
    days = times("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-09")
    assert np.array_equal(future(days, Frequency("step"), 2), times("2024-01-10", "2024-01-11"))


@pytest.mark.parametrize("values", [np.full(50, np.nan), np.ones(50), np.arange(50.0), np.array([1.0, 2.0])])
def test_values_without_any_season(values: np.ndarray) -> None:
    for unit in ("month", "step", "year"):
        assert find_season(values, Frequency(unit)) == 1


def test_a_longer_step_shortens_the_season() -> None:
    values = np.sin(2 * np.pi * np.arange(300) / 8)
    assert find_season(values, Frequency("hour", 3)) == 8


@pytest.mark.parametrize(
    ("name", "target", "season"),
    [
        ("classic-univariate/airline-passengers.csv", "Passengers", 12),
        ("classic-univariate/monthly-mean-temp.csv", "Temperature", 12),
        ("classic-univariate/daily-min-temperatures.csv", "Temp", 365),
        ("ett/ETTh1.csv", "HUFL", 24),
        (
            "ett/ETTh1.csv",
            "OT",
            1,
        ),  # yesterday's value is a worse forecast of oil's temperature than the last one
        ("beijing-pm25/pollution.csv", "TEMP", 24),
        ("stocks-sp500/AAPL.csv", "close", 1),
    ],
)
def test_seasons_of_real_series(
    shared_data: Callable[[str], Path], name: str, target: str, season: int
) -> None:
    panel = read_panel(shared_data(name), Columns(targets=(target,)))
    assert find_season(panel.series[0].values[:, 0], panel.frequency) == season


def test_a_season_survives_gaps() -> None:
    values = np.sin(2 * np.pi * np.arange(400) / 12)
    values[::7] = np.nan
    assert find_season(values, Frequency("month")) == 12


def test_calendar_features_repeat_by_day_week_and_year() -> None:
    table, names = calendar_features(hours(24 * 8), Frequency("hour"))
    assert names == ("day_sin", "day_cos", "week_sin", "week_cos", "year_sin", "year_cos")
    assert np.allclose(table[0, :2], table[24, :2], atol=1e-6) and np.allclose(
        table[0, 2:4], table[168, 2:4], atol=1e-6
    )
    assert table[6, 0] == pytest.approx(1.0)  # a quarter of a day
    assert np.allclose((table[:, ::2] ** 2 + table[:, 1::2] ** 2), 1.0, atol=1e-5)


def test_row_numbers_have_no_calendar_features() -> None:
    assert calendar_features(np.arange(5), Frequency("hour"))[0].shape == (5, 0)


def test_business_days_continue_without_weekends() -> None:
    days = np.arange(np.datetime64("2021-10-01"), np.datetime64("2021-10-28")).astype("datetime64[us]")
    trading = days[np.is_busday(days.astype("datetime64[D]"))] + np.timedelta64(16, "h")
    found = future(trading, Frequency("step"), 5)
    assert [str(day)[:13] for day in found] == [
        f"2021-{day}T16" for day in ("10-28", "10-29", "11-01", "11-02", "11-03")
    ]
    assert str(future(days, Frequency("step"), 3)[-1])[:10] == "2021-10-30"  # weekdays only
