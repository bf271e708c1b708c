"""What is looked at in a forecaster: the last window of a file, step by step, and what it forecasts from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.tabular.frequency import Frequency
from holdfast.insight.analysis.features import side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.tasks.forecast import prediction
from holdfast.tasks.forecast.dataset import rows_for, whole_file
from holdfast.tasks.forecast.reading import READINGS, cut
from holdfast.tasks.forecast.scoring import score
from holdfast.tasks.forecast.task import Forecaster
from holdfast.tasks.forecast.trainable import spread
from holdfast.tasks.forecast.windows import Part, when

WINDOWS, SEVERAL, SCORED = 16, 64, 256
"""Windows in which memory and gradients are measured, in which units that track something are looked for, and on which
the loss is measured when something is switched off; all spread evenly over the file."""


def subjects(model: Forecaster, data: Path, steps: int) -> list[InspectionRequest]:
    """The last window of a file's first series.

    Its steps are what the network looks back on, however many are asked for: with more it would be another forecast.

    Raises:
        UserError: what is wrong with the file, or it has fewer rows than a window.
    """
    module, network = model.module, model.config.network
    assert module is not None
    scored, window = _windows(model, data)
    every = scored if len(scored) else window
    several = _spread(every, SEVERAL)
    reading = READINGS[network.model](window, network.segment)
    each = [READINGS[network.model](_only(several, [w]), network.segment) for w in range(len(several))]
    features = side_by_side([own for one in each for own in one.features])
    own = {name: reading.features[0][name] for name in features}
    return [
        InspectionRequest(
            f"{network.cell.upper()} forecaster reading {data.name} up to {when(cut(window)[0][-1])}",
            module,
            _run(module, window),
            Steps(reading.labels, reading.kind, reading.rows, reading.names, own),
            _forecast(model, window),
            _loss(model, _spread(scored, SCORED)) if len(scored) else None,
            _run(module, _spread(every, WINDOWS)),
            FeatureBatch(_run(module, several), features),
            notes=_notes(every, scored),
        )
    ]


def _windows(model: Forecaster, data: Path) -> tuple[Part, Part]:
    """All windows of a file whose forecast can be scored, and the one that is looked at."""
    assert model.schema is not None
    scored = whole_file(rows_for(data, model.config, model.schema), model.config)
    first = np.flatnonzero(scored.series == 0)
    if len(first):
        return scored, _only(scored, first[-1:])
    return scored, _only(prediction.last_windows(data, model.config, model.schema), [0])


def _only(part: Part, chosen: Array | list[int]) -> Part:
    return replace(part, origins=part.origins[chosen], series=part.series[chosen])


def _spread(part: Part, most: int) -> Part:
    return _only(part, spread(len(part), most).numpy())


def _run(module: Any, part: Part) -> Callable[[], Tensor]:
    device = next(module.parameters()).device
    every = torch.arange(len(part))
    past, known = part.past(every).to(device), part.known(every).to(device)
    return lambda: module(past, known)


def _forecast(model: Forecaster, window: Part) -> Score:
    """The last step of the first target's forecast, in the target's unit."""
    level = model.config.quantiles.index(0.5) if model.config.loss == "pinball" else 0
    mean, std = (float(f(window.series)[0, 0, 0]) for f in (window.rows.mean, window.rows.std))
    what = "the return of " if model.config.data.returns else ""
    frequency = Frequency.parse(window.rows.schema.frequency)
    ahead = replace(frequency, count=frequency.count * window.horizon)
    name = f"forecast of {what}{window.rows.schema.targets[0]}, {ahead} ahead"
    return Score(name, lambda answer: answer[0, -1, 0, level] * std + mean)


def _loss(model: Forecaster, part: Part) -> Loss:
    return Loss("MAE", lambda: score(model.forecast(part), part, model.config.quantiles)["mae"])


def _notes(every: Part, scored: Part) -> list[str]:
    told = [f"Units that track something were looked for in {min(len(every), SEVERAL)} windows of the file."]
    if not len(scored):
        told.append("No forecast of the file can be scored: it has too few rows.")
    return told
