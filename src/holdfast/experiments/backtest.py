"""Rolling origin: train on the past, forecast the next block, move on, train again (walk-forward)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from holdfast.config import save_config
from holdfast.errors import UserError
from holdfast.files import OutputFolder, new_folder, save_json
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.dataset import TRAINED_ONCE
from holdfast.tasks.forecast.task import Forecaster
from holdfast.tasks.forecast.windows import Part, when


def backtest(
    config: ForecastConfig,
    data: Path,
    *,
    folds: int = 5,
    into: OutputFolder | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Score a forecaster on ``folds`` blocks in order of time, trained anew before each on all rows before it.

    The test part of ``config.data.split`` is cut into equal blocks; of the rows before a block the latest are the
    validation part, in the proportion of the split. Nothing of a block is seen before it is forecast.

    Args:
        config: the settings.
        data: the file.
        folds: blocks.
        into: a folder that gets ``config.toml`` and, after each block, ``backtest.json``; nothing is written when None.
        announce: called with a line before each block.

    Returns:
        ``folds``: the metrics of each, and the time ``from`` which it is forecast; ``model`` and ``baselines``:
        metric -> mean over the folds that have it; ``spread``: the standard deviation of the model's over the folds.

    Raises:
        UserError: fewer than two folds, a split without a test part or in rows, blocks shorter than the horizon.
    """
    results: list[dict[str, Any]] = []
    for k, split in enumerate(_splits(config, folds)):
        model = Forecaster(replace(config, data=replace(config.data, split=split)))
        prepared = model.prepare(data)
        if prepared.test is None:
            raise UserError(
                f"A block of a backtest holds at least the horizon ({config.horizon} rows).",
                f"With {folds} folds and the split {config.data.split} a block is shorter.",
                "Give fewer --folds, a shorter --horizon, or a larger test part in --split.",
            )
        if into is not None and k == 0:
            new_folder(into.folder, overwrite=into.overwrite)
            save_config(into.folder / "config.toml", "forecast", config)
        announce(f"fold {k + 1} of {folds}: trained on the first {_share(split):.0%} of the rows ...")
        model.fit_prepared(prepared)
        if model.history is not None and model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        results.append(model.metrics | {"from": _begin(prepared.test)})
        if into is not None:
            save_json(into.folder / "backtest.json", _summary(config, results))
    return _summary(config, results)


def _begin(part: Part) -> str:
    """The earliest time (or row) that is forecast."""
    times = [
        part.rows.panel.series[s].times[origin - part.rows.first[s]]
        for origin, s in zip(part.origins, part.series, strict=True)
    ]
    return when(min(times))


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
    models = [fold["model"] for fold in results]
    notes = dict.fromkeys(note for fold in results for note in fold["notes"])
    return {
        "task": "forecast",
        "part": "backtest",
        "folds": results,
        "model": _over(models, mean),
        "spread": _over(models, lambda values: stdev(values) if len(values) > 1 else 0.0),
        "baselines": {
            name: _over([fold["baselines"][name] for fold in results if name in fold["baselines"]], mean)
            for name in results[0]["baselines"]
        },
        "parameters": results[0]["parameters"],
        "seconds": sum(r["seconds"] for r in results),
        "windows": sum(r["windows"] for r in results),
        "cell": config.network.cell,
        "notes": [note for note in notes if note != TRAINED_ONCE],
    }


def _over(figures: list[dict[str, float]], what: Callable[[list[float]], float]) -> dict[str, float]:
    """A statistic of each metric over the folds that have it."""
    names = dict.fromkeys(name for fold in figures for name in fold)
    return {name: what([fold[name] for fold in figures if name in fold]) for name in names}
