"""Result of a comparison of cells: the metrics of every run, and their mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Protocol, Self, TypeVar

from holdfast._json import JsonMapping, JsonObject
from holdfast.errors import UserError
from holdfast.tasks.metrics import renamed_keys

RUN = {
    "cell",
    "seed",
    "share",
    "split",
    "model",
    "parameters",
    "seconds_per_epoch",
    "train_loss",
    "valid_loss",
}
"""Keys that every run must have."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (0 for one value) over ``count`` seeds."""

    mean: float
    std: float
    count: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value per seed."""
        return cls(mean(values), stdev(values) if len(values) > 1 else 0.0, len(values))

    def __str__(self) -> str:
        mean = f"{self.mean:,.0f}" if abs(self.mean) >= 1000 else f"{self.mean:.4g}"
        return f"{mean} ± {self.std:.2g}" if self.std else mean


class _HasRuns(Protocol):
    """Result of several runs."""

    @property
    def runs(self) -> list[JsonObject]:
        """Metrics of each run."""
        ...


R = TypeVar("R", bound=_HasRuns)


def restored(make: Callable[..., R], values: JsonMapping, needed: set[str], where: str, what: str) -> R:
    """Rebuild a result of several runs from JSON; ``needed`` are the keys of each run.

    Raises:
        UserError: a key is missing or unknown.
    """
    try:
        found = make(**values)
        whole = all(run.keys() >= needed for run in found.runs)
    except (TypeError, AttributeError):
        whole = False
    if not whole:
        raise UserError(
            f"{where} must hold {what} as Holdfast wrote it.",
            "It is damaged.",
            "Start again with another --out, or copy it again.",
        )
    return found


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        task: the task's name.
        runs: ``metrics`` of every run, with ``cell``, ``seed`` and ``share`` (share of the training split).
        baselines: name -> metrics.
        notes: what the user should know about the data.
        data: digest of the data.
    """

    task: str
    runs: list[JsonObject]
    baselines: dict[str, dict[str, float]]
    notes: Sequence[str]
    data: str = ""

    @classmethod
    def from_dict(cls, values: JsonMapping, where: str) -> Self:
        """Rebuild it from :meth:`to_dict`; anything else is a UserError."""
        return restored(cls, renamed_keys(values), RUN, where, "a comparison")

    @property
    def split(self) -> str:
        """The split that was scored: test, or validation where there is no test split."""
        return str(self.runs[0]["split"])

    @property
    def cells(self) -> list[str]:
        """Cells in the order in which they ran."""
        return list(dict.fromkeys(run["cell"] for run in self.runs))

    def spread(self, cell: str, value: Callable[[JsonObject], float], share: float = 1.0) -> Spread:
        """Return the spread of a value of a cell's runs over the seeds."""
        return Spread.of([value(r) for r in self.runs if r["cell"] == cell and r["share"] == share])

    def metric(self, cell: str, name: str, share: float = 1.0) -> Spread:
        """Return the spread of a metric of the scored split over the seeds."""
        return self.spread(cell, lambda run: run["model"][name], share)

    def gap(self, cell: str) -> Spread:
        """Return validation loss - training loss (without dropout): how much a cell overfits."""
        return self.spread(cell, lambda run: run["valid_loss"] - run["train_loss"])

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        return asdict(self)
