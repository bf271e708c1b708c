"""What a training run tells: a progress bar or lines on stderr, history.csv, and TensorBoard's events."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from holdfast.files import write_atomic
from holdfast.training.history import Row, history_csv


def notice(text: str) -> None:
    """A line on stderr, above a progress bar where one is there."""
    tqdm.write(text, file=sys.stderr)


@cache
def _notice_once(text: str) -> None:
    """A line on stderr, the first time only."""
    notice(text)


class ProgressReporter:
    """Where the loop reports its readings and epochs.

    Args:
        steps: of the whole run, for the time left.
        done: steps that an earlier part of a resumed run did.
        epochs: of the whole run.
        folder: gets ``history.csv`` and ``logs/``; None for neither.
        progress: a bar on stderr where that is a terminal, else a line for each epoch; False for neither.
    """

    def __init__(self, steps: int, done: int, epochs: int, folder: Path | None, progress: bool) -> None:
        self.epochs, self.folder = epochs, folder
        self.bar = tqdm(
            total=steps,
            initial=done,
            unit="step",
            smoothing=0,  # the mean speed, with validation in it: an honest time left
            dynamic_ncols=True,
            disable=None if progress else True,
        )
        self.lines = progress and self.bar.disable
        self.writer = None if folder is None else _event_writer(folder / "logs")
        self.done, self.last = done, ""

    def reading(self, done: int, epoch: int, loss: float) -> None:
        """The mean loss since the last reading, after ``done`` steps of the run."""
        self.bar.set_postfix_str(f"epoch {epoch}/{self.epochs}, loss {loss:.4g}{self.last}", refresh=False)
        self.bar.update(done - self.done)
        self.done = done
        if self.writer is not None:
            self.writer.add_scalar("loss", loss, done)

    def epoch(self, rows: Sequence[Row], monitor: str, best: float) -> None:
        """An epoch is over; its row is the last."""
        row = rows[-1]
        self.last = f", {monitor} {row[monitor]:.4g} (best {best:.4g})"
        if self.lines:
            figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            notice(f"epoch {row['epoch']:g}/{self.epochs}: {figures}")
        if self.folder is not None:
            write_atomic(self.folder / "history.csv", history_csv(rows))
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(f"epoch/{name}", value, int(row["epoch"]))

    def close(self) -> None:
        """Leave the bar as it is and write what is left."""
        self.bar.close()
        if self.writer is not None:
            self.writer.close()


def _event_writer(folder: Path) -> Any:
    """TensorBoard's writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _notice_once("No events for TensorBoard: it is not installed (pip install tensorboard).")
        return None
    return SummaryWriter(str(folder))
