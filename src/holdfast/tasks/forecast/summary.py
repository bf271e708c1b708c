"""The results of forecasters in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.legacy_summary import Measure, against, otherwise, standings
from holdfast.reporting.summary import TIE, best_cell

EVALUATION = ("task", "split", "model", "baselines", "parameters", "seconds", "windows")
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = (
    "target",
    "horizon",
    "time",
    "series",
    "past",
    "known",
    "frequency",
    "season",
    "returns",
    "sort",
)
"""Settings that another command on the same file needs as well."""

BASELINES = {
    "last_value": "the last value",
    "seasonal_naive": "the seasonal naive forecast",
    "drift": "drift",
    "ets": "ETS",
    "linear": "the linear model",
    "random_walk": "the random walk",
}
MEASURE = Measure("mae", "MAE", "forecasts", "windows", BASELINES)
MEANINGS = {
    "mae": "mean absolute error, in the column's unit",
    "rmse": "root of the mean squared error, in the column's unit; large errors count more",
    "smape": "symmetric percentage error, 0 to 200",
    "mase": "error as a multiple of the seasonal naive forecast's on the training part; below 1 is better than that",
    "pinball": "error of the quantiles, in the column's unit",
    "coverage": "share of values within the outer quantiles: 0.8 is right for 10 % to 90 %",
    "mse_z": "mean squared error where each column is scaled to deviation 1, as published figures are given",
    "mae_z": "mean absolute error on that scale",
    "direction": "share of changes whose sign was forecast; 0.5 is a coin's",
}
"""What a metric says."""
WHICH_WAY = "Lower is better, but for coverage and direction."

Result = Mapping[str, Any]


def title(result: Result) -> str:
    """What was scored."""
    return f"forecast, {result['split']} split, {result['windows']:,} windows"


def verdict(result: Result) -> list[str]:
    """The model against the best baseline, and against the random walk where prices are forecast."""
    own, baselines = result["model"][MEASURE.metric], result["baselines"]
    instead = "" if result["split"] == "backtest" else f" (predict --method {MEASURE.best(baselines)[0]})"
    words = [
        f"On {result['windows']} windows the network's {MEASURE.label} is {own:.4g}; "
        f"{against(MEASURE, own, baselines, instead)}"
    ]
    words += otherwise(MEASURE, result)
    if "random_walk" in baselines:
        walk = baselines["random_walk"][MEASURE.metric]
        words.append(_prices(own, walk, result["model"].get("direction")))
    return words


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says, and where prices are forecast, whether there is anything to be had."""
    words = standings(comparison, MEASURE)
    if "random_walk" in comparison.baselines:
        best = best_cell(comparison)
        walk = comparison.baselines["random_walk"][MEASURE.metric]
        own = comparison.metric(best, MEASURE.metric).mean
        words.append(_prices(own, walk, _direction(comparison, best)))
    return words


def _prices(own: float, walk: float, direction: float | None) -> str:
    signs = "" if direction is None else f" It had the direction right {direction:.1%} of the time."
    if own >= walk * (1 - TIE):
        return (
            f"It is no better than the random walk: on this data there is nothing to be had from it.{signs}"
        )
    gain = 1 - own / walk
    return (
        f"It is {gain:.1%} better than the random walk; costs and luck not counted, so doubt it first.{signs}"
    )


def _direction(comparison: Comparison, cell: str) -> float | None:
    runs = [run for run in comparison.runs if run["cell"] == cell and "direction" in run["model"]]
    return comparison.metric(cell, "direction").mean if runs else None


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    recent = "RECENT.csv" if "--known" in asked else files[0]  # which must then reach into the future
    return [
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "predict", run, recent, "--out", "forecast.csv", "--plot", "forecast.png"],
        ["holdfast", "compare", "forecast", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
        ["holdfast", "backtest", "forecast", files[0], *asked],
    ]
