"""Metrics of piano rolls and of events."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from holdfast._typing import Array
from holdfast.tasks.metrics import Metric, Scoreboard
from holdfast.tasks.music.preprocessing import EventSplit, RollSplit

LONGEST_NGRAM = 6
"""Longest n-grams of events that are tried."""

SCOREBOARD = Scoreboard(
    (
        Metric(
            "nll_per_frame",
            "nats per frame",
            "mean surprise at a frame, -ln p of all its keys together; the first frame of a piece is not scored",
            "nats",
        ),
        Metric(
            "nll_per_token",
            "nats per token",
            "mean surprise at a token (bar, position, voice, pitch, velocity, length or end), -ln p",
            "nats",
        ),
        Metric(
            "nll_per_note", "nats per note", "surprise at all tokens, divided by the number of notes", "nats"
        ),
        Metric(
            "perplexity",
            "perplexity",
            "exp(nll_per_token): as if so many tokens were equally likely at each place",
        ),
        Metric.higher_is_better(
            "note_accuracy",
            "note accuracy",
            "share of correct keys among all keys that sounded or were predicted, TP / (TP + FP + FN)",
        ),
    ),
    examples="pieces",
    baselines={
        "marginal": "the frequency of each key",
        "markov": "a first-order Markov model of each key",
        "unigram": "the frequency of each token",
    }
    | {f"kneser_ney_{n}gram": f"Kneser-Ney {n}-grams" for n in range(2, LONGEST_NGRAM + 1)},
)


@dataclass(frozen=True)
class RollPredictions:
    """Predictions for all frames but the first of each piece, in the order of the split.

    Attributes:
        nats: ``-ln p`` of each frame [N].
        keys: keys that are predicted to sound [N, K]: of independent keys those with a probability
            above 1/2; of a chord the likeliest note each time, from the top down.
    """

    nats: Array
    keys: Array


MusicPredictions = RollPredictions | Array
"""Predictions for rolls, or ``-ln p`` of every event [n]."""


def score_rolls(split: RollSplit, predictions: RollPredictions) -> dict[str, float]:
    """Return ``nll_per_frame`` and ``note_accuracy``."""
    sounding = np.concatenate([piece.roll[1:] for piece in split.pieces])
    return {
        "nll_per_frame": float(predictions.nats.mean(dtype=np.float64)),
        "note_accuracy": note_accuracy(predictions.keys, sounding),
    }


def note_accuracy(predicted: Array, sounding: Array) -> float:
    """Return ``TP / (TP + FP + FN)`` of keys [N, K]; 1 where both are empty.

    The definition is that of Bay, Ehmann & Downie (2009), as Boulanger-Lewandowski et al. (2012)
    use it.

    Example:
        >>> predicted, sounding = np.array([[True, True, False]]), np.array([[True, False, True]])
        >>> round(note_accuracy(predicted, sounding), 3)
        0.333
    """
    either = int((predicted | sounding).sum())
    return int((predicted & sounding).sum()) / either if either else 1.0


def score_events(split: EventSplit, nats: Array) -> dict[str, float]:
    """Return the metrics of the nats [n] of every event of a split, with the end of each piece."""
    total = float(nats.sum(dtype=np.float64))
    each = total / split.steps
    return {
        "nll_per_token": each,
        "nll_per_note": total / max(1, split.note_count),
        "perplexity": exp(min(each, 700.0)),
    }
