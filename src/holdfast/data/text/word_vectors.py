"""Word vectors from a text file in the format of GloVe, or of word2vec and fastText (with a
header).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.text_files import TextFiles, is_number
from holdfast.errors import UserError


def read_vectors(path: Path, numbers: Mapping[str, int]) -> tuple[Array, Array]:
    """Read the vectors of the words in a vocabulary.

    Each line holds a word and its E numbers, separated by spaces. A first line of two whole numbers
    (word count, E) is skipped.

    Args:
        path: the file, in UTF-8.
        numbers: word -> its id, below V.

    Returns:
        vectors [V, E] (zeros for words that the file lacks), and whether each word was found [V].

    Raises:
        UserError: the vectors differ in size, a value is not a finite number (the error names the
            line), or the file has none of the words.
    """
    size, found = 0, {}
    number = 0
    for chunk in TextFiles.of(Path(path)).chunks():
        for line in chunk.removesuffix("\n").split("\n"):
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
            "The word vectors must cover words of the training texts.",
            f"{path} has none of the {len(numbers):,} words.",
            "Give vectors for the same language, in lower case.",
        )
    vectors, known = np.zeros((max(numbers.values()) + 1, size), np.float32), np.array(sorted(found))
    vectors[known] = np.array([found[n] for n in known.tolist()])
    mask = np.zeros(len(vectors), bool)
    mask[known] = True
    return vectors, mask


def _is_header(fields: list[str]) -> bool:
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _check_size(path: Path, line: int, fields: list[str], size: int) -> None:
    """Check a line's size; extra fields that are not numbers belong to a word with spaces."""
    extra = len(fields) - 1 - size
    if size < 1 or extra < 0 or (extra > 0 and is_number(fields[1])):
        raise UserError(
            f"All vectors in {path} must have the same size ({max(size, 1)}).",
            f"Line {line} has {len(fields) - 1} numbers.",
            "Correct that line, or download the file again.",
        )


def _parsed(path: Path, line: int, fields: list[str]) -> Array:
    try:
        values = np.array([float(field) for field in fields], np.float32)
    except ValueError as error:
        wrong = next(field for field in fields if not is_number(field))
        raise _no_number(path, line, wrong) from error
    if not np.isfinite(values).all():
        raise _no_number(path, line, fields[int((~np.isfinite(values)).argmax())])
    return values


def _no_number(path: Path, line: int, field: str) -> UserError:
    rule = f"Each line of {path} must hold a word and finite numbers."
    return UserError(rule, f"Line {line} has {field!r}.", "Correct that line, or download the file again.")
