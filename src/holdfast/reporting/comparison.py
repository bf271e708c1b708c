"""Results of several runs, and their mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import ClassVar, Self

from holdfast._json import JsonMapping, JsonObject
from holdfast.errors import UserError
from holdfast.files import load_json
from holdfast.tasks.metrics import renamed_keys


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (0 for one value) over ``count`` seeds."""

    mean: float
    std: float = 0.0
    count: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value per seed."""
        return cls(mean(values), stdev(values) if len(values) > 1 else 0.0, len(values))

    def __str__(self) -> str:
        mean = f"{self.mean:,.0f}" if abs(self.mean) >= 1000 else f"{self.mean:.4g}"
        return f"{mean} ± {self.std:.2g}" if self.std else mean


class Runs:
    """Base of the results of several runs, a dataclass with at least the field :attr:`runs`.

    Attributes:
        runs: results of each run, with its ``cell`` and :attr:`keys`.
    """

    keys: ClassVar[frozenset[str]]
    """Keys that every run must have."""
    kind: ClassVar[str]
    """What the results are of, in a word."""
    runs: list[JsonObject]

    @classmethod
    def from_dict(cls, values: JsonMapping, where: str) -> Self:
        """Rebuild the results from :meth:`to_dict`.

        Raises:
            UserError: a key is missing or unknown.
        """
        try:
            found = cls(**renamed_keys(values))
            whole = all(run.keys() >= cls.keys for run in found.runs)
        except (TypeError, AttributeError):
            whole = False
        if not whole:
            raise UserError(
                f"{where} must hold a {cls.kind} as Holdfast wrote it.",
                "It is damaged.",
                "Start again with another --out, or copy it again.",
            )
        return found

    @classmethod
    def earlier(cls, path: Path, same: Callable[[Self], bool], exceptions: str = "") -> Self:
        """Load the results that are resumed.

        Args:
            path: file of the results in the output folder.
            same: whether the results are of the same settings and data.
            exceptions: settings that may differ, as a clause.

        Raises:
            UserError: the file is missing or damaged, or its settings or data differ.
        """
        folder = path.parent
        if not path.exists():
            raise UserError(
                f"--resume must have a {cls.kind} in the folder --out.",
                f"{folder} holds none." if folder.exists() else f"There is no folder {folder}.",
                f"Give the {cls.kind}'s folder with --out, or omit --resume to start a new one.",
            )
        old = cls.from_dict(load_json(path), str(path))
        if not same(old):
            raise UserError(
                f"A resumed {cls.kind} must keep its settings and data{exceptions}.",
                f"They differ from those of the {cls.kind} in {folder}.",
                f"Give the original ones, or start a new {cls.kind} with another --out.",
            )
        return old

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @property
    def cells(self) -> list[str]:
        """Cells in the order in which they ran."""
        return list(dict.fromkeys(run["cell"] for run in self.runs))


@dataclass(frozen=True)
class Comparison(Runs):
    """Result of a comparison.

    Attributes:
        task: the task's name.
        runs: ``metrics`` of every run, with ``cell``, ``seed`` and ``share`` (share of the training
            split).
        baselines: name -> metrics.
        notes: what the user should know about the data.
        data: digest of the data.
    """

    kind = "comparison"
    keys = frozenset({"cell", "seed", "share", "split", "model", "parameters", "seconds_per_epoch"})
    keys |= {"train_loss", "valid_loss"}

    task: str
    runs: list[JsonObject]
    baselines: dict[str, dict[str, float]]
    notes: Sequence[str]
    data: str = ""

    @property
    def split(self) -> str:
        """The split that was scored: test, or validation where there is no test split."""
        return str(self.runs[0]["split"])

    @property
    def by_key(self) -> dict[tuple[int, str, float], JsonObject]:
        """The runs by seed, cell and share."""
        return {(run["seed"], run["cell"], run["share"]): run for run in self.runs}

    def spread(self, cell: str, value: Callable[[JsonObject], float], share: float = 1.0) -> Spread:
        """Return the spread of a value of a cell's runs over the seeds."""
        return Spread.of([value(r) for r in self.runs if r["cell"] == cell and r["share"] == share])

    def metric(self, cell: str, name: str, share: float = 1.0) -> Spread:
        """Return the spread of a metric of the scored split over the seeds."""
        return self.spread(cell, lambda run: run["model"][name], share)

    def gap(self, cell: str) -> Spread:
        """Return validation loss - training loss (without dropout): how much a cell overfits."""
        return self.spread(cell, lambda run: run["valid_loss"] - run["train_loss"])
