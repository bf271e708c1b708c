"""What a probe found, in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from holdfast.experiments.probes.config import PROBES
from holdfast.experiments.probes.results import AT_CHANCE, Findings
from holdfast.reporting.comparison import Spread

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


def title(found: Findings) -> str:
    """What was asked."""
    return ASKED[found.probe].format(length=found.length)


def rule(found: Findings) -> str:
    """When the probe counts as solved, and what one reaches who remembers nothing."""
    criterion = PROBES[found.probe].rule.format(found.criterion)
    chance = ", ".join(f"{name} {value:.4g}" for name, value in found.chance.items())
    return f"Solved: {criterion}, in a validation. Remembering nothing, by {found.nothing}: {chance}."


def table(found: Findings) -> list[list[str]]:
    """A header, a row for each cell (test figures as mean ± spread over its seeds), and one for remembering nothing."""
    metrics = [name for name in found.runs[0]["test"] if name in MEANINGS]
    costs = ["solved", "steps", "seconds", "parameters"]
    rows = [
        [cell.upper(), *(str(found.test(cell, m)) for m in metrics), *_costs(found, cell)]
        for cell in found.cells
    ]
    nothing = [f"{found.chance[m]:.4g}" if m in found.chance else "" for m in metrics]
    return [["", *metrics, *costs], *rows, ["nothing remembered", *nothing, *("" for _ in costs)]]


def _costs(found: Findings, cell: str) -> list[str]:
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


def verdict(found: Findings) -> list[str]:
    """A sentence on each cell: it solved the probe, did not, or stayed near chance."""
    return [_sentence(found, cell) for cell in found.cells]


def _sentence(found: Findings, cell: str) -> str:
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
