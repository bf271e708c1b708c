"""Metrics of speech recognition: word and character error rate, computed by the library jiwer."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.optional_imports import load_extra
from holdfast.tasks.metrics import Metric, Scoreboard
from holdfast.tasks.speech.tokenizer import spaced

SCOREBOARD = Scoreboard(
    (
        Metric(
            "wer", "word error rate", "words substituted, deleted and inserted per spoken word (0 is perfect)"
        ),
        Metric("cer", "character error rate", "the same for characters, spaces included"),
        Metric.higher_is_better("accuracy", "accuracy", "share of utterances with every word right"),
        Metric("substitutions", "substitutions", "words substituted per spoken word"),
        Metric("deletions", "deletions", "words deleted per spoken word"),
        Metric("insertions", "insertions", "words inserted per spoken word"),
        Metric(
            "real_time_factor",
            "real-time factor",
            "seconds of computing per second of sound, from the file to the text, with this number of threads",
        ),
    ),
    examples="utterances",
    baselines={
        "most_frequent": "the most frequent training sentence",
        "nearest_template": "the nearest training word by dynamic time warping",
    },
)


def score(found: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Return the metrics of recognized sentences.

    ``wer = (S + D + I) / N`` counts substitutions, deletions and insertions over all sentences
    together; N is the number of spoken words. ``accuracy`` is the share of sentences in which all
    is right.

    Example:
        >>> found = score(["one two", "three"], ["one to", "three"])
        >>> round(found["wer"], 3), found["substitutions"] == found["wer"], found["accuracy"]
        (0.333, True, 0.5)
    """
    library = load_extra("jiwer", "speech")
    pairs = [(spaced(said), spaced(text)) for said, text in zip(wanted, found, strict=True)]
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    words = library.process_words(references, hypotheses)
    count = words.hits + words.substitutions + words.deletions
    return {
        "wer": float(words.wer),
        "cer": float(library.process_characters(references, hypotheses).cer),
        "accuracy": sum(said == text for said, text in pairs) / len(pairs),
        "substitutions": words.substitutions / count,
        "deletions": words.deletions / count,
        "insertions": words.insertions / count,
    }


def edits(found: Sequence[int], wanted: Sequence[int]) -> int:
    """Return the edit distance of two token sequences, by rapidfuzz, which jiwer uses."""
    return int(load_extra("rapidfuzz.distance", "speech").Levenshtein.distance(found, wanted))
