"""Cells against each other and against the baselines, over several seeds: what holds on this data?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from holdfast.errors import UserError
from holdfast.tasks import task_class

CELL_NAMES = ("rnn", "gru", "lstm")
SMALL = 0.25
"""The latest share of the training windows that the small-data claim is tried on."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (0 for one value) over seeds."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value for each seed."""
        return cls(mean(values), stdev(values) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.std:.2g}" if self.std else f"{self.mean:.4g}"


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Attributes:
        task: the task's name.
        runs: ``metrics`` of every run, with ``cell``, ``seed`` and ``share`` (of the training windows used).
        baselines: name -> metrics.
        notes: what the user should be told of the data.
    """

    task: str
    runs: list[dict[str, Any]]
    baselines: dict[str, dict[str, float]]
    notes: tuple[str, ...]

    @property
    def cells(self) -> list[str]:
        """Cells in the order in which they ran."""
        return list(dict.fromkeys(run["cell"] for run in self.runs))

    def spread(self, cell: str, value: Callable[[dict[str, Any]], float], share: float = 1.0) -> Spread:
        """A figure of a cell's runs over the seeds."""
        return Spread.of([value(r) for r in self.runs if r["cell"] == cell and r["share"] == share])

    def metric(self, cell: str, name: str, share: float = 1.0) -> Spread:
        """A metric of the test part over the seeds."""
        return self.spread(cell, lambda run: run["model"][name], share)

    def gap(self, cell: str) -> Spread:
        """Validation loss over training loss (without dropout), less 1: how much a cell overfits."""
        return self.spread(cell, lambda run: run["valid_loss"] / run["train_loss"] - 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {"task": self.task, "runs": self.runs, "baselines": self.baselines, "notes": list(self.notes)}


def compare(
    task: str,
    config: Any,
    data: Path,
    *,
    cells: Sequence[str] = CELL_NAMES,
    seeds: int = 3,
    small: bool = True,
    announce: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Train every cell with every seed on the same windows, and score each on the test part.

    Args:
        task: name of a task whose configuration has ``network.cell`` and ``training.seed``.
        config: the settings that all runs share.
        data: the file.
        cells: names of cells.
        seeds: runs for each cell, with seeds ``training.seed``, ``training.seed + 1``, ...
        small: also train on the latest quarter of the training windows.
        announce: called with a line before and after each run.

    Raises:
        UserError: an unknown cell or fewer than one seed, and whatever is wrong with the file.
    """
    _check(cells, seeds)
    make = task_class(task)
    prepared = make(config).prepare(data)
    shares = [(1.0, prepared), (SMALL, prepared.latest(SMALL))] if small else [(1.0, prepared)]
    runs: list[dict[str, Any]] = []
    baselines = None
    for seed in range(config.training.seed, config.training.seed + seeds):
        for cell in cells:
            own = replace(
                config,
                network=replace(config.network, cell=cell),
                training=replace(config.training, seed=seed),
            )
            for share, windows in shares:
                announce(f"{cell}, seed {seed}, {share:.0%} of the training windows ...")
                model = make(own).fit_prepared(windows, baselines=baselines)
                if model.history.stopped == "interrupted":
                    raise KeyboardInterrupt
                baselines = baselines or model.baselines
                runs.append(model.metrics | {"share": share})
    return Comparison(task, runs, runs[0]["baselines"], prepared.notes)


def _check(cells: Sequence[str], seeds: int) -> None:
    unknown = [cell for cell in cells if cell not in CELL_NAMES]
    if unknown or not cells:
        raise UserError(
            f"Cells are: {', '.join(CELL_NAMES)}.",
            f"Given: {', '.join(cells) or 'none'}.",
            "Give --cells gru,lstm.",
        )
    if seeds < 1:
        raise UserError(
            "A comparison takes at least 1 seed.", f"It was {seeds}.", "Give for example --seeds 3."
        )
