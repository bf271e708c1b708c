"""Output of ``holdfast predict`` for a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.data.stdin import stdin_is_terminal, stdin_lines
from holdfast.files import csv_line
from holdfast.tasks.classify.config import Prediction

if TYPE_CHECKING:
    import polars as pl

    from holdfast.tasks.classify.task import SequenceClassifier


def write_predictions(model: SequenceClassifier, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield a CSV line for each example: label, probabilities, and steps as ``word:weight``.

    Without a file and a text, the lines of stdin are classified as they arrive.
    """
    for number, frame in enumerate(_frames(model, data, options)):
        if number == 0:
            yield csv_line([name for name in frame.columns if name != "steps"])
        for row in frame.iter_rows(named=True):
            steps, weights = row.pop("steps", ()), row.pop("weights", ())
            fields = [f"{v:.6f}" if isinstance(v, float) else v for v in row.values()]
            pairs = " ".join(f"{s}:{w:.4f}" for s, w in zip(steps, weights, strict=True))
            yield csv_line([*fields, *([pairs] if options.weights else [])])


def _frames(model: SequenceClassifier, data: Path | None, options: Prediction) -> Iterator[pl.DataFrame]:
    if data is None and options.text is None and not stdin_is_terminal():
        lines = (line.strip() for line in stdin_lines(model.config.data.encoding))
        return model.stream(lines, weights=options.weights)
    return iter([model.predict(data, text=options.text, weights=options.weights)])
