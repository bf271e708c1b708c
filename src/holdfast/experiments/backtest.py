"""Walk-forward backtest: train on the past, forecast the next block, and go on to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from holdfast._json import JsonObject
from holdfast.config import save_config
from holdfast.errors import UserError
from holdfast.files import OutputFolder, new_folder, save_json
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.dataset import TRAINED_ONCE
from holdfast.tasks.forecast.preprocessing import WindowSplit, time_text
from holdfast.tasks.forecast.task import Forecaster


def backtest(
    config: ForecastConfig,
    data: Path,
    *,
    folds: int = 5,
    into: OutputFolder | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> JsonObject:
    """Evaluate a forecaster on blocks in order of time, training anew on all rows before each.

    The test split of ``config.data.split`` is cut into equal blocks. The latest rows before a block
    are its validation split, in the proportion of ``split``. No row of a block is used before the
    block is forecast.

    Args:
        config: the settings.
        data: the file.
        folds: the number of blocks.
        into: the folder for ``config.toml`` and, after each block, ``backtest.json``; None writes
            nothing.
        announce: called with a line before each block.

    Returns:
        ``folds``: the metrics of each block, and the time ``from`` which it is forecast.
        ``model`` and ``baselines``: metric -> mean over the folds that have it. ``spread``: the
        standard deviation of the model's metrics over the folds.

    Raises:
        UserError: there are fewer than 2 folds, the split has no test split or is in rows, or a
            block is shorter than the horizon.
    """
    results: list[JsonObject] = []
    for k, split in enumerate(_splits(config, folds)):
        model = Forecaster(replace(config, data=replace(config.data, split=split)))
        dataset = model.prepare(data)
        if dataset.test is None:
            raise UserError(
                f"Each block of a backtest must be at least as long as the horizon ({config.horizon} rows).",
                f"With {folds} folds and --split {config.data.split} a block is shorter.",
                "Give fewer --folds, a shorter --horizon, or a larger test split in --split.",
            )
        if into is not None and k == 0:
            new_folder(into.folder, overwrite=into.overwrite)
            save_config(into.folder / "config.toml", "forecast", config)
        first = sum(map(float, split.split("/")[:2]))
        announce(f"fold {k + 1} of {folds}: training on the first {first:.0%} of the rows ...")
        model.fit_dataset(dataset)
        if model.history is not None and model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        results.append(model.metrics | {"from": _first_time(dataset.test)})
        if into is not None:
            save_json(into.folder / "backtest.json", _summary(config, results))
    return _summary(config, results)


def _first_time(split: WindowSplit) -> str:
    """Return the earliest time (or row) that is forecast."""
    places = (split.place(window) for window in range(len(split)))
    return time_text(min(series.times[start] for series, start in places))


def _splits(config: ForecastConfig, folds: int) -> list[str]:
    train, valid, test = config.data.split_sizes()
    if folds < 2 or train >= 1 or test <= 0:
        raise UserError(
            "A backtest must have at least 2 folds, and a --split in fractions with a test split.",
            f"Given: --folds {folds} --split {config.data.split}.",
            "Give for example --folds 5 --split 0.6/0.1/0.3.",
        )
    block = test / folds
    ends = [train + valid + k * block for k in range(folds)]
    share = valid / (train + valid)
    return [f"{end * (1 - share):.9f}/{end * share:.9f}/{block:.9f}" for end in ends]


def _summary(config: ForecastConfig, results: list[JsonObject]) -> JsonObject:
    models = [fold["model"] for fold in results]
    notes = dict.fromkeys(note for fold in results for note in fold["notes"])
    return {
        "task": "forecast",
        "split": "backtest",
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


def _over(metrics: list[dict[str, float]], statistic: Callable[[list[float]], float]) -> dict[str, float]:
    """Return a statistic of each metric over the folds that have it."""
    names = dict.fromkeys(name for fold in metrics for name in fold)
    return {name: statistic([fold[name] for fold in metrics if name in fold]) for name in names}
