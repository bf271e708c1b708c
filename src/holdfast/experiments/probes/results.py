"""Results of a probe: all runs, the baseline without memory, and both in words and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from holdfast._json import JsonObject
from holdfast.experiments.probes.config import PROBES
from holdfast.reporting.comparison import Runs, Spread

_AT_CHANCE = 0.1
"""Up to this share of the way from chance to no error, a cell "stayed near chance"."""


@dataclass(frozen=True)
class ProbeResults(Runs):
    """Results of a probe, with the keys of probe.json.

    Attributes:
        probe: its name.
        length: time steps to remember.
        metric: the metric of the criterion.
        higher: whether a higher metric is better.
        criterion: what a validation must reach.
        chance: metrics of a baseline without memory.
        nothing: that baseline in words.
        runs: one for each seed and cell, see :func:`holdfast.experiments.probes.run.train_run`.
    """

    kind = "probe"
    keys = frozenset(("cell", "seed", "solved", "steps", "seconds", "stopped", "parameters", "test", "curve"))

    probe: str
    length: int
    metric: str
    higher: bool
    criterion: float
    chance: Mapping[str, float]
    nothing: str
    runs: list[JsonObject] = field(default_factory=list)

    def of(self, cell: str) -> list[JsonObject]:
        """Return the runs of a cell."""
        return [run for run in self.runs if run["cell"] == cell]

    def relative_score(self, cell: str) -> float:
        """Return the mean test metric of a cell, scaled so that 0 is chance and 1 is no error."""
        chance, best = self.chance[self.metric], 1.0 if self.higher else 0.0
        return (self.test(cell, self.metric).mean - chance) / (best - chance)

    def test(self, cell: str, name: str) -> Spread:
        """Return the mean and spread of a test metric over the seeds."""
        values = (run["test"][name] for run in self.of(cell))
        return Spread.of([math.nan if value is None else value for value in values])

    def solved(self, cell: str) -> list[JsonObject]:
        """Return the runs of a cell that met the criterion."""
        return [run for run in self.of(cell) if run["solved"]]


_TITLES = {
    "adding": "The adding problem: the sum of two marked numbers among {length:,} time steps",
    "copy": "The copy task: ten symbols, repeated {length:,} time steps later",
    "order": "Temporal order: which of two symbols came first, in {length:,} time steps",
    "images": "Images read pixel by pixel, {length:,} time steps each",
}

_NAMES = {"rnn": "plain RNN"}
"""Cells with another name in sentences."""

MEANINGS = {
    "mse": "mean squared error; lower is better",
    "within_0.04": "share of sums with an error below 0.04",
    "accuracy": "share of correct outputs where memory is needed",
    "cross_entropy": "mean -ln p of the correct outputs, in nats; lower is better",
}


def title(found: ProbeResults) -> str:
    """Return the title of a probe."""
    return _TITLES[found.probe].format(length=found.length)


def sentences(found: ProbeResults) -> list[str]:
    """Return the criterion, the baseline's metrics, and a verdict on each cell."""
    criterion = PROBES[found.probe].rule.format(found.criterion)
    chance = ", ".join(f"{name} {value:.4g}" for name, value in found.chance.items())
    rule = f"Solved: {criterion}, in a validation. Without memory, by {found.nothing}: {chance}."
    return [rule, *(_verdict(found, cell) for cell in found.cells)]


def results_table(found: ProbeResults) -> list[list[str]]:
    """Return a header, a row for each cell (mean ± spread over seeds), and the baseline's row."""
    metrics = [name for name in found.runs[0]["test"] if name in MEANINGS]
    costs = ["solved", "steps", "seconds", "parameters"]
    rows = [
        [cell.upper(), *(str(found.test(cell, m)) for m in metrics), *_costs(found, cell)]
        for cell in found.cells
    ]
    nothing = [f"{found.chance[m]:.4g}" if m in found.chance else "" for m in metrics]
    return [["", *metrics, *costs], *rows, ["without memory", *nothing, *("" for _ in costs)]]


def _costs(found: ProbeResults, cell: str) -> list[str]:
    runs, solved = found.of(cell), found.solved(cell)
    seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
    return [
        f"{len(solved)} of {len(runs)}",
        _steps(runs),
        f"{mean(seconds):.1f}" if seconds else "-",
        f"{runs[0]['parameters']:,}",
    ]


def _steps(runs: Sequence[JsonObject]) -> str:
    spread = Spread.of([run["steps"] for run in runs])
    return f"{spread.mean:,.0f}" + (f" ± {spread.std:,.0f}" if spread.std else "")


def _verdict(found: ProbeResults, cell: str) -> str:
    """Return whether a cell solved the probe, did not, or stayed near chance."""
    name, runs, solved = _NAMES.get(cell, cell.upper()), found.of(cell), found.solved(cell)
    metric = f"test {found.metric} {found.test(cell, found.metric)}"
    seeds = "" if len(runs) == 1 else f" with {len(solved)} of {len(runs)} seeds"
    if solved:
        seconds = mean(run["seconds"] for run in solved)
        return f"The {name} solved it{seeds}, after {_steps(solved)} steps ({seconds:.0f} s): {metric}."
    chance = f"{found.chance[found.metric]:.4g}"
    trained = f"{_steps(runs)} steps{_why(runs)}"
    if not found.relative_score(cell) > _AT_CHANCE:
        return f"The {name} stayed near chance in {trained}: {metric}, against {chance} for {found.nothing}."
    return f"The {name} beat chance but did not solve it in {trained}: {metric}, chance {chance}."


def _why(runs: Sequence[JsonObject]) -> str:
    """Return why runs ended early without solving the probe."""
    ends = {"budget": "the budget ran out", "diverged": "it diverged"}
    reasons = [text for stopped, text in ends.items() if any(run["stopped"] == stopped for run in runs)]
    return f" ({', '.join(reasons)})" if reasons else ""
