"""Inspection of a forecaster: the last window of a file, step by step, and its forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.data.tabular.frequency import Frequency
from holdfast.files import counted
from holdfast.insight.analysis.features import changes, side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.tasks.forecast.dataset import read_whole
from holdfast.tasks.forecast.predict import last_windows
from holdfast.tasks.forecast.preprocessing import WindowSplit, time_text
from holdfast.tasks.forecast.trainable import spread

if TYPE_CHECKING:
    from holdfast.tasks.forecast.task import Forecaster

WINDOWS, _FEATURE_WINDOWS, _LOSS_WINDOWS = 16, 64, 256
"""Windows that measure memory and gradients, in which feature units are searched for, and that
measure the loss in an ablation; all spread evenly over the file."""
_OF_A_DAY = ("second", "minute", "hour")
"""Units of time that are shorter than a day."""
_MONTHS = ("month", "quarter")


def inspections(model: Forecaster, data: Path, steps: int) -> list[InspectionRequest]:
    """Return the last window of a file's first series.

    Its steps are those that the network looks back on, whatever ``steps`` is: more or fewer would
    be another forecast.

    Raises:
        UserError: anything is wrong with the file, or it has fewer rows than a window.
    """
    module, network = model.fitted_module(), model.config.network
    scored, window = _windows(model, data)
    every = scored if len(scored) else window
    several = _spread(every, _FEATURE_WINDOWS)
    sequence = _LAYOUTS[network.model](window, network.segment)
    each = [_LAYOUTS[network.model](several.select([w]), network.segment) for w in range(len(several))]
    features = side_by_side([own for one in each for own in one.features])
    own = {name: sequence.features[0][name] for name in features}
    return [
        InspectionRequest(
            f"{network.cell.upper()} forecaster reading {data.name} up to {time_text(_look_back(window)[0][-1])}",
            module,
            _run(module, window),
            Steps(sequence.labels, sequence.kind, sequence.rows, sequence.names, own),
            _forecast(model, window),
            _loss(model, _spread(scored, _LOSS_WINDOWS)) if len(scored) else None,
            _run(module, _spread(every, WINDOWS)),
            FeatureBatch(_run(module, several), features),
            notes=_notes(every, scored),
        )
    ]


def _windows(model: Forecaster, data: Path) -> tuple[WindowSplit, WindowSplit]:
    """Return all windows of a file whose forecast can be scored, and the one to inspect."""
    _, preprocessing = model.fitted()
    scored = read_whole(data, model.config, preprocessing)
    first = np.flatnonzero(scored.series == 0)
    if len(first):
        return scored, scored.select(first[-1:])
    return scored, last_windows(data, model.config, preprocessing).select([0])


def _spread(split: WindowSplit, most: int) -> WindowSplit:
    return split.select(spread(len(split), most).numpy())


def _run(module: nn.Module, split: WindowSplit) -> Callable[[], Tensor]:
    """Return a function that runs the network on every window."""
    device = next(module.parameters()).device
    every = torch.arange(len(split))
    past, known = split.past(every).to(device), split.known(every).to(device)
    return lambda: module(past, known)


def _forecast(model: Forecaster, window: WindowSplit) -> Score:
    """Return the last step of the first target's forecast, in the target's unit."""
    level = model.config.quantiles.index(0.5) if model.config.loss == "pinball" else 0
    table = window.table
    mean, std = (float(table.scales(name, window.series)[0, 0, 0]) for name in ("mean", "std"))
    what = "the return of " if model.config.data.returns else ""
    frequency = Frequency.parse(table.preprocessing.frequency)
    ahead = replace(frequency, count=frequency.count * window.horizon)
    name = f"forecast of {what}{table.preprocessing.targets[0]}, {ahead} ahead"
    return Score(name, lambda output: output[0, -1, 0, level] * std + mean)


def _loss(model: Forecaster, split: WindowSplit) -> Loss:
    targets = split.table.preprocessing.targets
    unit = f"the unit of {targets[0]}" if len(targets) == 1 else "the units of the targets"
    of = "mean absolute error"
    return Loss(f"in {unit}", lambda: model.score(split, model.predictions(split))["mae"], of)


def _notes(every: WindowSplit, scored: WindowSplit) -> list[str]:
    count = counted(min(len(every), _FEATURE_WINDOWS), "window")
    notes = [f"Feature units were searched for in {count} of the file."]
    if not len(scored):
        notes.append("No forecast of the file can be scored: it has too few rows.")
    return notes


# -- steps of a window -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sequence:
    """Steps of a window: labels [T], rows [F, T] with names, and the features of each sequence."""

    kind: str
    labels: list[str]
    rows: Array
    names: Sequence[str]
    features: list[dict[str, Array]]


def _by_rows(window: WindowSplit, size: int = 1) -> _Sequence:
    """Return one step for each row."""
    times, values = _look_back(window)
    frequency = Frequency.parse(window.table.preprocessing.frequency)
    kind = frequency.unit if frequency.count == 1 else "step"
    labels = [f"{_time_label(t, frequency.unit)} {v:.4g}" for t, v in zip(times, values[:, 0], strict=True)]
    names = window.table.preprocessing.columns
    return _Sequence(kind, labels, values.T, names, [step_features(times, values, names, frequency.unit)])


def _by_segments(window: WindowSplit, size: int) -> _Sequence:
    """Return one step for each segment of ``size`` rows; each target is a sequence of its own."""
    times, values = _look_back(window)
    preprocessing = window.table.preprocessing
    unit = Frequency.parse(preprocessing.frequency).unit
    places = np.arange(len(times) % size, len(times), size)
    targets = values[places[0] :, : len(preprocessing.targets)].reshape(len(places), size, -1)
    means = targets.mean(1)
    labels = [
        f"from {_time_label(times[p], unit)}, mean {m:.4g}" for p, m in zip(places, means[:, 0], strict=True)
    ]
    names = [f"{preprocessing.targets[0]}, row {k + 1} of the segment" for k in range(size)]
    each = [step_features(times[places], own[:, None], ["mean of the segment"], unit) for own in means.T]
    return _Sequence("segment", labels, targets[:, :, 0].T, names, each)


_LAYOUTS = {"recurrent": _by_rows, "segment": _by_segments}
"""Name of a model -> the steps that it reads."""


def _look_back(window: WindowSplit) -> tuple[Array, Array]:
    """Return times [L] and values [L, C] of the look-back of a window, in the columns' units."""
    series, end = window.place(0)
    some = slice(end - window.table.preprocessing.lookback, end)
    return series.times[some], series.values[some].astype(np.float64)


