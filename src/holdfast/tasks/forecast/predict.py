"""What ``holdfast predict`` writes for a forecaster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from holdfast.errors import UserError
from holdfast.tasks.forecast.config import Prediction
from holdfast.tasks.forecast.task import Forecaster


def predicted(model: Forecaster, data: Path | None, asked: Prediction) -> Iterator[str]:
    """A forecast as CSV, and as a picture."""
    if data is None:
        raise UserError(
            "A forecast begins where a file ends.",
            "No file was given.",
            "Give one: holdfast predict RUN FILE.",
        )
    yield model.predict(data, plot=asked.plot, method=asked.method).write_csv()
