"""The results of classifiers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.legacy_summary import Measure, against, otherwise, standings

EVALUATION = ("task", "split", "model", "baselines", "parameters", "seconds", "examples")
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = (
    "text",
    "series",
    "step",
    "channels",
    "label",
    "separator",
    "token",
    "vocabulary",
    "vectors",
    "max_length",
    "encoding",
    "split",
)
"""Settings that another command on the same file needs as well."""

BASELINES = {
    "majority": "the most frequent class",
    "bag_of_words": "a bag of words and pairs",
    "statistics": "logistic regression on simple statistics",
    "nearest_neighbour": "the nearest neighbour",
}
MEASURE = Measure("accuracy", "accuracy", "classifies", "examples", BASELINES, highest=1.0)
MEANINGS = {
    "accuracy": "share of examples whose label, or all of whose labels, are right",
    "macro_f1": "mean over the classes of F1: a rare class counts as much as a frequent one",
    "auroc": "probability that an example of a class gets more of it than another one; 0.5 is a coin's",
    "ece": "mean distance between how sure the model is and how often it is right; 0 is honest",
}
WHICH_WAY = "Higher is better, but for ece."


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"classify, {result['split']} split, {result['examples']:,} examples"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best baseline, what int8 changes, and how honest its probabilities are."""
    own, error = result["model"][MEASURE.metric], result["model"]["ece"]
    bar = against(MEASURE, own, result["baselines"])
    return [
        f"On {result['examples']:,} examples the network's accuracy is {own:.4g}; {bar}",
        *otherwise(MEASURE, result),
        f"Its probabilities are {error:.1%} away from how often it is right.",
    ]


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says."""
    return standings(comparison, MEASURE)


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    return [
        ["holdfast", "predict", run, files[0], "--out", "labels.csv"],
        ["holdfast", "predict", run, files[0], "--weights", "--out", "weights.csv"],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "classify", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
