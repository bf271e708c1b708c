"""What every task does alike: fit, evaluate, save, load and resume, with baselines and report."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from holdfast._deprecated import OldAttributes
from holdfast.checkpoint import WEIGHTS, load_arrays, load_weights, save_arrays, save_weights
from holdfast.config import build_config, load_config, save_config
from holdfast.errors import UserError
from holdfast.files import check_new_folder, load_json, new_folder, save_json
from holdfast.insight.monitor.monitor import TrainingMonitor
from holdfast.insight.monitor.trackers import CARRY_STEPS
from holdfast.insight.monitor.warning_log import worded
from holdfast.nn.quantization import quantize
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.contract import C, N, Result, TaskContract, Y
from holdfast.tasks.dataset import Dataset, P, S
from holdfast.tasks.metrics import renamed_keys
from holdfast.training import History, fit
from holdfast.training.devices import find_device
from holdfast.training.progress import notice
from holdfast.training.trainable import Stateful, Trainable

_CONFIG, PREPROCESSING, _BASELINES = "config.toml", "data.json", "baselines.safetensors"
_METRICS, _WARNINGS = "metrics.json", "warnings.csv"
"""Files of a run folder: settings, preprocessing, baselines, results, and warnings."""

_FEW_STEPS = 300
"""Optimizer steps below which a note says that a run was short."""
_STILL_IMPROVING = 0.02
"""A run was stopped early where its last epoch is better than all before it by this share."""


class Task(TaskContract[C, S, P, Y, N], OldAttributes):
    """A model of a task: built from its settings, then fitted, evaluated, saved and loaded.

    A task adds what :class:`~holdfast.tasks.contract.TaskContract` asks for, which also explains
    the type variables; all else is here.

    Args:
        config: every setting. Or give its fields by name, which go to the section that has them.
        fields: for example ``cell="gru", epochs=3``.

    Raises:
        UserError: a field does not exist, or a value is outside its rule.
    """

    def __init__(self, config: C | None = None, **fields: object) -> None:
        self.config: C = build_config(self.config_class, fields) if config is None else config
        self.module: N | None = None
        self.history: History | None = None
        self.monitor: TrainingMonitor | None = None
        self.dataset: Dataset[S, P] | None = None
        self.preprocessing: P | None = None
        self.digest = ""
        self.baselines: BaselineSet[S, Y] | None = None
        self.metrics: Result = {}
        self.notes: tuple[str, ...] = ()  # about the file last evaluated or predicted from

    # -- training ----------------------------------------------------------------------------------

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Dataset[S, P]:
        """Read files as a dataset; what has no file of its own is split off the first."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return self.read(Path(data), *others)

    def fit(
        self,
        data: Path | str,
        *,
        valid: Path | str | None = None,
        test: Path | str | None = None,
        out: Path | str | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: bool = False,
    ) -> Self:
        """Train on a file, and score the test split once.

        Args:
            data: the file. A validation or test split without a file of its own is split off it.
            valid, test: files of their own for these splits.
            out: run folder to write; None writes nothing.
            resume: continue the run in ``out``.
            overwrite: replace an earlier run in ``out``.
            progress: show a progress bar on stderr.

        Raises:
            UserError: anything is wrong with a file or a setting; nothing is then written.
        """
        find_device(self.config.training.device)
        if out is not None and not resume:
            check_new_folder(Path(out), overwrite)
        dataset = self.prepare(data, valid, test)
        if out is None:
            return self.fit_dataset(dataset, progress=progress)
        folder = Path(out)

        def starting() -> None:
            if resume:
                (folder / _METRICS).unlink(missing_ok=True)  # the run has not ended any more
            else:
                new_folder(folder, overwrite=overwrite)
                save_config(folder / _CONFIG, self.task, self.config)
                self._save_preprocessing(folder)
            if progress:
                notice(f"The run folder is {folder}.")

        if resume:
            self._check_resumed(folder, dataset)
        self.fit_dataset(dataset, folder=folder, resume=resume, progress=progress, starting=starting)
        if self.metrics:
            self.save(folder)
        return self

    def _check_resumed(self, folder: Path, dataset: Dataset[S, P]) -> None:
        """Refuse to resume a run with another network or other data, before anything is written."""
        began = load_config(folder / _CONFIG, self.config_class)
        same = replace(self.config, training=began.training) == began
        if not same or load_json(folder / PREPROCESSING).get("digest") != dataset.digest:
            raise UserError(
                "A resumed run must keep its settings and its data.",
                f"The {'data' if same else 'settings'} differ from those of the run in {folder}.",
                "Give those it began with, or train again with another --out.",
            )

    def fit_dataset(
        self,
        dataset: Dataset[S, P],
        *,
        baselines: BaselineSet[S, Y] | None = None,
        folder: Path | None = None,
        resume: bool = False,
        progress: bool = False,
        starting: Callable[[], None] = lambda: None,
    ) -> Self:
        """Train on a dataset. ``baselines`` that are fitted already are not fitted again.

        The other arguments are those of :func:`holdfast.training.fit`.
        """
        self.module, trainable = self.untrained(dataset)
        with self._monitoring(trainable, folder) as monitor:
            self.history = fit(
                trainable,
                self.config.training,
                folder=folder,
                resume=resume,
                progress=progress,
                starting=starting,
                callback=monitor,
            )
        self.monitor = monitor
        if not self.interrupted:
            self.baselines = baselines or self.fit_baselines(dataset)
            self.metrics = self._judge(dataset, trainable)
        return self

    def untrained(self, dataset: Dataset[S, P]) -> tuple[N, Trainable]:
        """Return the network as its training begins, and its trainable."""
        self.dataset, self.preprocessing, self.digest = dataset, dataset.preprocessing, dataset.digest
        torch.manual_seed(self.config.training.seed)
        self.module = self.network(dataset.preprocessing)
        return self.module, self.trainable(self.module, dataset)

    def fit_baselines(self, dataset: Dataset[S, P]) -> BaselineSet[S, Y]:
        """Fit what the network has to beat on the same splits."""
        return self.baseline_set(dataset.preprocessing).fit(dataset.train, dataset.valid)

    def _monitoring(
        self, trainable: Trainable, folder: Path | None
    ) -> TrainingMonitor | contextlib.nullcontext[None]:
        if not self.config.training.monitor:
            return contextlib.nullcontext()
        carries = isinstance(trainable, Stateful) and trainable.steps_per_epoch >= CARRY_STEPS
        file = None if folder is None else folder / _WARNINGS
        return TrainingMonitor(trainable.module, carries=carries, file=file)

    def _judge(self, dataset: Dataset[S, P], trainable: Trainable) -> Result:
        """Score the trained network and the baselines; the test split is read here, once."""
        history, baselines = self.history, self.baselines
        assert history is not None and baselines is not None
        if history.best_epoch is None:
            raise UserError(
                "A network must be validated at least once before it is judged.",
                "The budget ended before that.",
                "Give a longer --budget.",
            )
        self.calibrate(dataset)
        name, split = dataset.scored
        result = self._scores(split, name) | self.losses(dataset)
        result |= {"training_size": result.get("training_size", len(dataset.train))}
        result |= _course(history, trainable) | {
            "seed": self.config.training.seed,
            "cell": self.config.network.cell,
            "notes": [*dataset.notes, *baselines.notes, *_brief(history, trainable)],
        }
        if self.monitor is not None:
            result["monitor"] = {
                "checks": self.monitor.checks,
                "seconds": self.monitor.spent,
                "gradients": [passed._asdict() for passed in self.monitor.gradients],
            }
            result["notes"] += [worded(warning) for warning in self.monitor.warnings]
        return result

    # -- results -----------------------------------------------------------------------------------

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False) -> Result:
        """Score the model and every baseline on the same data.

        Args:
            data: a file, scored as a whole. None returns the results of the test split from
                training.
            int8: also score the model with its recurrent layers in int8
                (:func:`holdfast.quantize`), on the file.

        Returns:
            ``task``, ``split``, ``model`` (metric -> value), ``baselines`` (name -> the same
            metrics), ``parameters``, ``seconds`` (of training), and how much was scored; for a file
            also ``scoring_seconds``, and ``int8`` where asked for.
        """
        if data is None:
            if int8:
                rule = "int8 must be scored on a file."
                raise UserError(rule, "None was given.", "Give one that training did not see.")
            return self.metrics
        start = time.perf_counter()
        split, self.notes = self.read_split(Path(data))
        result = self._scores(split, "file")
        if int8:
            result["int8"] = self._quantized().network_metrics(split)
        took = time.perf_counter() - start
        return result | {"seconds": self.metrics.get("seconds"), "scoring_seconds": took}

    def _scores(self, split: S, name: str) -> Result:
        """Return what :meth:`evaluate` gives for a split."""
        assert self.baselines is not None
        return {
            "task": self.task,
            "split": name,
            "model": self.network_metrics(split),
            "baselines": {b: self.score(split, found) for b, found in self.baselines.each(split)},
            "parameters": self.parameters,
            **self.measure(split),
            **self.scored_otherwise(split),
        }

    def _quantized(self) -> Self:
        twin = copy.copy(self)
        twin.module = quantize(self.fitted_module()).cpu()
        return twin

    def report(self, folder: Path) -> Path:
        """Write ``report.html`` with ``plots/`` into the run folder, right after training."""
        from holdfast.reporting.html import write_report  # loads matplotlib
        from holdfast.reporting.sections import data_section, metrics_section, result_section

        assert self.history is not None
        result, plots = self.metrics, folder / "plots"
        sections = [
            result_section(result, self.history, self.scoreboard, self.verdict(result), plots),
            *self.report_sections(plots),
            data_section(result["notes"]),
            metrics_section(self.scoreboard.known(result["model"])),
        ]
        return write_report(folder / "report.html", self.title.format(**result, config=self.config), sections)

    # -- run folder --------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> None:
        """Write settings, preprocessing, weights, baselines and results."""
        module, folder = self.fitted_module(), Path(folder)
        assert self.baselines is not None
        folder.mkdir(parents=True, exist_ok=True)
        save_config(folder / _CONFIG, self.task, self.config)
        self._save_preprocessing(folder)
        save_weights(folder / WEIGHTS, module)
        save_arrays(folder / _BASELINES, self.baselines.state() | self.arrays())
        save_json(folder / _METRICS, self.metrics)

    def _save_preprocessing(self, folder: Path) -> None:
        save_json(folder / PREPROCESSING, {"digest": self.digest, **self.fitted()[1].to_dict()})

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises:
            UserError: a file is missing or damaged, or was written by a newer Holdfast.
        """
        folder = Path(folder)
        self = cls(load_config(folder / _CONFIG, cls.config_class))
        values = load_json(folder / PREPROCESSING)
        self.digest = str(values.get("digest", ""))
        self.preprocessing = self.read_preprocessing(values, folder / PREPROCESSING)
        arrays = load_arrays(folder / _BASELINES)
        self.load_arrays(arrays)
        self.module = self.network(self.preprocessing)
        load_weights(folder / WEIGHTS, self.module)
        self.module.eval()
        self.baselines = self.baseline_set(self.preprocessing).load_state(arrays)
        self.metrics = renamed_keys(load_json(folder / _METRICS), cls.renamed)
        return self

    def to(self, device: str) -> Self:
        """Move the network to ``"cpu"``, ``"cuda:1"``, ``"mps"``, or ``"auto"``: a GPU if any.

        Raises:
            UserError: this machine has no such device.
        """
        self.fitted_module().to(find_device(device))
        return self

    def fitted_module(self) -> N:
        """Return the network.

        Raises:
            UserError: there is none yet.
        """
        if self.module is None:
            raise UserError(
                f"A {type(self).__name__} must be fitted before it is used.",
                "This one is not.",
                "Call fit(...) or load(...).",
            )
        return self.module

    def fitted(self) -> tuple[N, P]:
        """Return the network and the preprocessing."""
        module = self.fitted_module()
        assert self.preprocessing is not None
        return module, self.preprocessing

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the training, so that there is no result yet."""
        return self.history is not None and self.history.stopped == "interrupted"

    @property
    def parameters(self) -> int:
        """Number of trained parameters of the network."""
        return sum(p.numel() for p in self.fitted_module().parameters())


def _course(history: History, trainable: Trainable) -> Result:
    """Return how a training run went."""
    return {
        "seconds": history.seconds,
        "seconds_per_epoch": history.seconds / history.done,
        "epochs": len(history.epochs),
        "epochs_done": history.done,
        "optimizer_steps": _steps(history, trainable),
        "best_epoch": history.best_epoch,
        "checkpoints": history.checkpoints,
        "stopped": history.stopped,
    }


def _steps(history: History, trainable: Trainable) -> int:
    return round(history.done * trainable.steps_per_epoch)


def _brief(history: History, trainable: Trainable) -> Iterator[str]:
    """Yield notes about a training run that was short."""
    steps = _steps(history, trainable)
    if steps < _FEW_STEPS:
        taken = "step was" if steps == 1 else "steps were"
        yield (
            f"only {steps:,} optimizer {taken} taken: more --epochs or --budget, or a smaller --batch-size, "
            "may do better"
        )
    values = [row[trainable.monitor] for row in history.epochs]
    before = min(values[:-1], default=values[-1])
    if history.stopped == "epochs" and before - values[-1] > _STILL_IMPROVING * abs(before):
        yield "the validation loss was still falling in the last epoch: give more --epochs"
