"""What ``holdfast predict`` writes for a classifier."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from holdfast.tasks.classify.config import Prediction
from holdfast.tasks.classify.model import SequenceClassifier


def predicted(model: SequenceClassifier, data: Path | None, asked: Prediction) -> Iterator[str]:
    """CSV: a line for each example, with its label and the probability of each class; steps as ``word:weight``."""
    frame = model.predict(data, text=asked.text, weights=asked.weights)
    yield _line([name for name in frame.columns if name != "steps"])
    for row in frame.iter_rows(named=True):
        steps, weights = row.pop("steps", ()), row.pop("weights", ())
        fields = [f"{v:.6f}" if isinstance(v, float) else v for v in row.values()]
        pairs = " ".join(f"{s}:{w:.4f}" for s, w in zip(steps, weights, strict=True))
        yield _line([*fields, *([pairs] if asked.weights else [])])


def _line(fields: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()
