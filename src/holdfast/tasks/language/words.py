"""The results of language models in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.insight.words import against, best_baseline

EVALUATION = ("task", "part", "model", "baselines", "parameters", "seconds", "units")
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = ("unit", "vocabulary", "encoding", "split")
"""Settings that another command on the same file needs as well."""

METRIC = "nats_per_unit"
MEANINGS = {
    "nats_per_unit": "mean surprise at each unit of the text, -ln p",
    "bits_per_char": "the same in bits, for each character of the text",
    "perplexity": "exp(nats_per_unit): as if so many units were equally likely at each place",
}
HIGHER = ""


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"language, {result['part']} part, {result['units']:,} {result['unit']}s"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best n-gram."""
    own = result["model"][METRIC]
    name, bar = best_baseline(result["baselines"], METRIC)
    unit = result["unit"]
    words = [f"The network needs {own:.4g} nats for each {unit}; {against(own, named(name), bar)}"]
    if "int8" in result:
        words.append(f"In int8 it needs {result['int8'][METRIC]:.4g}.")
    return words


def named(baseline: str) -> str:
    """A simple method in words."""
    if baseline == "unigram":
        return "the frequency of each unit"
    return f"Kneser-Ney {baseline.removeprefix('kneser_ney_').removesuffix('gram')}-grams"


def next_commands(run: str, file: str, asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run."""
    return [
        ["holdfast", "predict", run, "--length", "500", "--temperature", "0.8"],
        ["holdfast", "predict", run, file, "--score", "--out", "surprise.csv"],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "language", file, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
