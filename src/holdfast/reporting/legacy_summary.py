"""Results in plain words, with no more claimed than the figures carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.statistics import LOWER_LOSS, SMALLEST_LOSS_EFFECT, failure_reason, paired_test
from holdfast.reporting.summary import TIE, VARIANTS, best_cell

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Measure:
    """The metric by which a task's results are compared, and how it is told.

    Attributes:
        metric: its name in the results.
        label: its name in a sentence.
        what: what a cell does with the data.
        examples: what the training part is counted in.
        baselines: name of a simple method -> what it is called in a sentence.
        highest: the largest value, where higher is better.
        other: of results that have another metric instead.
    """

    metric: str
    label: str
    what: str
    examples: str
    baselines: Mapping[str, str] = field(default_factory=dict)
    highest: float | None = None
    other: Measure | None = None

    def of(self, figures: Mapping[str, float]) -> Measure:
        """The measure whose metric is among some figures: this one, or another."""
        return self if self.metric in figures or self.other is None else self.other.of(figures)

    @property
    def higher(self) -> bool:
        """Higher is better."""
        return self.highest is not None

    def named(self, baseline: str) -> str:
        """A simple method in a sentence."""
        return self.baselines.get(baseline, baseline)

    def best(self, baselines: Figures) -> tuple[str, float]:
        """Name and value of the best simple method."""
        choose = max if self.higher else min
        name = choose(baselines, key=lambda b: baselines[b][self.metric])
        return name, baselines[name][self.metric]

    def short(self, value: float) -> float:
        """How far a value is from the best one that there can be."""
        return value if self.highest is None else self.highest - value

    @property
    def lacking(self) -> str:
        """What :meth:`short` gives, in a sentence."""
        return self.label if self.highest is None else f"{self.highest:g} less {self.label}"

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.higher else one < other


def against(measure: Measure, own: float, baselines: Figures, how: str = "") -> str:
    """A model's value against the best simple method's; ``how`` says how that one is used."""
    name, bar = measure.best(baselines)
    label = measure.named(name)
    if own == bar or abs(own - bar) < TIE * measure.short(bar):
        return f"the best baseline, {label}, has {bar:.4g}: no difference worth the name."
    gap = f"{abs(own - bar):.3g}" if measure.higher else f"{abs(own / bar - 1) if bar else 0:.1%}"
    if measure.better(own, bar):
        return (
            f"that is {gap} {'above' if measure.higher else 'below'} the best baseline, {label} ({bar:.4g})."
        )
    instead = f"use {label} instead{how}."
    if max(own, bar) > 2 * min(own, bar):
        return f"the best baseline, {label}, has {bar:.4g}, far {'above' if measure.higher else 'below'}: {instead}"
    return f"that is {gap} {'BELOW' if measure.higher else 'ABOVE'} the best baseline, {label} ({bar:.4g}): {instead}"


def otherwise(measure: Measure, result: Mapping[str, Any]) -> list[str]:
    """What other ways to score the same model change."""
    own = result["model"][measure.metric]
    values = {how: result[name][measure.metric] for name, how in VARIANTS.items() if name in result}
    return [
        f"{how[0].upper()}{how[1:]} it is {value:.4g}{_change(own, value)}." for how, value in values.items()
    ]


def _change(own: float, value: float) -> str:
    if not own:
        return ""
    change = abs(value / own - 1)
    return f", {change:.2%} {'more' if value > own else 'less'}" if change >= 5e-5 else ", the same"


def standings(comparison: Comparison, measure: Measure) -> list[str]:
    """The best cell against the simple methods, and against each other cell in pairs of runs with the same seed."""
    best = best_cell(comparison)
    own = comparison.metric(best, measure.metric)
    words = [
        f"The cell with the lowest validation loss: {best.upper()}, "
        f"{measure.label} {own}; {against(measure, own.mean, comparison.baselines)}"
    ]
    words += [_cells(comparison, measure, best, other) for other in comparison.cells if other != best]
    if {"gru", "lstm"} <= set(comparison.cells):
        words.append(f"What is said of LSTM and GRU is tested by: holdfast claims {comparison.task} ...")
    return words


def _cells(comparison: Comparison, measure: Measure, one: str, other: str) -> str:
    """How much less one cell lacks to the best possible value than another, as a share of what that one lacks."""
    lacking = [
        {
            run["seed"]: measure.short(run["model"][measure.metric])
            for run in comparison.runs
            if run["cell"] == c
        }
        for c in (one, other)
    ]
    seeds = sorted(set(lacking[0]) & set(lacking[1]))
    size = abs(mean(lacking[1][seed] for seed in seeds)) if seeds else 0.0
    head = f"{one.upper()} against {other.upper()}"
    if len(seeds) < 2 or not size:
        return f"{head}: " + ("one seed cannot tell." if size else "nothing to tell apart.")
    found = paired_test([(lacking[0][seed] - lacking[1][seed]) / size for seed in seeds], LOWER_LOSS)
    told = failure_reason(found, LOWER_LOSS).replace("the opposite is true", "worse")
    verdict = {"holds": "better", "does not hold": told or f"not better by {SMALLEST_LOSS_EFFECT:.0%}"}
    return (
        f"{head}, {comparison.split} {measure.lacking}: {verdict.get(found.decision, found.decision)} "
        f"({found.effect:+.1%}, 95 % interval {found.low:+.1%} to {found.high:+.1%}, {found.pairs} pairs)."
    )
