"""How recognised sentences are scored: word and character error rate, by the library jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.errors import missing_library
from holdfast.tasks.speech.tokenizer import spaced


def scores(found: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """``wer`` and ``cer`` with the shares of words that were replaced, inserted and left out, and ``accuracy``.

    ``wer = (S + D + I) / N`` over all sentences together, N the words that were said; ``accuracy`` is the share of
    sentences in which all is right.

    Example:
        >>> figures = scores(["one two", "three"], ["one to", "three"])
        >>> round(figures["wer"], 3), figures["substitutions"] == figures["wer"], figures["accuracy"]
        (0.333, True, 0.5)
    """
    library = _jiwer()
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
    """The fewest units to replace, insert and leave out, by the library rapidfuzz, which jiwer stands on."""
    _jiwer()
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(found, wanted))


def _jiwer() -> Any:
    try:
        import jiwer
    except ModuleNotFoundError as error:
        raise missing_library(error, "speech") from error
    return jiwer
