"""Features of the time steps of a sequence, which a unit of a network may track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer

_OPEN, _CLOSE = "([{", ")]}"
_QUOTES = '"“”«»'


def of_characters(text: str) -> dict[str, Array]:
    """Return name -> [T] for a text read by character, including constant features.

    Positions count from 1 and restart after a line break, a blank line, or white space.

    Example:
        >>> found = of_characters("Hi (you)\\nall")
        >>> found["position in the line"].astype(int).tolist()
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]
        >>> found["inside brackets"].astype(int).tolist()
        [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    """
    return {
        "position in the line": _since(text, [c == "\n" for c in text]),
        "position in the paragraph": _since(text, _blank_lines(text)),
        "position in the word": np.where(
            [c.isspace() for c in text], 0.0, _since(text, [c.isspace() for c in text])
        ),
        "speaker's name": _speakers(text),
        "inside quotes": _quotes(list(text)),
        "inside brackets": _brackets(list(text)),
        "capital letter": _flags([c.isupper() for c in text]),
        "digit": _flags([c.isdigit() for c in text]),
        "white space": _flags([c.isspace() for c in text]),
    }


def of_words(words: Sequence[str]) -> dict[str, Array]:
    """Return name -> [T] for a text read by word or subword, as :func:`of_characters`; sentences
    end with ``. ! ?``.
    """
    ends = [word.strip().endswith((".", "!", "?", "<eos>", "\n")) for word in words]
    return {
        "position in the sentence": _since(words, ends),
        "position in the text": np.arange(1.0, len(words) + 1),
        "inside quotes": _quotes(words),
        "inside brackets": _brackets(words),
        "length of the word": np.array([float(len(word.strip())) for word in words]),
        "punctuation": _flags([not any(c.isalnum() for c in word) for word in words]),
    }


def of_tokens(ids: Sequence[int] | Array, tokenizer: Tokenizer) -> dict[str, Array]:
    """Return name -> [T] for the tokens of a text, with constant features and unknown tokens."""
    numbers = [int(i) for i in ids]
    if tokenizer.kind in ("character", "byte"):
        found = of_characters("".join((tokenizer.decode([i]) or " ")[0] for i in numbers))
    else:
        found = of_words([tokenizer.token(i) for i in numbers])
    return found | {f"unknown {tokenizer.kind}": _flags([i == tokenizer.unknown for i in numbers])}


def labels(ids: Sequence[int] | Array, tokenizer: Tokenizer) -> list[str]:
    """Return a label for each token: a letter or white space is itself; others have a name."""
    numbers = [int(i) for i in ids]
    letters = [tokenizer.decode([i]) if tokenizer.kind in ("character", "byte") else "" for i in numbers]
    return [
        letter if len(letter) == 1 and letter != "\N{REPLACEMENT CHARACTER}" else tokenizer.token(i)
        for letter, i in zip(letters, numbers, strict=True)
    ]


def since(begins: Sequence[bool] | Array) -> Array:
    """Return 1, 2, 3, ... [T], restarting at each begin.

    Example:
        >>> since([True, False, True, False, False]).astype(int).tolist()
        [1, 2, 1, 2, 3]
    """
    return _since(list(begins), [*list(begins)[1:], False])


def changes(values: Array) -> Array:
    """Return the difference of each value [T] from the previous one; NaN at the first."""
    return np.diff(np.asarray(values, np.float64), prepend=np.nan)


def changing(features: Mapping[str, Array]) -> dict[str, Array]:
    """Return the features that take more than one value."""
    known = {name: values[np.isfinite(values)] for name, values in features.items()}
    return {name: features[name] for name, own in known.items() if own.size and np.ptp(own) > 0}


def side_by_side(each: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Stack features of B sequences to [T, B], NaN after each end; constant features are dropped.

    Example:
        >>> side_by_side([{"a": np.array([1.0, 2.0])}, {"a": np.array([3.0])}])["a"].tolist()
        [[1.0, 3.0], [2.0, nan]]
    """
    found = {}
    for name in each[0]:
        own = [features[name] for features in each]
        found[name] = np.full((max(map(len, own)), len(own)), np.nan)
        for column, values in enumerate(own):
            found[name][: len(values), column] = values
    return changing(found)


def _flags(values: Sequence[bool]) -> Array:
    return np.array(values, dtype=np.float64)


def _since(steps: Sequence[object], ends: Sequence[bool]) -> Array:
    """Return 1, 2, 3, ..., restarting after each end."""
    found, count = np.zeros(len(steps)), 0
    for place, end in enumerate(ends):
        count += 1
        found[place] = count
        count = 0 if end else count
    return found


def _blank_lines(text: str) -> list[bool]:
    return [c == "\n" and text[max(place - 1, 0) : place] == "\n" for place, c in enumerate(text)]


def _speakers(text: str) -> Array:
    """Return 1 in a short line that ends with a colon, after a blank line or at the start."""
    found, place, before = np.zeros(len(text)), 0, "\n"
    for line in text.splitlines(keepends=True):
        if not before.strip() and line.rstrip().endswith(":") and len(line) < 40:
            found[place : place + len(line)] = 1.0
        place, before = place + len(line), line
    return found


def _quotes(tokens: Sequence[str]) -> Array:
    found, inside = np.zeros(len(tokens)), False
    for place, token in enumerate(tokens):
        turns = sum(token.count(quote) for quote in _QUOTES)
        found[place] = inside or turns > 0
        inside ^= turns % 2 == 1
    return found


def _brackets(tokens: Sequence[str]) -> Array:
    found, depth = np.zeros(len(tokens)), 0
    for place, token in enumerate(tokens):
        depth += sum(token.count(c) for c in _OPEN)
        found[place] = depth > 0
        depth = max(0, depth - sum(token.count(c) for c in _CLOSE))
    return found
