"""The results of speech recognisers in words."""

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
    "utterances",
    "words",
    "sound_seconds",
    "threads",
)
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = (
    "path_field",
    "text_field",
    "speaker_field",
    "encoding",
    "rate",
    "bands",
    "normalize",
    "token",
    "vocabulary",
    "split",
    "hold_out",
)
"""Settings that another command on the same files needs as well."""

BASELINES = {
    "most_frequent": "the most frequent training sentence",
    "nearest_template": "the training word nearest by dynamic time warping",
}
MEASURE = Measure("wer", "word error rate", "recognises", "utterances", BASELINES)
MEANINGS = {
    "wer": "word error rate: words replaced, left out and inserted, for each word that was said (0 is best)",
    "cer": "the same of characters, spaces counted",
    "accuracy": "share of the utterances in which every word is right",
    "substitutions": "words that were replaced, for each word that was said",
    "deletions": "words that were left out, for each word that was said",
    "insertions": "words that were inserted, for each word that was said",
    "real_time_factor": "seconds of computing on so many threads for each second of sound, from the file to the text",
}
WHICH_WAY = "Lower is better, but for accuracy."


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return (
        f"speech, {result['split']} split, {result['utterances']:,} utterances, {result['words']:,} words, "
        f"{result['sound_seconds']:,.0f} s"
    )


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best simple method, how fast it is, and what other ways to decode change."""
    own = result["model"]
    found = f"The network's word error rate is {own['wer']:.2%} ({own['accuracy']:.2%} of the utterances are right); "
    speed = f"A second of sound takes {own['real_time_factor']:.3g} s (threads: {result['threads']})."
    return [found + against(MEASURE, own["wer"], result["baselines"]), speed, *otherwise(MEASURE, result)]


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says."""
    return standings(comparison, MEASURE)


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    return [
        ["holdfast", "predict", run, "SOUND.wav", "--times", "--plot", "words.png"],
        ["holdfast", "predict", run, "FOLDER", "--lm", "ngram"],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "speech", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
