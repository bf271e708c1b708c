# ruff: noqa: D102
"""What the models of all tasks do alike: fit with a run's folder, train, be judged, and go on where they stopped."""

from __future__ import annotations

import contextlib
import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from holdfast._typing import Array
from holdfast.checkpoint import WEIGHTS, load_arrays, load_weights, save_arrays, save_weights
from holdfast.config import build_config, load_config, save_config
from holdfast.errors import UserError
from holdfast.files import check_new_folder, load_json, new_folder, save_json
from holdfast.insight.monitor.monitor import TrainingMonitor
from holdfast.insight.monitor.trackers import CARRY_STEPS
from holdfast.insight.monitor.warning_log import worded
from holdfast.nn.quantization import quantize
from holdfast.tasks.metrics import Metric, Scoreboard, renamed_keys
from holdfast.training import History, fit
from holdfast.training.devices import find_device
from holdfast.training.progress import notice
from holdfast.training.trainable import Stateful, Trainable

CONFIG, LEARNT, WARNINGS = "config.toml", "data.json", "warnings.csv"
"""Files of a run's folder: the settings, what was learnt of the data, and what the watcher found."""

_FEW_STEPS = 300
"""Changes of the weights below which a run is told to be short."""
_STILL = 0.02
"""Share by which the last epoch is better than all before it where training was still under way."""


class _Board:
    """The scoreboard of a legacy task."""

    def __get__(self, _: Any, owner: Any) -> Scoreboard:
        found: Scoreboard = owner.board()
        return found


class _DataSettings:
    """Flags that another command on the same data needs."""

    def __get__(self, _: Any, owner: Any) -> tuple[str, ...]:
        return tuple(owner._words().ABOUT_THE_DATA)


