"""Metrics of probabilities for classes, and the temperature that calibrates them.

Shapes: N examples, K classes; probabilities and targets (0 and 1) [N, K].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.metrics import Metric, Scoreboard

_BINS = 15
"""Bins of the calibration error."""

SCOREBOARD = Scoreboard(
    (
        Metric.higher_is_better(
            "accuracy", "accuracy", "share of examples whose label, or all of whose labels, are right"
        ),
        Metric.higher_is_better(
            "macro_f1",
            "macro F1",
            "mean of F1 over the classes: a rare class counts as much as a frequent one",
        ),
        Metric.higher_is_better(
            "auroc",
            "AUROC",
            "probability that an example of a class gets a higher score for it than another example; 0.5 is chance",
        ),
        Metric("ece", "calibration error", "mean distance between confidence and accuracy; 0 is calibrated"),
    ),
    examples="examples",
    baselines={
        "majority": "the most frequent class",
        "bag_of_words": "a bag of words and pairs of words",
        "statistics": "logistic regression on simple statistics",
        "nearest_neighbour": "the nearest neighbor",
    },
)


def probabilities(logits: Array, temperature: float, multiple: bool) -> Array:
    """Return ``softmax(z / T)``, or ``sigmoid(z / T)`` for several classes each: [N, K]."""
    scaled = logits.astype(np.float64) / temperature
    if multiple:
        return np.exp(-np.logaddexp(0.0, -scaled))
    odds = np.exp(scaled - scaled.max(1, keepdims=True))
    found: Array = odds / odds.sum(1, keepdims=True)
    return found


def fit_temperature(logits: Array, targets: Array, multiple: bool) -> float:
    """Return the T in [0.05, 20] with the lowest loss on the targets (Guo et al. 2017).

    The targets are smoothed by ``1 / (N + 2)`` (Platt 1999): N right predictions do not prove that
    none is ever wrong.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    doubt = 1 / (len(targets) + 2)
    smooth = targets * (1 - doubt) + doubt / (2 if multiple else targets.shape[1])

    def loss(log: float) -> float:
        return surprise(probabilities(logits, float(np.exp(log)), multiple), smooth, multiple)

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def surprise(found: Array, targets: Array, multiple: bool) -> float:
    """Return the sum of ``-log p`` of the targets; of several classes also of the absent ones."""
    clipped = np.clip(found, 1e-12, 1 - 1e-12)
    other = (1 - targets) * np.log(1 - clipped) if multiple else 0.0
    return -float((targets * np.log(clipped) + other).sum())


def decisions(found: Array, multiple: bool) -> Array:
    """Return the likeliest class, or of several those above 0.5, as 0 and 1: [N, K]."""
    chosen: Array = found > 0.5 if multiple else np.arange(found.shape[1]) == found.argmax(1)[:, None]
    return chosen


def score(found: Array, targets: Array, multiple: bool) -> dict[str, float]:
    """Return ``accuracy``, ``macro_f1``, ``ece``; ``auroc`` if each class has both outcomes.

    Where an example may have several classes, accuracy counts it only if all are right; the others
    are class means.
    """
    metrics = load_extra("sklearn.metrics", "text")
    chosen, truth = decisions(found, multiple), targets > 0.5
    result = {
        "accuracy": float((chosen == truth).all(1).mean()),
        "macro_f1": float(metrics.f1_score(truth, chosen, average="macro", zero_division=0.0)),
    }
    if (truth.any(0) & ~truth.all(0)).all():
        result["auroc"] = float(metrics.roc_auc_score(truth, found, average="macro"))
    return result | {"ece": reliability(found, targets, multiple).ece}


def by_class(
    found: Array, targets: Array, classes: Sequence[str], multiple: bool
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and the number of examples of each class."""
    chosen, truth = decisions(found, multiple), targets > 0.5
    table = load_extra("sklearn.metrics", "text").precision_recall_fscore_support(
        truth, chosen, zero_division=0.0
    )
    names = ("precision", "recall", "f1", "examples")
    return {
        name: dict(zip(names, map(float, row), strict=True))
        for name, row in zip(classes, zip(*table, strict=True), strict=True)
    }


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in :data:`_BINS` equal bins: means and counts [BINS]."""

    confidence: Array
    right: Array
    count: Array

    @property
    def ece(self) -> float:
        """Expected calibration error: ``sum_b n_b / n |right_b - confidence_b|``."""
        return float((self.count * np.abs(self.right - self.confidence)).sum() / max(self.count.sum(), 1))


def reliability(found: Array, targets: Array, multiple: bool) -> Reliability:
    """Return the reliability of the likeliest class, or with several labels of every class."""
    if multiple:
        confidence, right = found.ravel(), targets.ravel() > 0.5
    else:
        confidence = found.max(1)
        right = targets[np.arange(len(found)), found.argmax(1)] > 0.5
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    count = np.bincount(places, minlength=_BINS)
    shares = [
        np.bincount(places, values, _BINS) / np.maximum(count, 1)
        for values in (confidence, right.astype(float))
    ]
    return Reliability(shares[0], shares[1], count)


def confusion(found: Array, targets: Array) -> Array:
    """Return how many examples of each class (row) got each prediction (column): [K, K]."""
    counts = np.zeros((targets.shape[1],) * 2, np.int64)
    np.add.at(counts, (targets.argmax(1), found.argmax(1)), 1)
    return counts
