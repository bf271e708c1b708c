"""Results in plain words, with no more claimed than the figures carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.insight.comparison import Comparison, Spread

TIE = 0.01
"""Difference of one run below which two figures are called equal, as a share of what the baseline lacks to the best."""

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


VARIANTS = {
    "int8": "in int8",
    "cache": "with the neural cache",
    "dynamic": "with dynamic evaluation",
    "ngram": "with the n-grams of its training sentences",
    "searched": "decoded as asked",
    "live": "listening live",
}
"""Other ways in which ``evaluate`` may score the same model, by their names in its result."""


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


def epochs_done(result: Mapping[str, Any]) -> str:
    """How many epochs a run trained."""
    done = result["epochs_done"]
    return f"{done:.3g} epoch{'' if done == 1 else 's'}"


def weights_kept(result: Mapping[str, Any]) -> str:
    """Whose weights a run kept."""
    best, checkpoints = f"the best was epoch {result['best_epoch']}", result.get("checkpoints", 1)
    if checkpoints == 1:
        return best
    return f"{best}, kept is the mean of the weights after the best {checkpoints}"


def best_cell(comparison: Comparison) -> str:
    """The cell with the lowest validation loss."""
    return min(comparison.cells, key=lambda c: comparison.spread(c, lambda run: run["valid_loss"]).mean)


def claims(comparison: Comparison, measure: Measure) -> list[str]:
    """The textbook's claims held against a comparison of cells, and the best cell against the simple methods.

    A difference counts when it is larger than the sum of both standard deviations over the seeds.
    """
    words = []
    if {"gru", "lstm"} <= set(comparison.cells):
        words += _gru_against_lstm(comparison, measure)
    if "rnn" in comparison.cells:
        words += [
            _claim(
                f"a gated {c.upper()} {measure.what} better than a plain RNN",
                comparison.metric(c, measure.metric),
                comparison.metric("rnn", measure.metric),
                f"{comparison.part} {measure.label}",
                higher=measure.higher,
            )
            for c in comparison.cells
            if c != "rnn"
        ]
    best = best_cell(comparison)
    own = comparison.metric(best, measure.metric)
    words.append(
        f"The cell with the lowest validation loss: {best.upper()}, "
        f"{measure.label} {own}; {against(measure, own.mean, comparison.baselines)}"
    )
    return words


def _gru_against_lstm(comparison: Comparison, measure: Measure) -> list[str]:
    def pair(value: Callable[[str], Spread]) -> tuple[Spread, Spread]:
        return value("gru"), value("lstm")

    def figure(name: str) -> tuple[Spread, Spread]:
        return pair(lambda cell: comparison.spread(cell, lambda run: run[name]))

    words = [
        _claim("a GRU has fewer parameters than an LSTM", *figure("parameters"), "parameters"),
        _claim("a GRU trains faster", *figure("seconds_per_epoch"), "seconds an epoch"),
        _overfitting(*pair(comparison.gap)),
    ]
    small = comparison.small
    if small is not None:
        scores = pair(lambda cell: comparison.metric(cell, measure.metric, small))
        text = f"{comparison.part} {measure.label} after training on {small:.0%} of the {measure.examples}"
        words.append(_claim("a GRU suits small data better", *scores, text, higher=measure.higher))
    return words


def _overfitting(gru: Spread, lstm: Spread) -> str:
    if max(gru.mean, lstm.mean) <= 0:
        return (
            f"“a GRU overfits less”: neither overfits here (validation less training loss: {gru} and {lstm})."
        )
    return _claim("a GRU overfits less", gru, lstm, "validation less training loss")


def _claim(claim: str, mine: Spread, other: Spread, what: str, *, higher: bool = False) -> str:
    """``mine`` below ``other`` supports the claim, or above where ``higher`` is better."""
    figures = f"{what}: {mine} against {other}"
    if mine.count == 1 and what != "parameters":
        return f"“{claim}”: one seed cannot tell ({figures})."
    if abs(mine.mean - other.mean) <= mine.std + other.std or mine.mean == other.mean:
        return f"“{claim}”: no difference beyond the seeds' spread here ({figures})."
    if (mine.mean > other.mean) == higher:
        return f"“{claim}”: holds here ({figures})."
    return f"“{claim}”: the opposite is true here ({figures})."
