"""The page of a classifier's training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.sections import data_section, metrics_section, result_section
from holdfast.tasks.classify import metrics, plots
from holdfast.tasks.classify.dataset import Part
from holdfast.tasks.classify.summary import verdict
from holdfast.tasks.classify.task import SequenceClassifier

_WORST = 5
"""Examples that are shown of those most surely wrong."""
LONGEST = 200
"""Characters that are shown of a text."""


def run_report(model: SequenceClassifier, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures, learning curves, confused classes, calibration, the worst mistakes."""
    result, history = model.metrics, model.history
    assert history is not None
    sections = [
        result_section(result, history, model.scoreboard, verdict(result), folder / "plots"),
        *_looked_at(model, folder / "plots"),
        data_section(result["notes"]),
        metrics_section(model.scoreboard.known(result["model"])),
    ]
    kind = "texts" if model.config.data.text is not None else "series"
    return write_report(folder / "report.html", f"Classifier of {kind}", sections)


def _looked_at(model: SequenceClassifier, folder: Path) -> list[Section]:
    """Pictures and mistakes of the part that was scored."""
    prepared, schema = model.prepared, model.schema
    assert schema is not None
    name, part = ("test", prepared.test) if prepared.test else ("validation", prepared.valid)
    found, where = model.probabilities(part), f"the {name} part"
    reliable = metrics.reliability(found, part.targets, schema.multiple)
    drawn = [plots.honesty(reliable, where, folder / "calibration.png")]
    if not schema.multiple and len(schema.classes) <= plots.MOST:
        counts = metrics.confusion(found, part.targets)
        drawn.insert(0, plots.confusion(counts, schema.classes, where, folder / "confusion.png"))
    words = [
        f"Logits are divided by the temperature {model.metrics['temperature']:.3g}, fitted on validation."
    ]
    by_class = metric_table(metrics.by_class(found, part.targets, schema.classes, schema.multiple))
    return [
        Section("Classes", words, by_class, pictures=drawn),
        Section("Most surely wrong", [], _mistakes(model, part, found)),
    ]


def _mistakes(model: SequenceClassifier, part: Part, found: Array) -> list[list[str]]:
    """Examples whose true label had the least probability."""
    schema = model.schema
    assert schema is not None
    truth = part.targets > 0.5
    surest = np.where(truth, found, np.where(schema.multiple, 1 - found, 1.0)).min(1)
    wrong = (metrics.decisions(found, schema.multiple) != truth).any(1)
    rows = [row for row in np.argsort(surest, kind="stable").tolist() if wrong[row]]
    shown = {_shown(part, row): row for row in reversed(rows)}
    rows = [row for row in rows if shown[_shown(part, row)] == row][:_WORST]
    header = ["example", "is", "taken for", "its probability"]
    names = np.array(schema.classes)
    chosen = metrics.decisions(found, schema.multiple)
    lines = [
        [
            _shown(part, row),
            ", ".join(names[truth[row]]),
            ", ".join(names[chosen[row]]),
            f"{surest[row]:.3g}",
        ]
        for row in rows
    ]
    return [header, *lines] if lines else [header, ["none", "", "", ""]]


def _shown(part: Part, row: int) -> str:
    item = part.examples.items[row]
    if not isinstance(item, str):
        return str(part.examples.names[row])
    return item if len(item) <= LONGEST else item[:LONGEST] + " ..."
