"""The forecaster's promises that no other test holds: large values, late starts, resumed runs, prices."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import holdfast as hf
from holdfast.errors import UserError

SMALL: dict[str, Any] = {"hidden_size": 4, "epochs": 1, "batch_size": 64, "lookback": 24, "device": "cpu"}


def write(path: Path, values: np.ndarray, start: str = "2024-01-01") -> Path:
    times = np.datetime64(start, "us") + np.arange(len(values)) * np.timedelta64(1, "h")
    pl.DataFrame({"time": times, "y": values}).write_csv(path)
    return path


def test_large_values_keep_their_small_changes(tmp_path: Path) -> None:
    season = 3 * np.sin(2 * np.pi * np.arange(400) / 24) + np.random.default_rng(0).normal(size=400)
    data = write(tmp_path / "y.csv", 1e9 + season)
    found = hf.Forecaster(target="y", horizon=6, **SMALL).fit(data)
    assert 0.5 < found.metrics["baselines"]["seasonal_naive"]["mae"] < 2.0


def test_a_resumed_run_with_other_settings_or_data_changes_nothing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=300)
    data, other = write(tmp_path / "y.csv", values), write(tmp_path / "z.csv", 1000 * values)
    run = tmp_path / "run"
    hf.Forecaster(target="y", horizon=6, **SMALL).fit(data, out=run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="settings differ"):
        hf.Forecaster(target="y", horizon=6, **SMALL | {"hidden_size": 8}).fit(data, out=run, resume=True)
    with pytest.raises(UserError, match="data differ"):
        hf.Forecaster(target="y", horizon=6, **SMALL).fit(other, out=run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_forecast_begins_after_the_last_target_whatever_is_done_about_gaps(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=300)
    data = write(tmp_path / "y.csv", values)
    model = hf.Forecaster(target="y", horizon=3, missing="fill", **SMALL).fit(data)
    values[-5:] = np.nan
    table = model.predict(write(tmp_path / "open.csv", values))
    assert table["time"][0] == "2024-01-13 07:00:00"  # hour 295


def test_prices_go_on_from_the_last_one(tmp_path: Path) -> None:
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, 300).cumsum())
    data = write(tmp_path / "y.csv", prices)
    model = hf.Forecaster(target="y", horizon=3, returns=True, **SMALL).fit(data)
    table = model.predict(data)
    assert np.allclose(table["forecast"].to_numpy(), prices[-1], rtol=0.05)
    assert (table["q0.1"] < table["q0.9"]).all()
    assert set(model.metrics["baselines"]) == {"random_walk", "drift", "linear"}


def test_a_saved_forecaster_is_the_same(tmp_path: Path) -> None:
    data = write(tmp_path / "y.csv", np.sin(np.arange(300) / 4))
    model = hf.Forecaster(target="y", horizon=6, loss="mae", **SMALL).fit(data, out=tmp_path / "run")
    again = hf.load(tmp_path / "run")
    assert again.predict(data).equals(model.predict(data))
    ours, theirs = model.evaluate(data), again.evaluate(data)
    assert ours["model"] == theirs["model"] and ours["baselines"] == theirs["baselines"]
