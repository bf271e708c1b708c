"""What a run did, epoch by epoch, and where it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Row = dict[str, float]
"""One epoch: epoch (from 1), train_loss, the validation metrics, learning_rate, seconds."""

StopReason = Literal["epochs", "patience", "budget", "interrupted", "solved"]


@dataclass(frozen=True)
class History:
    """What a run did.

    Attributes:
        epochs: a row for each epoch.
        best_epoch: the best one; None where none was validated.
        best: the monitored metric of the weights that the module carries.
        stopped: all epochs are done, patience or budget ran out, Ctrl-C, or the trainable is solved.
        seconds: time spent, over all parts of a resumed run.
        done: epochs that were trained, the last one perhaps in part.
        checkpoints: how many epochs' weights the module's are the mean of; 1 for those of the best epoch.
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
    """Where a run is; all of it is saved.

    Attributes:
        epoch: the current one, from 1.
        step: batches seen in it.
        loss_sum: sum of their losses.
        elapsed: seconds of the run, up to the last save.
        epoch_began: value of ``elapsed`` at the epoch's start.
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
    """One line for each epoch; the columns in the order in which they first appear."""
    text = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
