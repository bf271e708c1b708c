"""The results of language models in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import Measure, against, otherwise, standings

EVALUATION = ("task", "part", "model", "baselines", "parameters", "seconds", "units", "unit")
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = ("token", "vocabulary", "encoding", "split")
"""Settings that another command on the same file needs as well."""

LONGEST = 9
BASELINES = {"unigram": "the frequency of each unit"} | {
    f"kneser_ney_{n}gram": f"Kneser-Ney {n}-grams" for n in range(2, LONGEST + 1)
}
MEASURE = Measure("nats_per_unit", "nats per unit", "models the text", "units", BASELINES)
MEANINGS = {
    "nats_per_unit": "mean surprise at each unit of the text, -ln p",
    "bits_per_char": "the same in bits, for each character of the text (an unknown word is one symbol, however long)",
    "perplexity": "exp(nats_per_unit): as if so many units were equally likely at each place",
}
WHICH_WAY = "Lower is better."


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"language, {result['part']} part, {result['units']:,} {result['unit']}s"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best n-gram, and what int8, the cache and dynamic evaluation change."""
    own, unit = result["model"][MEASURE.metric], result["unit"]
    bar = against(MEASURE, own, result["baselines"])
    return [f"The network needs {own:.4g} nats for each {unit}; {bar}", *otherwise(MEASURE, result)]


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says."""
    return standings(comparison, MEASURE)


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    return [
        ["holdfast", "predict", run, "--length", "500", "--temperature", "0.8"],
        ["holdfast", "predict", run, files[0], "--score", "--out", "surprise.csv"],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "language", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
