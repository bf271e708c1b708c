"""Report of a classifier: confusion, calibration, metrics by class, and the worst mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast._typing import Array
from holdfast.reporting.html import Section, metric_table
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.plots import MOST, calibration, confusion
from holdfast.tasks.classify.preprocessing import ExampleSplit

if TYPE_CHECKING:
    from holdfast.tasks.classify.task import SequenceClassifier

_WORST = 5
"""Mistakes that are shown."""
_LONGEST = 200
"""Characters that are shown of a text."""


def sections(model: SequenceClassifier, plots: Path) -> list[Section]:
    """Return the sections about the split that was scored; plots are written into ``plots``."""
    assert model.dataset is not None
    preprocessing = model.dataset.preprocessing
    name, split = model.dataset.scored
    found, where = model.predictions(split), f"the {name} split"
    reliable = metrics.reliability(found, split.targets, preprocessing.multiple)
    pictures = [calibration(reliable, where, plots / "calibration.png")]
    if not preprocessing.multiple and len(preprocessing.classes) <= MOST:
        counts = metrics.confusion(found, split.targets)
        pictures.insert(0, confusion(counts, preprocessing.classes, where, plots / "confusion.png"))
    words = [
        f"Logits are divided by the temperature {model.metrics['temperature']:.3g}, fitted on validation."
    ]
    by_class = metrics.by_class(found, split.targets, preprocessing.classes, preprocessing.multiple)
    return [
        Section("Classes", words, metric_table(by_class), pictures=pictures),
        Section("Worst mistakes", [], _mistakes(model, split, found)),
    ]


def _mistakes(model: SequenceClassifier, split: ExampleSplit, found: Array) -> list[list[str]]:
    """Return the examples whose true label had the least probability."""
    _, preprocessing = model.fitted()
    truth = split.targets > 0.5
    surest = np.where(truth, found, np.where(preprocessing.multiple, 1 - found, 1.0)).min(1)
    chosen = metrics.decisions(found, preprocessing.multiple)
    wrong = (chosen != truth).any(1)
    rows = [row for row in np.argsort(surest, kind="stable").tolist() if wrong[row]]
    shown = {_shown(split, row): row for row in reversed(rows)}
    rows = [row for row in rows if shown[_shown(split, row)] == row][:_WORST]
    header = ["example", "label", "prediction", "probability of the label"]
    names = np.array(preprocessing.classes)
    lines = [
        [
            _shown(split, row),
            ", ".join(names[truth[row]]),
            ", ".join(names[chosen[row]]),
            f"{surest[row]:.3g}",
        ]
        for row in rows
    ]
    return [header, *lines] if lines else [header, ["none", "", "", ""]]


def _shown(split: ExampleSplit, row: int) -> str:
    item = split.examples.items[row]
    if not isinstance(item, str):
        return str(split.examples.names[row])
    return item if len(item) <= _LONGEST else item[:_LONGEST] + " ..."
