"""Results in plain words, with no more claimed than the figures carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.insight.comparison import Comparison, Spread

NAMES = {
    "last_value": "the last value",
    "seasonal_naive": "the seasonal naive forecast",
    "drift": "drift",
    "ets": "ETS",
    "linear": "the linear model",
    "random_walk": "the random walk",
}
METRICS = {
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
"""What a metric says; lower is better, but for coverage and direction."""

TIE = 0.01
"""Relative difference of one run below which two figures are called equal."""
Result = dict[str, Any]


def best_baseline(baselines: dict[str, dict[str, float]], metric: str) -> tuple[str, float]:
    """Name and value of the baseline with the lowest metric."""
    name = min(baselines, key=lambda b: baselines[b][metric])
    return name, baselines[name][metric]


def verdict(result: Result, metric: str = "mae") -> list[str]:
    """The model against the best baseline, and against the random walk where prices are forecast.

    Args:
        result: what ``evaluate`` returns.
        metric: the figure compared; lower is better.
    """
    own = result["model"][metric]
    name, bar = best_baseline(result["baselines"], metric)
    instead = "" if result["part"] == "backtest" else f" (predict --method {name})"
    words = [
        f"On {result['windows']} windows the network's {metric.upper()} is {own:.4g}; "
        f"{_against(own, name, bar, instead)}"
    ]
    if "int8" in result:
        rounded = result["int8"][metric]
        words.append(
            f"In int8 it is {rounded:.4g}, {abs(rounded / own - 1):.2%} {'more' if rounded > own else 'less'}."
        )
    if "random_walk" in result["baselines"]:
        words.append(
            _prices(own, result["baselines"]["random_walk"][metric], result["model"].get("direction"))
        )
    return words


def _against(own: float, name: str, bar: float, how: str = "") -> str:
    label = NAMES.get(name, name)
    if own == bar or (bar > 0 and abs(own / bar - 1) < TIE):
        return f"the best baseline, {label}, has {bar:.4g}: no difference worth the name."
    if own < bar:
        return f"that is {1 - own / bar:.1%} below the best baseline, {label} ({bar:.4g})."
    instead = f"use {label} instead{how}."
    if own > 2 * bar:
        return f"the best baseline, {label}, has {bar:.4g}, far below: {instead}"
    return f"that is {own / bar - 1:.1%} ABOVE the best baseline, {label} ({bar:.4g}): {instead}"


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


def best_cell(comparison: Comparison) -> str:
    """The cell with the lowest validation loss."""
    return min(comparison.cells, key=lambda c: comparison.spread(c, lambda run: run["valid_loss"]).mean)


def claims(comparison: Comparison, metric: str = "mae", small: float | None = None) -> list[str]:
    """The textbook's claims held against a comparison of cells.

    A difference counts when it is larger than the sum of both standard deviations over the seeds.

    Args:
        comparison: of the cells that were trained.
        metric: the test figure; lower is better.
        small: the share of the training windows that the small-data claim was tried on.
    """
    words = []
    if {"gru", "lstm"} <= set(comparison.cells):
        words += _gru_against_lstm(comparison, metric, small)
    if "rnn" in comparison.cells:
        words += [
            _claim(
                f"a gated {c.upper()} forecasts better than a plain RNN",
                comparison.metric(c, metric),
                comparison.metric("rnn", metric),
                f"{comparison.part} {metric.upper()}",
            )
            for c in comparison.cells
            if c != "rnn"
        ]
    best = best_cell(comparison)
    name, bar = best_baseline(comparison.baselines, metric)
    own = comparison.metric(best, metric)
    words.append(
        f"The cell with the lowest validation loss: {best.upper()}, "
        f"{metric.upper()} {own}; {_against(own.mean, name, bar)}"
    )
    if "random_walk" in comparison.baselines:
        words.append(
            _prices(own.mean, comparison.baselines["random_walk"][metric], _direction(comparison, best))
        )
    return words


def _direction(comparison: Comparison, cell: str) -> float | None:
    runs = [run for run in comparison.runs if run["cell"] == cell and "direction" in run["model"]]
    return comparison.metric(cell, "direction").mean if runs else None


def _gru_against_lstm(comparison: Comparison, metric: str, small: float | None) -> list[str]:
    def pair(value: Callable[[str], Spread]) -> tuple[Spread, Spread]:
        return value("gru"), value("lstm")

    def figure(name: str) -> tuple[Spread, Spread]:
        return pair(lambda cell: comparison.spread(cell, lambda run: run[name]))

    words = [
        _claim("a GRU has fewer parameters than an LSTM", *figure("parameters"), "parameters"),
        _claim("a GRU trains faster", *figure("seconds_per_epoch"), "seconds an epoch"),
        _overfitting(*pair(comparison.gap)),
    ]
    if small is not None:
        scores = pair(lambda cell: comparison.metric(cell, metric, small))
        text = f"{comparison.part} {metric.upper()} after training on the latest {small:.0%} of the windows"
        words.append(_claim("a GRU suits small data better", *scores, text))
    return words


def _overfitting(gru: Spread, lstm: Spread) -> str:
    if max(gru.mean, lstm.mean) <= 0:
        return (
            f"“a GRU overfits less”: neither overfits here (validation/training loss - 1: {gru} and {lstm})."
        )
    return _claim("a GRU overfits less", gru, lstm, "validation/training loss - 1")


def _claim(claim: str, mine: Spread, other: Spread, what: str) -> str:
    """``mine`` below ``other`` supports the claim."""
    figures = f"{what}: {mine} against {other}"
    if mine.count == 1 and what != "parameters":
        return f"“{claim}”: one seed cannot tell ({figures})."
    if abs(mine.mean - other.mean) <= mine.std + other.std or mine.mean == other.mean:
        return f"“{claim}”: no difference beyond the seeds' spread here ({figures})."
    if mine.mean < other.mean:
        return f"“{claim}”: holds here ({figures})."
    return f"“{claim}”: the opposite is true here ({figures})."
