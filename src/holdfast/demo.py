"""The main job on data that needs no download."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.compare import compare
from holdfast.config import Training, save_config
from holdfast.errors import UserError
from holdfast.files import Into, new_folder, write_atomic
from holdfast.insight.comparison import Comparison
from holdfast.insight.words import best_cell
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig, NetworkConfig

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What a demo made: its data file, the comparison, the page, and commands to try next."""

    data: Path
    comparison: Comparison
    report: Path
    next: tuple[str, ...]


def demo(task: str, out: Path, announce: Announce = lambda text: None) -> Demo:
    """Run a task's demo and write its data, pictures and page into ``out`` (an earlier demo there is replaced).

    Raises:
        UserError: a task without a demo, or a folder that cannot be written.
    """
    if task not in DEMOS:
        raise UserError(
            f"Demos are: {', '.join(DEMOS)}.", f"Asked for was {task!r}.", "Run holdfast demo forecast."
        )
    return DEMOS[task](out, announce)


def forecast_demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """GRU and LSTM forecast the CO2 in the air above Mauna Loa half a year ahead, among the baselines.

    The weekly series (1958 to 2001, with gaps) is the one that statsmodels carries: Keeling & Whorf 2004, Scripps.
    """
    from holdfast.tasks.forecast.report import comparison_report

    config = ForecastConfig(
        data=DataConfig(target=("co2",), season=52),
        network=NetworkConfig(hidden_size=32, dropout=0.0, residual="mean"),
        training=Training(epochs=30, batch_size=64, learning_rate=1e-2, patience=6),
        horizon=26,
        lookback=104,
    )
    data = new_folder(out, overwrite=True) / "co2.csv"
    save_config(out / "config.toml", "forecast", config)  # by which an earlier demo's folder is known
    write_atomic(data, co2_csv())
    announce(f"CO2 at Mauna Loa, weekly: {data}; 26 weeks ahead")
    comparison = compare(
        "forecast",
        config,
        data,
        cells=("gru", "lstm"),
        seeds=3,
        small=False,
        into=Into(out, overwrite=True),
        progress=sys.stderr.isatty(),
        announce=announce,
    )
    page = comparison_report(comparison, "CO2 above Mauna Loa, 26 weeks ahead", out)
    best = best_cell(comparison)
    return Demo(data, comparison, page, _next(data, best))


def _next(data: Path, cell: str) -> tuple[str, ...]:
    run, plot = data.parent / "run", data.parent / "forecast.png"
    asked = ["--recipe", str(data.parent / "config.toml"), "--cell", cell]
    commands = [
        ["holdfast", "train", "forecast", str(data), *asked, "--out", str(run)],
        ["holdfast", "predict", str(run), str(data), "--plot", str(plot)],
        ["holdfast", "backtest", "forecast", str(data), *asked],
        ["holdfast", "train", "forecast", "YOUR.csv", "--target", "COLUMN", "--horizon", "STEPS"],
    ]
    return tuple(shlex.join(command) for command in commands)


def co2_csv() -> str:
    """The series as CSV text; weeks without a measurement are empty."""
    from statsmodels.datasets import co2

    series = co2.load().data["co2"]
    lines = [f"{time:%Y-%m-%d},{'' if value != value else f'{value:.1f}'}" for time, value in series.items()]
    return "\n".join(["date,co2", *lines]) + "\n"


DEMOS: dict[str, Callable[[Path, Announce], Demo]] = {"forecast": forecast_demo}
