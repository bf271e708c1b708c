"""What a probe found: every run, beside one who remembers nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any, Self

from holdfast.experiments.probes.config import PROBES
from holdfast.reporting.comparison import Spread, restored

Run = dict[str, Any]

RUN = {"cell", "seed", "solved", "steps", "seconds", "stopped", "parameters", "test", "curve"}
"""What is kept of each run, as :func:`holdfast.experiments.probes.training.learn` gives it."""

AT_CHANCE = 0.1
"""The share of the way from remembering nothing to no error up to which a cell is said to have stayed near chance."""


@dataclass(frozen=True)
class ProbeResults:
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


# -- words ----

ASKED = {
    "adding": "The adding problem: the sum of two marked numbers among {length:,} steps",
    "copy": "The copy task: ten symbols, said again {length:,} steps later",
    "order": "Temporal order: which of two symbols came first, in {length:,} steps",
    "images": "Images read pixel by pixel, {length:,} steps each",
}
"""Probe -> what it asks."""

NAMES = {"rnn": "plain RNN"}
"""Cells whose name in a sentence is another."""

MEANINGS = {
    "mse": "mean squared error; lower is better",
    "within_0.04": "share of sums that are less than 0.04 from the right one",
    "accuracy": "share of right answers where memory is needed",
    "cross_entropy": "-ln p of the right answers, over all that is said, in nats; lower is better",
}


def title(found: ProbeResults) -> str:
    """What was asked."""
    return ASKED[found.probe].format(length=found.length)


def criterion_sentence(found: ProbeResults) -> str:
    """When the probe counts as solved, and what one reaches who remembers nothing."""
    criterion = PROBES[found.probe].rule.format(found.criterion)
    chance = ", ".join(f"{name} {value:.4g}" for name, value in found.chance.items())
    return f"Solved: {criterion}, in a validation. Remembering nothing, by {found.nothing}: {chance}."


def results_table(found: ProbeResults) -> list[list[str]]:
    """A header, a row for each cell (test figures as mean ± spread over its seeds), and one for remembering nothing."""
    metrics = [name for name in found.runs[0]["test"] if name in MEANINGS]
    costs = ["solved", "steps", "seconds", "parameters"]
    rows = [
        [cell.upper(), *(str(found.test(cell, m)) for m in metrics), *_costs(found, cell)]
        for cell in found.cells
    ]
    nothing = [f"{found.chance[m]:.4g}" if m in found.chance else "" for m in metrics]
    return [["", *metrics, *costs], *rows, ["nothing remembered", *nothing, *("" for _ in costs)]]


def _costs(found: ProbeResults, cell: str) -> list[str]:
    runs, solved = found.of(cell), found.solved(cell)
    seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
    return [
        f"{len(solved)} of {len(runs)}",
        _steps([run["steps"] for run in runs]),
        f"{mean(seconds):.1f}" if seconds else "-",
        f"{runs[0]['parameters']:,}",
    ]


def _steps(steps: Sequence[int]) -> str:
    spread = Spread.of(steps)
    return f"{spread.mean:,.0f}" + (f" ± {spread.std:,.0f}" if spread.std else "")


def verdict_sentences(found: ProbeResults) -> list[str]:
    """A sentence on each cell: it solved the probe, did not, or stayed near chance."""
    return [_sentence(found, cell) for cell in found.cells]


def _sentence(found: ProbeResults, cell: str) -> str:
    name, runs, solved = NAMES.get(cell, cell.upper()), found.of(cell), found.solved(cell)
    figure = f"test {found.metric} {found.test(cell, found.metric)}"
    seeds = "" if len(runs) == 1 else f" with {len(solved)} of {len(runs)} seeds"
    if solved:
        seconds = mean(run["seconds"] for run in solved)
        steps = _steps([run["steps"] for run in solved])
        return f"The {name} solved it{seeds}, after {steps} steps ({seconds:.0f} s): {figure}."
    chance = f"{found.chance[found.metric]:.4g}"
    trained = f"{_steps([run['steps'] for run in runs])} steps{_why(runs)}"
    if not found.way(cell) > AT_CHANCE:
        return f"The {name} stayed near chance in {trained}: {figure}, against {chance} for {found.nothing}."
    return f"The {name} remembers something and did not solve it in {trained}: {figure}, chance {chance}."


def _why(runs: Sequence[dict[str, Any]]) -> str:
    """What ended runs that did not solve the probe, where it was not the number of steps."""
    ends = {"budget": "the budget was spent", "diverged": "it diverged"}
    found = [text for stopped, text in ends.items() if any(run["stopped"] == stopped for run in runs)]
    return f" ({', '.join(found)})" if found else ""
