"""What a probe found: every run, beside one who remembers nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from holdfast.reporting.comparison import Spread, restored

Run = dict[str, Any]

RUN = {"cell", "seed", "solved", "steps", "seconds", "stopped", "parameters", "test", "curve"}
"""What is kept of each run, as :func:`holdfast.experiments.probes.training.learn` gives it."""

AT_CHANCE = 0.1
"""The share of the way from remembering nothing to no error up to which a cell is said to have stayed near chance."""


@dataclass(frozen=True)
class Findings:
    """What a probe found.

    Attributes:
        probe: its name.
        length: steps over which something must be remembered.
        metric: the figure that the criterion is about.
        higher: whether it is better the higher it is.
        criterion: what the validation must reach.
        chance: figures of one who remembers nothing.
        nothing: who that is, in words.
        runs: one for each seed and cell.
    """

    probe: str
    length: int
    metric: str
    higher: bool
    criterion: float
    chance: Mapping[str, float]
    nothing: str
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Self:
        """What :meth:`to_dict` gave; anything else is a UserError."""
        return restored(cls, values, RUN, where, "a probe")

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)

    @property
    def cells(self) -> list[str]:
        """Cells in the order in which they ran."""
        return list(dict.fromkeys(run["cell"] for run in self.runs))

    def of(self, cell: str) -> list[Run]:
        """The runs of a cell."""
        return [run for run in self.runs if run["cell"] == cell]

    def way(self, cell: str) -> float:
        """How far a cell came on the test part from remembering nothing (0) to no error (1), the mean of its runs."""
        chance, best = self.chance[self.metric], 1.0 if self.higher else 0.0
        return (self.value(cell) - chance) / (best - chance)

    def value(self, cell: str) -> float:
        """The metric on the test part, the mean of its runs."""
        return self.test(cell, self.metric).mean

    def test(self, cell: str, name: str) -> Spread:
        """A figure of the test part over the seeds."""
        values = [run["test"][name] for run in self.of(cell)]
        return Spread.of([math.nan if value is None else value for value in values])

    def solved(self, cell: str) -> list[Run]:
        """The runs of a cell that met the criterion."""
        return [run for run in self.of(cell) if run["solved"]]