class TaskModel(ABC):
    """A model of a task: built from its settings, with ``fit``, ``evaluate``, ``predict``, ``save`` and ``load``.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``cell="gru", epochs=3``.

    Raises:
        UserError: a field that does not exist, or a value outside its rule.
    """

    task: ClassVar[str]
    settings: ClassVar[type]
    scoreboard = _Board()

    def __init__(self, config: Any = None, **fields: Any) -> None:
        self.config = build_config(self.settings, fields) if config is None else config
        self.module: torch.nn.Module | None = None
        self.history: History | None = None
        self.watcher: TrainingMonitor | None = None
        self.prepared: Any = None
        self.baselines: Any = None
        self.metrics: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()  # what to tell of the file last evaluated or predicted from

    # -- the same declarations as Task, from the task's summary module --------------------------------------------

    @classmethod
    def _words(cls) -> Any:
        return import_module(f"holdfast.tasks.{cls.task}.summary")

    @classmethod
    def result_keys(cls) -> list[str]:
        return list(cls._words().EVALUATION)

    @classmethod
    def scored_on(cls, result: Any) -> str:
        return str(cls._words().title(result))

    @classmethod
    def verdict(cls, result: Any) -> list[str]:
        return list(cls._words().verdict(result))

    @classmethod
    def conclusions(cls, comparison: Any) -> list[str]:
        return list(cls._words().conclusions(comparison))

    @classmethod
    def next_commands(cls, run: str, files: list[str], asked: list[str]) -> list[list[str]]:
        return list(cls._words().next_commands(run, files, asked))

    data_settings = _DataSettings()

    def write_predictions(self, data: Path | None, asked: Any) -> Any:
        return import_module(f"holdfast.tasks.{self.task}.predict").predicted(self, data, asked)

    def inspections(self, data: Path, steps: int) -> list[Any]:
        return list(import_module(f"holdfast.tasks.{self.task}.inspect").subjects(self, data, steps))

    @classmethod
    def backtest_report(cls, *args: Any) -> Any:
        return import_module(f"holdfast.tasks.{cls.task}.report").backtest_report(*args)

    def report(self, folder: Path) -> Path:
        page: Path = import_module(f"holdfast.tasks.{self.task}.report").run_report(self, folder)
        return page

    @classmethod
    def board(cls) -> Scoreboard:
        words, found = cls._words(), []
        measure = words.MEASURE
        baselines: dict[str, str] = {}
        ranked = []
        while measure is not None:
            ranked.append(measure)
            baselines |= measure.baselines
            measure = measure.other
        for one in ranked:
            meaning, direction = words.MEANINGS[one.metric], "higher" if one.higher else "lower"
            found.append(Metric(one.metric, one.label, meaning, "", direction, one.highest or 0.0))  # type: ignore[arg-type]
        for name, meaning in words.MEANINGS.items():
            if name not in [one.metric for one in ranked]:
                higher = name in ("direction", "accuracy", "macro_f1", "auroc", "chrf", "note_accuracy")
                way = "none" if name == "coverage" else "higher" if higher else "lower"
                found.append(Metric(name, name, meaning, "", way))  # type: ignore[arg-type]
        return Scoreboard(tuple(found), ranked[0].examples, baselines)

    # -- what a task adds ----------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Any:
        """Read the files and cut them into parts; does not depend on the cell, the network or the seed."""

    @abstractmethod
    def fit_baselines(self, prepared: Any) -> Any:
        """What the network has to beat, fitted on the same data."""

    @abstractmethod
    def _learn(self, prepared: Any) -> None:
        """Take what the network needs to know of the data: a schema, a vocabulary."""

    @abstractmethod
    def _save_learnt(self, folder: Path) -> None:
        """Write that to ``data.json``."""

    @abstractmethod
    def _load_learnt(self, path: Path) -> None:
        """Read it."""

    @abstractmethod
    def _is_learnt(self, folder: Path, prepared: Any) -> bool:
        """Whether ``data.json`` holds the same as these data give."""

    @abstractmethod
    def _network(self, prepared: Any) -> tuple[torch.nn.Module, Trainable]:
        """The untrained network, and its training."""

    @abstractmethod
    def _empty(self) -> torch.nn.Module:
        """The network that weights are loaded into, when what was learnt is there."""

    def _arrays(self) -> dict[str, Array]:
        """The baselines, and whatever else the model is made of, by name."""
        found: dict[str, Array] = self.baselines.state()
        return found

    @abstractmethod
    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        """Take what :meth:`_arrays` gave."""

    @abstractmethod
    def _read(self, path: Path) -> Any:
        """A file that is to be scored, as a part; what to tell of it goes into ``notes``."""

    @abstractmethod
    def _figures(self, part: Any) -> dict[str, float]:
        """Metrics of the network."""

    @abstractmethod
    def _baseline_figures(self, part: Any) -> dict[str, dict[str, float]]:
        """Name of each simple method -> the same metrics."""

    @abstractmethod
    def _size(self, part: Any) -> dict[str, Any]:
        """How much was scored, by the name of what is counted."""

    @abstractmethod
    def _judge(self, prepared: Any, training: Any) -> dict[str, Any]:
        """Figures of the trained network and the baselines; the test part is read here, once."""

    # -- training ------------------------------------------------------------------------------------------------

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
        """Train on a file, and score the test part once.

        Args:
            data: the file; what has no file of its own is cut from it: the validation and the test part.
            valid, test: files of their own for these parts.
            out: run folder to write; nothing is written when None.
            resume: go on with the run in ``out``.
            overwrite: write over an earlier run in ``out``.
            progress: a progress bar on stderr.

        Raises:
            UserError: for everything that is wrong with a file or a setting; nothing is then written.
        """
        find_device(self.config.training.device)
        if out is not None and not resume:
            check_new_folder(Path(out), overwrite)
        prepared = self.prepare(data, valid, test)
        if out is None:
            return self.fit_prepared(prepared, progress=progress)
        folder = Path(out)

        def starting() -> None:
            if resume:
                (folder / "metrics.json").unlink(missing_ok=True)  # the run is not finished any more
            else:
                new_folder(folder, overwrite=overwrite)
                save_config(folder / CONFIG, self.task, self.config)
                self._save_learnt(folder)
            if progress:
                notice(f"The run's folder is {folder}.")

        if resume:
            self._check_resumed(folder, prepared)
        self.fit_prepared(prepared, folder=folder, resume=resume, progress=progress, starting=starting)
        if self.metrics:
            self.save(folder)
        return self

    def _check_resumed(self, folder: Path, prepared: Any) -> None:
        """A run goes on with the network and the data that it began with; nothing is written before that is sure."""
        began: Any = load_config(folder / CONFIG, self.settings)
        same = replace(self.config, training=began.training) == began
        if not same or not self._is_learnt(folder, prepared):
            raise UserError(
                "A resumed run keeps its settings and its data.",
                f"The {'data' if same else 'settings'} differ from those of the run in {folder}.",
                "Give those it began with, or train anew with another --out.",
            )

    def fit_dataset(self, dataset: Any, **options: Any) -> Self:
        """As :meth:`fit_prepared`."""
        return self.fit_prepared(dataset, **options)

    def fit_prepared(
        self,
        prepared: Any,
        *,
        baselines: Any = None,
        folder: Path | None = None,
        resume: bool = False,
        progress: bool = False,
        starting: Callable[[], None] = lambda: None,
    ) -> Self:
        """Train on what is prepared already; ``baselines`` that are fitted already are not fitted again.

        The other arguments are those of :func:`holdfast.training.fit`.
        """
        self.module, training = self.untrained(prepared)
        with self._watching(training, folder) as watcher:
            self.history = fit(
                training,
                self.config.training,
                folder=folder,
                resume=resume,
                progress=progress,
                starting=starting,
                callback=watcher,
            )
        self.watcher = watcher
        if self.history.stopped != "interrupted":
            self._finish(prepared, training, baselines)
        return self

    def untrained(self, prepared: Any) -> tuple[torch.nn.Module, Trainable]:
        """The network as its training begins, and what :func:`holdfast.training.fit` asks for."""
        self.prepared = prepared
        self._learn(prepared)
        torch.manual_seed(self.config.training.seed)
        return self._network(prepared)

    def _watching(
        self, training: Trainable, folder: Path | None
    ) -> TrainingMonitor | contextlib.nullcontext[None]:
        """The watcher, where one is asked for."""
        if not self.config.training.monitor:
            return contextlib.nullcontext()
        carries = isinstance(training, Stateful) and training.steps_per_epoch >= CARRY_STEPS
        file = None if folder is None else folder / WARNINGS
        return TrainingMonitor(training.module, carries=carries, file=file)

    def _finish(self, prepared: Any, training: Any, baselines: Any) -> None:
        assert self.history is not None
        if self.history.best_epoch is None:
            raise UserError(
                "A network is judged after at least one validated epoch.",
                "The budget ended before that.",
                "Give a longer --budget.",
            )
        self.baselines = baselines or self.fit_baselines(prepared)
        self.metrics = self._judge(prepared, training) | {
            "seconds": self.history.seconds,
            "seconds_per_epoch": self.history.seconds / self.history.done,
            "epochs": len(self.history.epochs),
            "epochs_done": self.history.done,
            "optimizer_steps": _updates(self.history, training),
            "best_epoch": self.history.best_epoch,
            "checkpoints": self.history.checkpoints,
            "stopped": self.history.stopped,
            "seed": self.config.training.seed,
            "cell": self.config.network.cell,
            "notes": [*prepared.notes, *self.baselines.notes, *_brief(self.history, training)],
        }
        if self.watcher is not None:
            self.metrics["monitor"] = {
                "checks": self.watcher.checks,
                "seconds": self.watcher.spent,
                "gradients": [passed._asdict() for passed in self.watcher.gradients],
            }
            self.metrics["notes"] += [worded(warning) for warning in self.watcher.warnings]

    # -- figures -------------------------------------------------------------------------------------------------

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False) -> dict[str, Any]:
        """Figures of the model and of every baseline on the same data.

        Args:
            data: a file of which everything is scored; None gives the test part's figures from training.
            int8: also score the model with its recurrent layers in int8 (:func:`holdfast.quantize`), on the file.

        Returns:
            ``task``, ``part``, ``model`` (metric -> value), ``baselines`` (name -> the same metrics), ``parameters``,
            ``seconds`` (of training), and how much was scored; of a file also ``scoring_seconds``, and ``int8`` where
            asked.
        """
        if data is None:
            if int8:
                rule = "int8 is scored on a file."
                raise UserError(rule, "None was given.", "Give one that training did not see.")
            return self.metrics
        return self._evaluated(Path(data), self._quantized() if int8 else None)

    def _evaluated(self, path: Path, quantized: Self | None) -> dict[str, Any]:
        start = time.perf_counter()
        part = self._read(path)
        figures = self._scores(part, "file")
        if quantized is not None:
            figures["int8"] = quantized._figures(part)
        took = time.perf_counter() - start
        return figures | {"seconds": self.metrics.get("seconds"), "scoring_seconds": took}

    def _scores(self, part: Any, name: str) -> dict[str, Any]:
        """What :meth:`evaluate` gives of a part."""
        return {
            "task": self.task,
            "split": name,
            "model": self._figures(part),
            "baselines": self._baseline_figures(part),
            "parameters": self.parameters,
            **self._size(part),
        }

    def _quantized(self) -> Self:
        twin = copy.copy(self)
        twin.module = quantize(self._trained()).cpu()
        return twin

    # -- the folder ----------------------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> None:
        """Write the configuration, what was learnt of the data, the weights, the baselines and the figures."""
        module, folder = self._trained(), Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_config(folder / CONFIG, self.task, self.config)
        self._save_learnt(folder)
        save_weights(folder / WEIGHTS, module)
        save_arrays(folder / "baselines.safetensors", self._arrays())
        save_json(folder / "metrics.json", self.metrics)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises:
            UserError: a missing or damaged file, or a folder written by a newer Holdfast.
        """
        folder = Path(folder)
        settings: Any = cls.settings
        self = cls(load_config(folder / CONFIG, settings))
        self._load_learnt(folder / LEARNT)
        self.module = self._empty()
        load_weights(folder / WEIGHTS, self.module)
        self.module.eval()
        self._take_arrays(load_arrays(folder / "baselines.safetensors"))
        self.metrics = renamed_keys(load_json(folder / "metrics.json"))
        return self

    def to(self, device: str) -> Self:
        """Move the network to ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"``: a GPU where there is one.

        Raises:
            UserError: this machine has no such device.
        """
        self._trained().to(find_device(device))
        return self

    def _trained(self) -> Any:
        """The network, once there is one."""
        if self.module is None:
            raise UserError(
                f"A {type(self).__name__} is fitted before it is used.",
                "This one is not.",
                "Call fit(...) or load(...).",
            )
        return self.module

    @property
    def parameters(self) -> int:
        """Trained numbers of the network."""
        return sum(p.numel() for p in self._trained().parameters())


def _updates(history: History, training: Trainable) -> int:
    """How often a run changed the weights."""
    return round(history.done * training.steps_per_epoch)


def _brief(history: History, training: Trainable) -> tuple[str, ...]:
    """What is told of a training run that was short."""
    found = []
    steps = _updates(history, training)
    if steps < _FEW_STEPS:
        found.append(
            f"the weights were changed only {steps:,} times: more --epochs or --budget, or a smaller --batch-size, "
            "may do better"
        )
    values = [row[training.monitor] for row in history.epochs]
    before = min(values[:-1], default=values[-1])
    if history.stopped == "epochs" and before - values[-1] > _STILL * abs(before):
        found.append("the validation was still getting better in the last epoch: give more --epochs")
    return tuple(found)
