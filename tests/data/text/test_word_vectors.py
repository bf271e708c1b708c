"""Word vectors from text files, with and without a header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast.data.text.word_vectors import read_vectors
from holdfast.errors import UserError

NUMBERS = {"<unk>": 0, "cat": 1, "new york": 2, "dog": 3}


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_known_words_get_their_vectors(tmp_path: Path, header: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(f"{header}cat 1 2 3\nline\u2028end 1 2 3\nbird 0 0 0\nnew york .5 -1e-1 7\n\n. . 1 1 1\n")
    vectors, known = read_vectors(path, NUMBERS)
    expected = np.array([[0, 0, 0], [1, 2, 3], [0.5, -0.1, 7], [0, 0, 0]], np.float32)
    assert np.array_equal(vectors, expected) and known.tolist() == [False, True, True, False]
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2 3\ndog 1 2\n", r"the same size \(3\)\. Line 2 has 2 numbers"),
        ("2 3\ncat 1 2 3\ndog 1 2 3 4\n", r"the same size \(3\)\. Line 3 has 4 numbers"),
        ("cat 1 2 x\n", "finite numbers. Line 1 has 'x'"),
        ("2 2\ncat 1 2\ndog nan 2\n", "Line 3 has 'nan'"),
        ("cat\n", "Line 1 has 0 numbers"),
        ("bird 1 2\n", "has none of the 4"),
        ("", "has none of the 4"),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_vectors(path, NUMBERS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no"):
        read_vectors(tmp_path / "v.txt", NUMBERS)
