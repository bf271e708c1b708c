"""What a task must add: declarations of its results, and methods for its data and network."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, Self, TypeVar, cast

from torch import nn

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.config import DataclassInstance, Training
from holdfast.errors import UserError
from holdfast.reporting.summary import compared_with, standings, variants
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.dataset import Dataset, P, S
from holdfast.tasks.metrics import Scoreboard
from holdfast.training.trainable import Trainable

if TYPE_CHECKING:
    from holdfast.insight.analysis.request import InspectionRequest
    from holdfast.reporting.comparison import Comparison
    from holdfast.reporting.html import Section

Y = TypeVar("Y")
N = TypeVar("N", bound=nn.Module)
_M_contra = TypeVar("_M_contra", contravariant=True)
_O_contra = TypeVar("_O_contra", contravariant=True)
Result = JsonObject
"""A result as ``metrics.json`` holds it."""


class NetworkSettings(DataclassInstance, Protocol):
    """What the network settings of every task have."""

    @property
    def cell(self) -> str:
        """The recurrent cell: rnn, gru or lstm."""

    @property
    def hidden_size(self) -> int:
        """The number of units of a layer."""


class TaskConfig(DataclassInstance, Protocol):
    """What the configuration of every task has."""

    @property
    def network(self) -> NetworkSettings:
        """The network."""

    @property
    def training(self) -> Training:
        """The training."""


C = TypeVar("C", bound=TaskConfig)


class PredictFile(Protocol[_M_contra, _O_contra]):
    """``predict.py`` of a task with the model ``M`` and the prediction settings ``O``."""

    def write_predictions(self, model: _M_contra, data: Path | None, options: _O_contra) -> Iterator[str]:
        """Yield what ``holdfast predict`` prints."""
        ...


class InspectFile(Protocol[_M_contra]):
    """``inspect.py`` of a task."""

    def inspections(self, model: _M_contra, data: Path, steps: int) -> list[InspectionRequest]:
        """Return what ``holdfast inspect`` looks at: at most so many steps of the data."""
        ...


class ReportFile(Protocol[_M_contra]):
    """``report.py`` of a task."""

    def sections(self, model: _M_contra, plots: Path) -> list[Section]:
        """Return the sections that a task adds to its report; plots are written into ``plots``."""
        ...


class TaskContract(ABC, Generic[C, S, P, Y, N]):
    """What a task adds: class variables, abstract methods, and methods that it may override.

    ``C`` is the dataclass of its settings, ``S`` an encoded split, ``P`` the preprocessing, ``Y``
    the predictions for a split, ``N`` the network.
    """

    task: ClassVar[str]
    config_class: type[C]
    preprocessing_class: type[P]
    """Class that :meth:`read_preprocessing` rebuilds, unless the task overrides that method."""
    scoreboard: ClassVar[Scoreboard]
    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of results that earlier versions wrote -> today's."""
    size: ClassVar[str]
    """How much was scored: a format of :meth:`measure`, such as ``"{windows:,} windows"``."""
    title: ClassVar[str]
    """Title of the report, as a format of a result and of ``config``."""
    data_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that another command on the same data needs as well."""
    sentence: ClassVar[str] = "The network's {label} is {own:.4g}; {bar}"
    """First sentence of a verdict, as a format of the result, the ``label`` and ``own`` value of the
    ranking metric, and ``bar``, which compares it with the best baseline."""

    # -- what a task adds --------------------------------------------------------------------------

    @abstractmethod
    def read(self, data: Path, valid: Path | None, test: Path | None) -> Dataset[S, P]:
        """Read and split the files, fit the preprocessing on training, and encode each split.

        Neither the cell, nor the network, nor the seed matters here.
        """

    @abstractmethod
    def read_split(self, path: Path) -> tuple[S, tuple[str, ...]]:
        """Read a whole file as one split to be scored, and what the user should know about it."""

    def read_preprocessing(self, values: JsonMapping, where: Path) -> P:
        """Rebuild the preprocessing from ``data.json``."""
        return self.preprocessing_class.from_dict(values, where)

    @abstractmethod
    def baseline_set(self, preprocessing: P) -> BaselineSet[S, Y]:
        """Return the baselines that apply, not fitted."""

    @abstractmethod
    def network(self, preprocessing: P) -> N:
        """Build the untrained network."""

    @abstractmethod
    def trainable(self, module: N, dataset: Dataset[S, P]) -> Trainable:
        """Return what the training loop needs: batches, loss and validation."""

    @abstractmethod
    def predictions(self, split: S) -> Y:
        """Return the network's predictions for a split."""

    @abstractmethod
    def score(self, split: S, predictions: Y) -> dict[str, float]:
        """Return the metrics of predictions; the baselines' are scored by the same function."""

    @abstractmethod
    def measure(self, split: S) -> JsonObject:
        """Return how much a split holds, by what is counted, such as ``{"windows": 120}``."""

    @abstractmethod
    def losses(self, dataset: Dataset[S, P]) -> dict[str, float]:
        """Return ``train_loss`` (without dropout), ``valid_loss``, and other facts on training."""

    def write_predictions(self: Self, data: Path | None, options: DataclassInstance) -> Iterator[str]:
        """Yield what ``holdfast predict`` prints, by ``write_predictions`` of ``predict.py``."""
        file = cast("PredictFile[Self, DataclassInstance]", self._needed("predict"))
        return file.write_predictions(self, data, options)

    def inspections(self: Self, data: Path, steps: int) -> list[InspectionRequest]:
        """Return what ``holdfast inspect`` looks at, by ``inspections`` of ``inspect.py``."""
        return cast("InspectFile[Self]", self._needed("inspect")).inspections(self, data, steps)

    def report_sections(self: Self, plots: Path) -> list[Section]:
        """Return the sections that a task adds to its report, by ``sections`` of ``report.py``."""
        file = cast("ReportFile[Self] | None", self.file("report"))
        return [] if file is None else file.sections(self, plots)

    @classmethod
    def file(cls, name: str) -> ModuleType | None:
        """Load a file of the task's folder, such as ``plots``; None where there is none."""
        own = next(base for base in cls.__mro__ if "task" in vars(base))
        folder = own.__module__.rpartition(".")[0]
        module = f"{folder}.{name}"
        return import_module(module) if folder and find_spec(module) else None

    def _needed(self, name: str) -> ModuleType:
        file = self.file(name)
        if file is None:
            got = f"The task {self.task} has none."
            raise UserError(f"A task must have a file {name}.py for this.", got, "Use another command.")
        return file

    def calibrate(self, dataset: Dataset[S, P]) -> None:
        """Fit on the validation split what the trained network needs besides its weights."""

    def network_metrics(self, split: S) -> dict[str, float]:
        """Return the network's metrics: those of :meth:`score`, and what only a network has."""
        return self.score(split, self.predictions(split))

    def scored_otherwise(self, split: S) -> JsonObject:
        """Return results of other ways to score the network, by a name in ``summary.VARIANTS``."""
        return {}

    def arrays(self) -> dict[str, Array]:
        """Return arrays that the fitted model needs besides its weights."""
        return {}

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take what :meth:`arrays` returned."""

    # -- what follows from the declarations --------------------------------------------------------

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that use a run which was trained on these files."""
        return [["holdfast", "predict", run, files[0]]]

    @classmethod
    def remarks(cls, result: JsonMapping) -> list[str]:
        """Return sentences that a task adds to its verdict."""
        return []

    @classmethod
    def result_keys(cls) -> list[str]:
        """Return the keys that ``evaluate --json`` prints."""
        measured = [name for _, name, _, _ in Formatter().parse(cls.size) if name is not None]
        return ["task", "split", "model", "baselines", "parameters", "seconds", *dict.fromkeys(measured)]

    @classmethod
    def scored_on(cls, result: JsonMapping) -> str:
        """Return what was scored, as the title of a table."""
        counted = re.sub(r"\b1 (\w+)s\b", r"1 \1", cls.size.format(**result))  # "1 window"
        where = "whole file" if result["split"] == "file" else f"{result['split']} split"
        return f"{cls.task}, {where}, {counted}"

    @classmethod
    def verdict(cls, result: JsonMapping) -> list[str]:
        """Return the result in sentences: compared with the best baseline, and scored otherwise."""
        board = cls.scoreboard
        metric = board.metric(result["model"])
        own = result["model"][metric.name]
        bar = compared_with(board, metric, own, result["baselines"], cls.instead(result))
        first = cls.sentence.format(**result, label=metric.label, own=own, bar=bar)
        return [first, *variants(metric, result), *cls.remarks(result)]

    @classmethod
    def instead(cls, result: JsonMapping) -> str:
        """Return how to use the best baseline instead, as a clause; empty where it cannot be."""
        return ""

    @classmethod
    def conclusions(cls, comparison: Comparison) -> list[str]:
        """Return what a comparison of cells says."""
        return standings(comparison, cls.scoreboard)

    @classmethod
    def next_commands(cls, run: str, files: list[str], asked: list[str]) -> list[list[str]]:
        """Return commands that are useful after a training run with these files and flags."""
        return [
            *cls.examples(run, files),
            ["holdfast", "evaluate", run, "--json"],
            ["holdfast", "compare", cls.task, *files, *asked],
        ]
