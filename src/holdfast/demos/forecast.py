"""Demo of forecast: CO2 in the air above Mauna Loa, half a year ahead."""

from __future__ import annotations

from pathlib import Path

from holdfast.config import Training
from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.models.options import ForecastOptions
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM with baselines on the CO2 in the air above Mauna Loa, half a year ahead.

    The weekly series (1958 to 2001, with gaps) comes with statsmodels: Keeling & Whorf 2004,
    Scripps.
    """
    config = ForecastConfig(
        data=DataConfig(target=("co2",), season=52),
        network=ForecastOptions(hidden_size=32, dropout=0.0, residual="mean"),
        training=Training(epochs=30, batch_size=64, learning_rate=1e-2, patience=6),
        horizon=26,
        lookback=104,
    )
    data = write_data(out, "forecast", config, "co2.csv", co2_csv())
    announce(f"CO2 at Mauna Loa, weekly: {data}; 26 weeks ahead")
    title = "CO2 above Mauna Loa, 26 weeks ahead"
    return compare_cells("forecast", config, data, title, announce, seeds=3, next=_next)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    return [
        ["holdfast", "predict", run, str(data), "--plot", str(data.parent / "forecast.png")],
        ["holdfast", "backtest", "forecast", str(data), *settings],
        ["holdfast", "train", "forecast", "YOUR.csv", "--target", "COLUMN", "--horizon", "STEPS"],
    ]


def co2_csv() -> str:
    """Return the series as CSV; weeks without a measurement are empty."""
    from statsmodels.datasets import co2

    series = co2.load().data["co2"]
    lines = [f"{time:%Y-%m-%d},{'' if value != value else f'{value:.1f}'}" for time, value in series.items()]
    return "\n".join(["date,co2", *lines]) + "\n"
