"""The forecaster: large values, late starts, resumed runs, prices, notes."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import holdfast as hf
from holdfast.errors import UserError
from holdfast.experiments.backtest import _summary
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig

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
    values[230] = 7.0  # a validation row
    changed = write(tmp_path / "changed.csv", values)
    with pytest.raises(UserError, match="data differ"):
        hf.Forecaster(target="y", horizon=6, **SMALL).fit(changed, out=run, resume=True)
    with pytest.raises(UserError, match="data differ"):
        hf.Forecaster(target="y", horizon=6, **SMALL).fit(data, valid=other, out=run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_late_refusal_keeps_the_earlier_run(tmp_path: Path) -> None:
    data, run = write(tmp_path / "y.csv", np.random.default_rng(0).normal(size=300)), tmp_path / "run"
    hf.Forecaster(target="y", horizon=6, **SMALL).fit(data, out=run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    elsewhere = SMALL | {"device": "cuda:99"}
    with pytest.raises(UserError, match="device"):
        hf.Forecaster(target="y", horizon=6, **elsewhere).fit(data, out=run, overwrite=True)
    with pytest.raises(UserError, match="segment"):
        hf.Forecaster(target="y", horizon=6, model="segment", segment=999, **SMALL).fit(
            data, out=run, overwrite=True
        )
    with pytest.raises(UserError, match="device"):
        hf.Forecaster(target="y", horizon=6, **elsewhere).fit(data, out=run, resume=True)
    with pytest.raises(UserError, match="learning_rate was"):
        hf.Forecaster(target="y", horizon=6, learning_rate=0.5, **SMALL).fit(data, out=run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_forecast_begins_after_the_last_target_with_every_gap_rule(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=300)
    data = write(tmp_path / "y.csv", values)
    model = hf.Forecaster(target="y", horizon=3, missing="fill", **SMALL).fit(data)
    values[-5:] = np.nan
    table = model.predict(write(tmp_path / "open.csv", values))
    assert table["time"][0] == "2024-01-13 07:00:00"  # hour 295


def test_forecast_prices_start_from_the_last_one(tmp_path: Path) -> None:
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, 300).cumsum())
    data = write(tmp_path / "y.csv", prices)
    model = hf.Forecaster(target="y", horizon=3, returns=True, **SMALL).fit(data)
    table = model.predict(data)
    assert np.allclose(table["forecast"].to_numpy(), prices[-1], rtol=0.05)
    assert (table["q0.1"] < table["q0.9"]).all()
    assert set(model.metrics["baselines"]) == {"random_walk", "drift", "linear"}
    assert "direction" in model.metrics["model"] and "smape" not in model.metrics["model"]


def test_unmoved_prices_have_no_direction(tmp_path: Path) -> None:
    """Every second price repeats the previous one; only changes count, and drift forecasts each."""
    prices = 100 * 1.01 ** (np.arange(400) // 2)
    data = write(tmp_path / "y.csv", prices)
    model = hf.Forecaster(target="y", horizon=2, returns=True, **SMALL).fit(data)
    assert model.metrics["baselines"]["drift"]["direction"] == 1.0


def test_filled_prices_move_once(tmp_path: Path) -> None:
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, 300).cumsum())
    prices[100:105] = np.nan
    data = write(tmp_path / "y.csv", prices)
    for missing, gap in (("fill", [0.0] * 5), ("mask", [np.nan] * 5)):
        table = hf.Forecaster(target="y", returns=True, missing=missing, **SMALL).prepare(data).train.table
        returns = table.panel.series[0].values[:, 0]
        assert np.array_equal(returns[99:104], gap, equal_nan=True)
        assert np.isclose(returns[104], np.log(prices[105] / prices[99]))
        scale = table.preprocessing.scale("")
        seen = (
            table.filled[99:104, 0].numpy() * scale.std[0] + scale.mean[0]
        )  # input of the network: no change
        assert np.allclose(seen, 0.0, atol=1e-8)


def test_a_damaged_preprocessing_is_refused(tmp_path: Path) -> None:
    data, run = write(tmp_path / "y.csv", np.random.default_rng(0).normal(size=300)), tmp_path / "run"
    hf.Forecaster(target="y", horizon=6, **SMALL).fit(data, out=run)
    path = run / "data.json"
    whole = path.read_text()
    for damaged in (whole.replace('"lookback": 24', '"lookback": "x"'), whole[:50], "[]", "{}"):
        path.write_text(damaged)
        with pytest.raises(UserError, match=r"data\.json must"):
            hf.load(run)


def test_notes_name_the_inferred_settings(tmp_path: Path) -> None:
    data = write(tmp_path / "y.csv", np.sin(np.arange(400) * 2 * np.pi / 24))
    notes = hf.Forecaster(target="y", horizon=6).prepare(data).notes
    assert "season found: 24 steps" in notes and "look-back chosen: 48 steps" in notes
    notes = hf.Forecaster(target="y", horizon=6, season=24, lookback=30).prepare(data).notes
    assert not any("season" in note or "look-back" in note for note in notes)


def test_notes_name_small_splits_and_unused_columns(tmp_path: Path) -> None:
    pl.DataFrame({"y": np.arange(40.0), "rain": np.ones(40), "wind": np.ones(40)}).write_csv(
        tmp_path / "y.csv"
    )
    notes = " ".join(hf.Forecaster(target="y", past="wind").prepare(tmp_path / "y.csv").notes)
    assert "the test split has only 8 windows" in notes and "not used: rain (" in notes


def test_a_missing_target_is_named() -> None:
    with pytest.raises(UserError, match="A forecaster must have a target column"):
        hf.Forecaster(horizon=3)


def test_a_backtest_takes_means_over_the_folds_that_have_a_metric() -> None:
    def fold(**model: float) -> dict[str, Any]:
        rest = {"parameters": 1, "seconds": 1.0, "windows": 2, "notes": ["a"]}
        return {"model": model, "baselines": {"drift": {"mae": 2.0}}, **rest}

    config = ForecastConfig(data=DataConfig(target=("y",)))
    found = _summary(config, [fold(mae=1.0, mase=3.0), fold(mae=2.0), fold(mae=3.0, mase=5.0)])
    assert found["model"] == {"mae": 2.0, "mase": 4.0} and found["spread"]["mae"] == 1.0
    assert found["baselines"] == {"drift": {"mae": 2.0}} and found["notes"] == ["a"]


def test_a_saved_forecaster_is_the_same(tmp_path: Path) -> None:
    data = write(tmp_path / "y.csv", np.sin(np.arange(300) / 4))
    model = hf.Forecaster(target="y", horizon=6, loss="mae", **SMALL).fit(data, out=tmp_path / "run")
    again = hf.load(tmp_path / "run")
    assert again.predict(data).equals(model.predict(data))
    ours, theirs = model.evaluate(data), again.evaluate(data)
    assert ours["model"] == theirs["model"] and ours["baselines"] == theirs["baselines"]
