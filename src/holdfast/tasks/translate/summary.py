"""The results of translators in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.legacy_summary import Measure, against, otherwise, standings

EVALUATION = (
    "task",
    "split",
    "model",
    "baselines",
    "parameters",
    "seconds",
    "sentences",
    "signatures",
)
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = (
    "pair",
    "source_field",
    "target_field",
    "encoding",
    "lower",
    "token",
    "vocabulary",
    "split",
)
"""Settings that another command on the same file needs as well."""

BASELINES = {"copy": "the source as it stands", "word_by_word": "each word's likeliest translation"}
MEASURE = Measure("bleu", "BLEU", "translates", "pairs", BASELINES, highest=100.0)
MEANINGS = {
    "bleu": "share of the runs of 1 to 4 words that stand in the reference too, less for short translations: 0 to 100",
    "chrf": "F score of the runs of 1 to 6 characters that translation and reference share: 0 to 100",
    "perplexity": "as if so many units were equally likely at each place of the reference",
}
WHICH_WAY = "Higher is better, but for perplexity; that of other units cannot be compared."


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"translate, {result['split']} split, {result['sentences']:,} sentences"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best simple method, how BLEU was computed, and what int8 changes."""
    own = result["model"][MEASURE.metric]
    found = f"The network's BLEU is {own:.1f}; {against(MEASURE, own, result['baselines'])}"
    return [found, f"BLEU by sacrebleu: {result['signatures']['bleu']}.", *otherwise(MEASURE, result)]


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says."""
    return standings(comparison, MEASURE)


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    return [
        ["holdfast", "predict", run, "SENTENCES.txt", "--plot", "attention.png"],
        ["holdfast", "predict", run, "SENTENCES.txt", "--beam", "5", "--n-best", "3"],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "translate", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
