"""Metrics as declarations: what each number is called, which way is better, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Values = Mapping[str, float]


@dataclass(frozen=True)
class Metric:
    """One number of a result.

    Attributes:
        name: key in results, such as ``"bits_per_char"``.
        label: name in a sentence, such as ``"bits per character"``.
        meaning: what it measures, in one sentence without a full stop.
        unit: unit of its values, empty for none.
        direction: which way is better; ``"none"`` where neither is.
        perfect: value of a perfect model; the shortfall of a value is its distance from it.
    """

    name: str
    label: str
    meaning: str
    unit: str = ""
    direction: Literal["lower", "higher", "none"] = "lower"
    perfect: float = 0.0

    @classmethod
    def higher_is_better(cls, name: str, label: str, meaning: str, perfect: float = 1.0) -> Self:
        """Return a metric whose best value is ``perfect``."""
        return cls(name, label, meaning, "", "higher", perfect)

    @property
    def higher(self) -> bool:
        """Whether higher is better."""
        return self.direction == "higher"

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.higher else one < other

    def shortfall(self, value: float) -> float:
        """Return how far a value is from a perfect model's."""
        return self.perfect - value if self.higher else value

    @property
    def shortfall_label(self) -> str:
        """Name of :meth:`shortfall` in a sentence."""
        return f"{self.perfect:g} - {self.label}" if self.higher else self.label


@dataclass(frozen=True)
class Scoreboard:
    """How a task names and ranks its results.

    Attributes:
        metrics: every metric of the task. The first one that a result has ranks it.
        examples: what the training split is counted in, in the plural, such as ``"windows"``.
        baselines: name of each baseline in results -> its name in a sentence.
    """

    metrics: tuple[Metric, ...]
    examples: str
    baselines: Mapping[str, str] = field(default_factory=dict)

    def metric(self, values: Values) -> Metric:
        """Return the metric that ranks these values."""
        return next(metric for metric in self.metrics if metric.name in values)

    def known(self, values: Values) -> list[Metric]:
        """Return the declarations of the metrics in some values."""
        return [metric for metric in self.metrics if metric.name in values]

    def label(self, baseline: str) -> str:
        """Return a baseline's name in a sentence."""
        return self.baselines.get(baseline, baseline)

    def best(self, metric: Metric, baselines: Mapping[str, Values]) -> tuple[str, float]:
        """Return the name and the value of the best baseline."""
        choose = max if metric.higher else min
        name = choose(baselines, key=lambda baseline: baselines[baseline][metric.name])
        return name, baselines[name][metric.name]


_RENAMED = {
    "part": "split",
    "updates": "optimizer_steps",
    "watched": "monitor",
}
"""Keys of results that earlier versions wrote -> today's."""


def renamed_keys(values: object, own: Mapping[str, str] | None = None) -> Any:
    """Return results of an earlier version with today's keys; ``own`` are a task's renames."""
    names = _RENAMED | dict(own or {})
    if isinstance(values, Mapping):
        return {names.get(name, name): renamed_keys(value, own) for name, value in values.items()}
    return [renamed_keys(value, own) for value in values] if isinstance(values, list) else values
