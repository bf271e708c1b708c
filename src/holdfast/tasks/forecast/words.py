"""The results of forecasters in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.insight import words

EVALUATION = ("task", "part", "model", "baselines", "parameters", "seconds", "windows")
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


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"forecast, {result['part']} part, {result['windows']:,} windows"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best simple method."""
    return words.verdict(dict(result))


def next_commands(run: str, file: str, asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run."""
    recent = "RECENT.csv" if "--known" in asked else file  # which must then reach into the future
    return [
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "predict", run, recent, "--out", "forecast.csv", "--plot", "forecast.png"],
        ["holdfast", "compare", "forecast", file, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
        ["holdfast", "backtest", "forecast", file, *asked],
    ]