def _time_label(time: object, unit: str) -> str:
    """Format a time as precisely as the unit of the steps needs, or a row number.

    Example:
        >>> _time_label(np.datetime64("2016-01-04T14:00", "us"), "hour"), _time_label(7, "step")
        ('Mon 14:00', '7')
    """
    if not isinstance(time, np.datetime64):
        return str(time)
    at: datetime = time.astype("datetime64[us]").astype(datetime)
    if unit in _OF_A_DAY:
        return f"{at:%a %H:%M}" if unit != "second" else f"{at:%H:%M:%S}"
    if unit in ("day", "week"):
        return f"{at:%a} {at.day} {at:%b}"
    return f"{at:%b %Y}" if unit in _MONTHS else time_text(time)


def step_features(times: Array, values: Array, names: Sequence[str], unit: str) -> dict[str, Array]:
    """Return name -> feature [T]: calendar, value and change of each column."""
    found = _calendar(times, unit) if times.dtype.kind == "M" else {}
    for name, own in zip(names, values.T, strict=True):
        found[name] = own
        found[f"change of {name}"] = changes(own)
    return found


def _calendar(times: Array, unit: str) -> dict[str, Array]:
    """Return hour, weekday and month as sine and cosine: Sunday is next to Monday."""
    days = times.astype("datetime64[D]")
    found: dict[str, Array] = {}
    if unit in _OF_A_DAY:
        found |= _circle("hour of the day", (times - days) / np.timedelta64(1, "D"))
    if unit in (*_OF_A_DAY, "day", "step"):
        number = (days.astype(np.int64) + 3) % 7  # the epoch was a Thursday
        found |= _circle("day of the week", number / 7) | {"weekend": (number >= 5).astype(np.float64)}
    if unit not in (*_OF_A_DAY, "year"):  # hardly changes within a window of hours
        found |= _circle("month", times.astype("datetime64[M]").astype(np.int64) % 12 / 12)
    return found


def _circle(name: str, turns: Array) -> dict[str, Array]:
    """Return sine and cosine of a number with period 1."""
    return {f"{name} (sine)": np.sin(2 * np.pi * turns), f"{name} (cosine)": np.cos(2 * np.pi * turns)}
