"""The history of a training run, and its current position."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Row = dict[str, float]
"""Metrics of one epoch: epoch (from 1), train_loss, the validation metrics, learning_rate, seconds."""

StopReason = Literal["epochs", "patience", "budget", "interrupted", "solved"]


@dataclass(frozen=True)
class History:
    """The result of a training run.

    Attributes:
        epochs: one row for each epoch.
        best_epoch: the best epoch; None if none was validated.
        best: the monitored metric of the weights that the module keeps.
        stopped: why it ended: all epochs were trained, patience or budget ran out, Ctrl-C was
            pressed, or the trainable is solved.
        seconds: training time, including the time before a resume.
        done: epochs trained; a fraction if the last one is incomplete.
        checkpoints: the number of epochs over which the module's weights are averaged; 1 for the
            weights of the best epoch.
    """

    epochs: list[Row]
    best_epoch: int | None
    best: float | None
    stopped: StopReason
    seconds: float
    done: float
    checkpoints: int = 1


@dataclass
class Position:
    """The position of a run, all of which is saved with its state.

    Attributes:
        epoch: the current epoch, from 1.
        step: optimizer steps taken in it.
        loss_sum: the sum of their losses.
        elapsed: seconds of the run up to the last save.
        epoch_began: the value of ``elapsed`` when the epoch began.
        rows: see :class:`History`.
        best_epoch: the epoch with the lowest monitored metric.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    elapsed: float = 0.0
    epoch_began: float = 0.0
    rows: list[Row] = field(default_factory=list)
    best_epoch: int | None = None


def history_csv(rows: Sequence[Row]) -> str:
    """Format a history as CSV: one line for each epoch, columns in order of first appearance."""
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
