"""Metrics of language models."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np

from holdfast._typing import Array
from holdfast.decoding.ngram import MAX_ORDER
from holdfast.tasks.language.preprocessing import TextSplit
from holdfast.tasks.metrics import Metric, Scoreboard

SCOREBOARD = Scoreboard(
    (
        Metric("nats_per_token", "nats per token", "mean surprise at each token of the text, -ln p", "nats"),
        Metric(
            "bits_per_char",
            "bits per character",
            "the same in bits, per character of the text (an unknown word is one symbol, however long)",
            "bits",
        ),
        Metric(
            "perplexity",
            "perplexity",
            "exp(nats_per_token): as if so many tokens were equally likely at each place",
        ),
    ),
    examples="tokens",
    baselines={"unigram": "the frequency of each token"}
    | {f"kneser_ney_{n}gram": f"Kneser-Ney {n}-grams" for n in range(2, max(MAX_ORDER.values()) + 2)},
)


def score(split: TextSplit, nats: Array | Sequence[float]) -> dict[str, float]:
    """Return the metrics of the nats [n] of every token of a split."""
    total = float(np.sum(nats, dtype=np.float64))
    mean = total / len(split)
    return {
        "nats_per_token": mean,
        "bits_per_char": total / log(2) / max(split.characters, 1),
        "perplexity": exp(min(mean, 700.0)),
    }
