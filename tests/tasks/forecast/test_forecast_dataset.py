"""From a file to windows: log returns over gaps, splits at common times, loss of gaps."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from handmade import config_of, split_of, table_of
from holdfast.data.tabular.frequency import Frequency
from holdfast.data.tabular.series import Columns, Panel, Series
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.forecast.dataset import read_dataset, to_returns
from holdfast.tasks.forecast.trainable import WindowTraining

NAN = np.nan


def test_a_missing_price_costs_one_return() -> None:
    prices = np.array([NAN, 10.0, 20.0, NAN, 5.0, NAN])[:, None]
    panel = Panel((Series("", np.arange(6), prices),), Columns(targets=("p",)), Frequency("step"), ())
    found, last = to_returns(panel)
    returns = found.series[0].values[:, 0]
    assert np.allclose(returns, [NAN, np.log(2), NAN, np.log(1 / 4), NAN], equal_nan=True)
    assert last.tolist() == [[5.0]]
    assert np.isclose(10.0 * np.exp(np.nansum(returns)), last[0, 0])


def _days(first: str, count: int) -> list[str]:
    return [str(np.datetime64(first) + k) for k in range(count)]


def test_several_series_are_cut_at_the_same_times(tmp_path: Path) -> None:
    days = _days("2024-01-01", 100)
    late, early = days[40:], days[:80]
    frame = pl.DataFrame(
        {
            "date": late + early,
            "who": ["late"] * len(late) + ["early"] * len(early),
            "y": np.random.default_rng(0).normal(size=len(late) + len(early)),
        }
    )
    frame.write_csv(tmp_path / "y.csv")
    data = DataConfig(target=("y",), series="who", split="0.6/0.2/0.2")
    found = read_dataset(ForecastConfig(data=data, horizon=2, lookback=3), tmp_path / "y.csv")
    assert found.test is not None
    firsts = {"training": 0, "validation": 60, "test": 80}
    for name, split in zip(firsts, (found.train, found.valid, found.test), strict=True):
        for series in np.unique(split.series):
            own = split.table.panel.series[series]
            origins = own.times[split.origins[split.series == series] - split.table.first[series]]
            begin = max(np.datetime64(days[firsts[name]]), own.times[3])
            assert origins.min() == begin, (name, own.name)
            assert origins.max() <= np.datetime64(days[firsts[name]]) + 60
    assert set(found.test.series) == {0}  # the early one ends where the test split begins


def test_a_series_without_a_training_window_is_named(tmp_path: Path) -> None:
    days = _days("2024-01-01", 100)
    values = np.random.default_rng(0).normal(size=147)
    frame = pl.DataFrame({"date": days + days[53:], "who": ["whole"] * 100 + ["short"] * 47, "y": values})
    frame.write_csv(tmp_path / "y.csv")
    data = DataConfig(target=("y",), series="who", split="0.6/0.2/0.2")
    found = read_dataset(ForecastConfig(data=data, horizon=2), tmp_path / "y.csv")
    assert "series too short for a training window, but scored: short" in found.notes
    assert found.preprocessing.lookback == 8


def test_other_values_times_and_units_are_other_data(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=60)
    config = ForecastConfig(data=DataConfig(target=("y",)), horizon=1, lookback=5)

    def digest(start: str, y: np.ndarray) -> str:
        pl.DataFrame({"date": _days(start, 60), "y": y}).write_csv(tmp_path / "y.csv")
        return read_dataset(config, tmp_path / "y.csv").digest

    same = digest("2024-01-01", values)
    assert digest("2024-01-01", values) == same
    assert len({same, digest("2024-01-08", values), digest("2024-01-01", 2 * values)}) == 3


def test_one_series_is_cut_by_its_rows(tmp_path: Path) -> None:
    pl.DataFrame({"date": _days("2024-01-01", 50), "y": np.arange(50.0)}).write_csv(tmp_path / "y.csv")
    config = ForecastConfig(data=DataConfig(target=("y",), split="30/10/10"), horizon=1, lookback=5)
    found = read_dataset(config, tmp_path / "y.csv")
    assert found.test is not None
    assert [split.origins.tolist() for split in (found.train, found.valid, found.test)] == [
        list(range(5, 30)),
        list(range(30, 40)),
        list(range(40, 50)),
    ]


def test_a_fraction_has_the_latest_windows_of_each_series() -> None:
    split = split_of(table_of(np.zeros((11, 1)), np.zeros((5, 1))), 1)
    kept = split.fraction(0.3)
    assert kept.origins.tolist() == [8, 9, 10, 15] and kept.series.tolist() == [0, 0, 0, 1]


def test_the_loss_is_a_mean_over_the_observed_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observed targets weight the batches, so the batch size does not change the loss."""
    values = np.random.default_rng(0).normal(size=40)
    values[5:25] = NAN
    split = split_of(table_of(values, lookback=2), 4)
    config = config_of(split.table.preprocessing, 4)

    class Zero(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(()))

        def forward(self, past: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
            return self.bias + torch.zeros(len(past), 4, 1, 3)

    training = WindowTraining(Zero(), config, split, split)
    came = split.truth(torch.arange(len(split))).numpy()
    expected = np.nanmean([np.maximum(q * came, (q - 1) * came) for q in config.quantiles])
    for size in (1, 3, 512):
        monkeypatch.setattr("holdfast.tasks.forecast.trainable._WINDOWS_AT_ONCE", size)
        assert np.isclose(training.mean_loss(split), expected, rtol=1e-6)
