"""The training loop of every task: early stopping, best weights, exact resume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from holdfast._json import JsonObject
from holdfast.checkpoint import (
    STATE,
    WEIGHTS,
    load_optimizer,
    load_state,
    load_tensors,
    optimizer_state,
    save_state,
    save_weights,
)
from holdfast.config import Training
from holdfast.errors import DivergenceError, UserError
from holdfast.training.callbacks import Callback
from holdfast.training.checkpoints import BestCheckpoints, WeightAverage
from holdfast.training.devices import get_random_state, open_fabric, seed_everything, set_random_state
from holdfast.training.history import History, Position, StopReason
from holdfast.training.progress import ProgressReporter, notice
from holdfast.training.run_folder import check_resumed_settings, prepare_run_folder
from holdfast.training.schedules import SCHEDULES, halvings
from holdfast.training.signals import first_interrupt
from holdfast.training.trainable import Solvable, Stateful, Trainable

__all__ = ["History", "fit"]

_READ_EVERY = 0.1
"""Seconds between two reads of the loss; each read waits for the device."""

_SAVE_EVERY = 5.0
"""Least seconds between two saves at the ends of epochs. A killed process loses the current epoch,
or these seconds if epochs are shorter; a run that ends or is interrupted is always saved."""


def fit(
    trainable: Trainable,
    training: Training,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    starting: Callable[[], None] = lambda: None,
    callback: Callback | None = None,
) -> History:
    """Train, validate after each epoch, and leave the best weights in the module (in eval mode).

    The optimizer is AdamW; the gradient's norm is clipped after the backward pass. All global
    random number generators are seeded first: on a CPU the same seed gives the same result bit for
    bit, and so does a run that was interrupted and resumed. Validation does not change the random
    numbers of training.

    On Ctrl-C the step finishes and the state is saved; a second Ctrl-C stops at once. When the
    budget runs out, the unfinished epoch is validated too, so that its weights can be the best.

    Args:
        trainable: the task's network, batches, loss and validation.
        training: the settings.
        folder: receives ``model.safetensors`` (the best weights), ``state.safetensors`` (everything
            that a resumed run needs), ``history.csv`` and ``logs/`` (TensorBoard); None writes
            nothing.
        resume: continue the run in the folder. Its settings must be the same, except for
            :data:`holdfast.config.MAY_CHANGE`.
        progress: show a bar on stderr, or a line for each epoch if it is not a terminal.
        starting: called before anything is written, after all checks except the one for a used
            folder.
        callback: called after each step's backward pass, such as
            :class:`holdfast.insight.TrainingMonitor`.

    Raises:
        UserError: the folder holds another run, no run to resume, or a damaged one; the device does
            not exist; or the loss or the monitored metric is not finite
            (:class:`~holdfast.errors.DivergenceError`; the module then keeps the best weights so
            far).
        ValueError: the trainable breaks its contract (number of batches, monitored metric).
    """
    if folder is None and resume:
        raise UserError("A resumed run must have a folder.", "No folder was given.", "Give --out FOLDER.")
    seed_everything(training.seed)
    run = TrainingRun(trainable, training, None if folder is None else Path(folder), callback)
    if resume:
        run.restore()
    starting()
    if folder is not None:
        prepare_run_folder(Path(folder), resume)
    reporter = ProgressReporter(run.steps * training.epochs, run.done, training.epochs, folder, progress)
    try:
        with first_interrupt(run.interrupt):
            history = run.train(reporter)
    finally:
        reporter.close()
    if history.stopped == "interrupted":
        notice(run.resume_hint())
    return history


class TrainingRun:
    """A training run: the loop and its state. Use :func:`fit`."""

    def __init__(
        self, trainable: Trainable, training: Training, folder: Path | None, callback: Callback | None = None
    ) -> None:
        self.trainable, self.training, self.folder = trainable, training, folder
        self.callback = callback
        self.steps = trainable.steps_per_epoch
        if self.steps < 1:
            raise UserError(
                "The training split must fill at least 1 batch.", "It fills 0.", "Give more training data."
            )
        self.fabric = open_fabric(training.device, training.precision)
        self.module = trainable.module
        optimizer = torch.optim.AdamW(
            self.module.parameters(), training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        _, self.optimizer = self.fabric.setup(self.module, optimizer)
        on_cpu = self.fabric.device.type == "cpu"
        self.to_device: Callable[[Any], Any] = (lambda batch: batch) if on_cpu else self.fabric.to_device
        self.average = WeightAverage(self.module, training.average)
        self.position = Position()
        self.best = BestCheckpoints(training.checkpoints)
        self.best_is_saved = True
        self.pending: list[Tensor] = []
        self.halvings = 0
        self.interrupted = False
        self.restored: tuple[dict[str, dict[str, Tensor]], JsonObject] = {}, {}
        self.budget = training.budget_seconds()
        self.began = self.saved_at = self.read_at = monotonic()

    @property
    def done(self) -> int:
        """Steps taken in the whole run."""
        return (self.position.epoch - 1) * self.steps + self.position.step

    @property
    def elapsed(self) -> float:
        """Seconds of the whole run."""
        return self.position.elapsed + monotonic() - self.began

    def interrupt(self) -> None:
        """Stop after the current step."""
        self.interrupted = True

    # -- the loop ------------------------------------------------------------------------------------------------

    def train(self, reporter: ProgressReporter) -> History:
        """Train until a reason to stop, save, and put the best weights into the module."""
        self.reporter = reporter
        while (stopped := self._reason_to_stop()) is None:
            self._epoch()
        if stopped == "budget" and self.position.step:
            self._validate()
        self._save()
        self._take_best()
        position = self.position
        best, checkpoints = next(iter(self.best.values), None), 1
        if stopped != "interrupted" and (value := self._mean_of_best()) is not None:
            best, checkpoints = value, len(self.best.kept)
        epochs_done = self.done / self.steps
        rows, best_epoch = position.rows, position.best_epoch
        return History(rows, best_epoch, best, stopped, self.elapsed, epochs_done, checkpoints)

    def _reason_to_stop(self) -> StopReason | None:
        position, trainable = self.position, self.trainable
        if position.rows and isinstance(trainable, Solvable) and trainable.solved(position.rows[-1]):
            return "solved"
        if position.epoch > self.training.epochs:
            return "epochs"
        best, last = position.best_epoch, position.epoch - 1
        if best is not None and last - best >= self.training.patience:
            return "patience"
        if self.elapsed >= self.budget:
            return "budget"
        return "interrupted" if self.interrupted else None

    def _epoch(self) -> None:
        """Train the rest of the current epoch; if it is complete, validate and advance."""
        position = self.position
        self.module.train()
        complete = [row for row in position.rows if row["epoch"] < position.epoch]
        self.halvings = halvings([row[self.trainable.monitor] for row in complete])
        for batch in self._batches():
            self.step(batch)
            if monotonic() - self.read_at >= _READ_EVERY:
                self._read()
            if self.interrupted or self.elapsed >= self.budget:
                break
        else:
            self._check_steps()
        self._read()
        if position.step < self.steps:
            return
        self._validate()
        position.epoch, position.step, position.loss_sum = position.epoch + 1, 0, 0.0
        position.epoch_began = self.elapsed
        if monotonic() - self.saved_at >= _SAVE_EVERY:
            self._save()

    def _batches(self) -> Iterator[object]:
        """Return the epoch's batches without those used before an interruption."""
        batches = iter(self.trainable.batches(self.position.epoch))
        if self.position.step:
            for _ in islice(batches, self.position.step):
                pass
            self._restore_random_state()
        return batches

    def step(self, batch: object) -> None:
        """Take one optimizer step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad()
        with self.fabric.autocast():
            loss = self.trainable.loss(self.to_device(batch))
        self.fabric.backward(loss)
        if self.callback is not None:
            self.callback.step(loss.detach(), self.done + 1)
        if self.training.clip:
            self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=self.training.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.pending.append(loss.detach())
        self.average.update(self.done)
        self.position.step += 1

    def _learning_rate(self) -> float:
        done = min(self.done / (self.steps * self.training.epochs), 1.0)
        return self.training.learning_rate * SCHEDULES[self.training.schedule](done, self.halvings)

    def _read(self) -> None:
        """Fetch the losses since the last read and report them."""
        self.read_at = monotonic()
        if not self.pending:
            return
        losses: list[float] = torch.stack(self.pending).tolist()
        self.pending.clear()
        for step, loss in enumerate(losses, self.position.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"It was {loss} at step {step} of epoch {self.position.epoch}")
            self.position.loss_sum += loss
        self.reporter.report_loss(self.done, self.position.epoch, sum(losses) / len(losses))

    def _check_steps(self) -> None:
        if self.position.step != self.steps:
            raise ValueError(
                f"{type(self.trainable).__name__}.steps_per_epoch is {self.steps}, "
                f"but batches({self.position.epoch}) gave {self.position.step}"
            )

    # -- validation and the best ---------------------------------------------------------------------------------

    def _validate(self) -> None:
        """Add the epoch's row to the history, and keep the weights if they are among the best."""
        position, monitor = self.position, self.trainable.monitor
        with self.average.in_place():
            metrics = self._metrics()
            value = metrics[monitor]
            if not math.isfinite(value):
                raise self._diverged(f"The validation's {monitor} was {value} in epoch {position.epoch}")
            if self.best.offer(value, position.epoch, self.module):
                position.best_epoch = position.epoch
                self.best_is_saved = False
        row = {"epoch": position.epoch, "train_loss": position.loss_sum / position.step, **metrics}
        row |= {"learning_rate": self._learning_rate(), "seconds": self.elapsed - position.epoch_began}
        position.rows = [earlier for earlier in position.rows if earlier["epoch"] != position.epoch] + [row]
        self.reporter.report_epoch(position.rows, monitor, self.best.values[0])

    def _metrics(self) -> dict[str, float]:
        """Validate, and restore the random numbers of training."""
        random = get_random_state()
        self.module.eval()
        with torch.no_grad():
            metrics = {name: float(value) for name, value in self.trainable.validate().items()}
        self.module.train()
        set_random_state(*random)
        if self.trainable.monitor not in metrics:
            raise ValueError(
                f"{type(self.trainable).__name__}.monitor is {self.trainable.monitor!r}, "
                f"but validate() gave {', '.join(metrics) or 'nothing'}"
            )
        return metrics

    def _take_best(self) -> None:
        if self.best.weights:
            self.module.load_state_dict(self.best.weights)
        self.module.eval()

    def _mean_of_best(self) -> float | None:
        """Use and save the mean of the best weights if it beats the best; return its value."""
        if len(self.best.kept) < 2:
            return None
        self.module.load_state_dict(self.best.mean())
        value = self._metrics()[self.trainable.monitor]
        self.module.eval()
        if not value < self.best.values[0]:
            self._take_best()
            return None
        if self.folder is not None:
            save_weights(self.folder / WEIGHTS, self.module)
        return value

    def _diverged(self, what: str) -> DivergenceError:
        """Keep the best weights, and return the error."""
        self._save_best()
        self._take_best()
        epoch = self.position.best_epoch
        kept = "none, since no epoch was validated" if epoch is None else f"those of epoch {epoch}"
        rate = self.optimizer.param_groups[0]["lr"]
        return DivergenceError(
            "The training loss and the validation metric must stay finite.",
            f"{what}: training diverged (learning rate {rate:.3g}). Weights kept: {kept}.",
            f"Give a lower learning rate, for example --learning-rate {self.training.learning_rate / 10:.3g}, "
            "or check the data for extreme values.",
        )

    # -- saving and resuming -------------------------------------------------------------------------------------

    def _save(self) -> None:
        self.saved_at = monotonic()
        if self.folder is None:
            return
        optimizer, groups = optimizer_state(self.optimizer)
        random, random_values = get_random_state()
        tensors = {
            "module": self.module.state_dict(),
            "best": self.best.state(),
            "optimizer": optimizer,
            "random": random,
            "average": self.average.state(),
            "carried": self.trainable.carried() if isinstance(self.trainable, Stateful) else {},
        }
        values = {
            "position": asdict(self.position) | {"elapsed": self.elapsed},
            "training": asdict(self.training),
            "steps": self.steps,
            "groups": groups,
            "best": self.best.epochs,
            "random": random_values,
        }
        save_state(self.folder, tensors, values)
        self._save_best()

    def _save_best(self) -> None:
        if self.folder is not None and not self.best_is_saved:
            save_weights(self.folder / WEIGHTS, self.best.weights)
            self.best_is_saved = True

    def restore(self) -> None:
        """Restore the state in the folder."""
        assert self.folder is not None
        tensors, values = self.restored = load_state(self.folder)
        check_resumed_settings(values, self.training, self.steps)
        load_tensors(self.module, tensors.get("module", {}), str(self.folder / STATE))
        load_optimizer(self.optimizer, tensors.get("optimizer", {}), values["groups"])
        self.average.restore(tensors.get("average", {}))
        self.best.restore(values["best"], tensors.get("best", {}))
        self.best_is_saved = not self.best.weights
        self.position = Position(**values["position"])
        self._restore_random_state()

    def _restore_random_state(self) -> None:
        """Restore the saved random numbers, and the state that the trainable carries."""
        tensors, values = self.restored
        set_random_state(tensors["random"], values["random"])
        if isinstance(self.trainable, Stateful):
            self.trainable.restore(tensors.get("carried", {}))

    def resume_hint(self) -> str:
        """Return the message of an interrupted run."""
        where = f"Interrupted in epoch {self.position.epoch}, after {self.position.step} of its {self.steps} steps."
        if self.folder is None:
            return where
        return f"{where} The run is saved in {self.folder}; repeat the command with --resume to continue."
