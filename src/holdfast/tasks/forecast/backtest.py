"""Rolling origin: train on the past, forecast the next block, move on, train again (walk-forward)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from holdfast.errors import UserError
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.forecaster import Forecaster


def backtest(
    config: ForecastConfig,
    data: Path,
    *,
    folds: int = 5,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Score a forecaster on ``folds`` blocks in order of time, trained anew before each on all rows before it.

    The test part of ``config.data.split`` is cut into equal blocks; of the rows before a block the latest are the
    validation part, in the proportion of the split. Nothing of a block is seen before it is forecast.

    Returns:
        ``folds``: the metrics of each; ``model`` and ``baselines``: metric -> mean over the folds; ``spread``: the
        standard deviation of the model's metrics over the folds.

    Raises:
        UserError: fewer than two folds, a split without a test part or in rows, blocks shorter than the horizon.
    """
    splits = _splits(config, folds)
    results = []
    for k, split in enumerate(splits):
        announce(f"fold {k + 1} of {folds}: trained on the first {_share(split):.0%} of the rows ...")
        model = Forecaster(replace(config, data=replace(config.data, split=split))).fit(data)
        if model.history is not None and model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        if model.metrics["part"] != "test":
            raise UserError(
                f"A block of a backtest holds at least the horizon ({config.horizon} rows).",
                f"With {folds} folds and the split {config.data.split} a block is shorter.",
                "Give fewer --folds, a shorter --horizon, or a larger test part in --split.",
            )
        results.append(model.metrics)
    return _summary(config, results)


def _share(split: str) -> float:
    train, valid, _ = (float(part) for part in split.split("/"))
    return train + valid


def _splits(config: ForecastConfig, folds: int) -> list[str]:
    train, valid, test = config.data.parts()
    if folds < 2 or train >= 1 or test <= 0:
        raise UserError(
            "A backtest takes at least 2 folds, and a split in fractions with a test part.",
            f"There were {folds} folds and the split {config.data.split}.",
            "Give for example --folds 5 --split 0.6/0.1/0.3.",
        )
    block = test / folds
    ends = [train + valid + k * block for k in range(folds)]
    share = valid / (train + valid)
    return [f"{end * (1 - share):.9f}/{end * share:.9f}/{block:.9f}" for end in ends]


def _summary(config: ForecastConfig, results: list[dict[str, Any]]) -> dict[str, Any]:
    names = results[0]["model"]
    baselines = results[0]["baselines"]
    return {
        "task": "forecast",
        "part": "backtest",
        "folds": results,
        "model": {m: mean(r["model"][m] for r in results) for m in names},
        "spread": {m: stdev(r["model"][m] for r in results) for m in names},
        "baselines": {
            b: {m: mean(r["baselines"][b][m] for r in results) for m in baselines[b]} for b in baselines
        },
        "parameters": results[0]["parameters"],
        "seconds": sum(r["seconds"] for r in results),
        "windows": sum(r["windows"] for r in results),
        "cell": config.network.cell,
        "notes": results[0]["notes"],
    }
