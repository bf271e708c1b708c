"""Progress of a training run: a bar or lines on stderr, history.csv, and TensorBoard events."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from holdfast.files import write_atomic
from holdfast.training.history import Row, history_csv

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def notice(text: str) -> None:
    """Write a line to stderr, above the progress bar if there is one."""
    tqdm.write(text, file=sys.stderr)


@cache
def _notice_once(text: str) -> None:
    """Write a line to stderr, the first time only."""
    notice(text)


class ProgressReporter:
    """Reports losses and epochs of the training loop.

    Args:
        steps: steps of the whole run, for the time left.
        done: steps taken before the run was resumed.
        epochs: epochs of the whole run.
        folder: receives ``history.csv`` and ``logs/``; None for neither.
        progress: show a bar on stderr if it is a terminal, else a line for each epoch; False for
            neither.
    """

    def __init__(self, steps: int, done: int, epochs: int, folder: Path | None, progress: bool) -> None:
        self.epochs, self.folder = epochs, folder
        self.bar = tqdm(
            total=steps,
            initial=done,
            unit="step",
            smoothing=0,  # the mean speed, including validation: an honest time left
            dynamic_ncols=True,
            disable=None if progress else True,
        )
        self.lines = progress and self.bar.disable
        self.writer = None if folder is None else _event_writer(folder / "logs")
        self.done, self.last = done, ""

    def report_loss(self, done: int, epoch: int, loss: float) -> None:
        """Report the mean loss since the last report, after ``done`` steps of the run."""
        self.bar.set_postfix_str(f"epoch {epoch}/{self.epochs}, loss {loss:.4g}{self.last}", refresh=False)
        self.bar.update(done - self.done)
        self.done = done
        if self.writer is not None:
            self.writer.add_scalar("loss", loss, done)

    def report_epoch(self, rows: Sequence[Row], monitor: str, best: float) -> None:
        """Report the epoch of the last row."""
        row = rows[-1]
        self.last = f", {monitor} {row[monitor]:.4g} (best {best:.4g})"
        if self.lines:
            metrics = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            notice(f"epoch {row['epoch']:g}/{self.epochs}: {metrics}")
        if self.folder is not None:
            write_atomic(self.folder / "history.csv", history_csv(rows))
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(f"epoch/{name}", value, int(row["epoch"]))

    def close(self) -> None:
        """Leave the bar on the screen and flush TensorBoard's events."""
        self.bar.close()
        if self.writer is not None:
            self.writer.close()


def _event_writer(folder: Path) -> SummaryWriter | None:
    """Return TensorBoard's writer, or None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _notice_once(
            "No TensorBoard events are written: TensorBoard is not installed (pip install tensorboard)."
        )
        return None
    return SummaryWriter(str(folder))
