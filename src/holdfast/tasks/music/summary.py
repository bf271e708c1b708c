"""The results of composers in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.legacy_summary import Measure, against, otherwise, standings

EVALUATION = ("task", "split", "model", "baselines", "parameters", "seconds", "pieces", "steps", "unit")
"""What ``evaluate --json`` prints."""

ABOUT_THE_DATA = ("split", "steps_per_beat", "model")
"""Settings that another command on the same file needs as well."""

BASELINES = {
    "marginal": "how often each key sounds",
    "markov": "each key by whether it sounded just before",
}
_EVENT_BASELINES = {"unigram": "the frequency of each token"} | {
    f"kneser_ney_{n}gram": f"Kneser-Ney {n}-grams" for n in range(2, 7)
}
_EVENT_MEASURE = Measure("nll_per_token", "nats per token", "models the music", "pieces", _EVENT_BASELINES)
MEASURE = Measure(
    "nll_per_frame", "nats per frame", "models the music", "pieces", BASELINES, other=_EVENT_MEASURE
)
MEANINGS = {
    "nll_per_frame": "mean surprise at a frame, -ln p of all its keys together; a piece's first is not scored",
    "nll_per_token": "mean surprise at a token, -ln p: bar, position, voice, pitch, velocity, length, end",
    "nll_per_note": "the surprise at all tokens, divided by the number of notes",
    "perplexity": "exp(nll_per_token): as if so many tokens were equally likely at each place",
    "note_accuracy": "sounding keys that were foretold, of all that sounded or were foretold, TP / (TP + FP + FN)",
}
WHICH_WAY = "Surprise: lower is better. Accuracy: higher is better."


def title(result: Mapping[str, Any]) -> str:
    """What was scored."""
    return f"music, {result['split']} split, {result['steps']:,} {result['unit']}s of {result['pieces']:,} pieces"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The model against the best simple method, and what int8 changes."""
    measure = MEASURE.of(result["model"])
    own = result["model"][measure.metric]
    bar = against(measure, own, result["baselines"])
    return [f"The network needs {own:.4g} nats for each {result['unit']}; {bar}", *otherwise(measure, result)]


def conclusions(comparison: Comparison) -> list[str]:
    """What a comparison of cells says."""
    return standings(comparison, MEASURE.of(comparison.runs[0]["model"]))


def next_commands(run: str, files: list[str], asked: list[str]) -> list[list[str]]:
    """What makes sense after a training run on these files: the data, and flags for the others."""
    piece = ["--midi", "piece.mid", "--plot", "piece.png", "--wav", "piece.wav"]
    return [
        ["holdfast", "predict", run, "--bars", "16", *piece],
        ["holdfast", "predict", run, "PRIMER.mid", "--primer-bars", "4", *piece],
        ["holdfast", "evaluate", run, "--json"],
        ["holdfast", "compare", "music", *files, *asked, "--cells", "rnn,gru,lstm", "--seeds", "3"],
    ]
