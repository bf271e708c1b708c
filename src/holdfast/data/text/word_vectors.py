"""Word vectors from a text file: GloVe's format, and that of word2vec and fastText, which has a header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError


def read_vectors(path: Path, numbers: Mapping[str, int]) -> tuple[Array, Array]:
    """The vectors of known words.

    Each line holds a word and its E numbers, with spaces between; a first line of two whole numbers (how many words, E)
    is passed over.

    Args:
        path: the file, in UTF-8.
        numbers: word -> its number, below V.

    Returns:
        vectors [V, E] (zeros where the file lacks a word), and whether each was found [V].

    Raises:
        UserError: vectors of different sizes, something that is no number (with its line), or none of the words there.
    """
    size, found = 0, {}
    number = 0
    for piece in TextFiles.of(Path(path)).chunks():
        for line in piece.removesuffix("\n").split("\n"):
            number += 1
            fields = line.rstrip().split(" ")
            if (number == 1 and _is_header(fields)) or not line.strip():
                continue
            size = size or len(fields) - 1
            word = " ".join(fields[:-size]) if size and len(fields) > size else fields[0]
            _check_size(path, number, fields, size)
            if word in numbers:
                found[numbers[word]] = _parsed(path, number, fields[-size:])
    if not found:
        raise UserError(
            "A file of word vectors holds words of the training texts.",
            f"{path} holds none of {len(numbers):,}.",
            "Give vectors of the same language, in lower case.",
        )
    vectors, known = np.zeros((max(numbers.values()) + 1, size), np.float32), np.array(sorted(found))
    vectors[known] = np.array([found[n] for n in known.tolist()])
    mask = np.zeros(len(vectors), bool)
    mask[known] = True
    return vectors, mask


def _is_header(fields: list[str]) -> bool:
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _check_size(path: Path, line: int, fields: list[str], size: int) -> None:
    """A word may hold spaces, where what is too much is no number."""
    extra = len(fields) - 1 - size
    if size < 1 or extra < 0 or (extra > 0 and _is_number(fields[1])):
        raise UserError(
            f"All vectors of {path} have the same size ({max(size, 1)}).",
            f"Line {line} has {len(fields) - 1} numbers.",
            "Correct that line, or take the file anew.",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parsed(path: Path, line: int, fields: list[str]) -> Array:
    try:
        values = np.array([float(field) for field in fields], np.float32)
    except ValueError as error:
        wrong = next(field for field in fields if not _is_number(field))
        raise _no_number(path, line, wrong) from error
    if not np.isfinite(values).all():
        raise _no_number(path, line, fields[int((~np.isfinite(values)).argmax())])
    return values


def _no_number(path: Path, line: int, field: str) -> UserError:
    rule = f"Behind the word, each line of {path} holds finite numbers."
    return UserError(rule, f"Line {line} has {field!r}.", "Correct that line, or take the file anew.")
