"""Piano rolls from files, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from holdfast.data.music.piano_roll import KEYS, LOWEST, RollPiece
from holdfast.data.music.pieces import digest, read_pieces, transposed, transposition_range
from holdfast.errors import UserError

C_MAJOR, F_MAJOR = [60, 64, 67], [60, 65, 69]


def roll_of(frames: list[list[int]]) -> np.ndarray:
    roll = np.zeros((len(frames), KEYS), np.uint8)
    for t, pitches in enumerate(frames):
        roll[t, [p - LOWEST for p in pitches]] = 1
    return roll


def cells(*rolls: Any) -> np.ndarray:
    found = np.empty((1, len(rolls)), object)
    for i, roll in enumerate(rolls):
        found[0, i] = roll
    return found


def write_mat(path: Path, **splits: Any) -> Path:
    savemat(path, splits)
    return path


def test_a_mat_file_and_the_json_of_the_same_pieces_are_the_same(tmp_path: Path) -> None:
    tunes = {
        "train": [[C_MAJOR, F_MAJOR, []], [[21], [108]]],
        "valid": [[C_MAJOR] * 3],
        "test": [[[72], [71]]],
    }
    (tmp_path / "a.json").write_text(json.dumps(tunes))
    rolls = {f"{split}data": cells(*map(roll_of, pieces)) for split, pieces in tunes.items()}
    from_mat, from_json = (
        read_pieces(write_mat(tmp_path / "a.mat", **rolls)),
        read_pieces(tmp_path / "a.json"),
    )
    assert list(from_mat) == list(from_json) == ["train", "valid", "test"]
    assert digest(from_mat.values()) == digest(from_json.values())
    first = from_mat["train"][0]
    assert first.roll.dtype == np.bool_ and first.roll.shape == (3, 88)
    assert [(np.flatnonzero(frame) + 21).tolist() for frame in first.roll] == [C_MAJOR, F_MAJOR, []]
    assert np.flatnonzero(from_json["train"][1].roll).tolist() == [0, 88 + 87]
    assert first.name == "traindata{1}" and from_json["valid"][0].name == "valid[0]"


def test_json_may_be_a_plain_list_and_have_whole_numbers_with_a_point(tmp_path: Path) -> None:
    (tmp_path / "a.JSON").write_text("[[[60.0], [62, 65]]]")
    (piece,) = read_pieces(tmp_path / "a.JSON")["whole"]
    assert np.array_equal(piece.roll, roll_of([[60], [62, 65]]))


def test_the_digest_depends_on_splits_lengths_and_notes() -> None:
    a, b = RollPiece("a", roll_of([[60], [61]]).astype(bool)), RollPiece("b", roll_of([[60]]).astype(bool))
    renamed = RollPiece("other name", a.roll)
    assert digest([(a, b)]) == digest([(renamed, b)])
    assert (
        len({digest([(a, b)]), digest([(b, a)]), digest([(a,), (b,)]), digest([(a,)]), digest([(a, a)])}) == 5
    )


@given(st.lists(st.lists(st.integers(0, 87), max_size=4), min_size=1, max_size=5), st.integers(0, 12))
def test_a_transposed_roll_has_every_note_moved_and_none_lost(frames: list[list[int]], most: int) -> None:
    roll = roll_of([[key + LOWEST for key in frame] for frame in frames]).astype(bool)
    low, high = transposition_range(roll, most)
    assert -most <= low <= 0 <= high <= most
    for semitones in (low, high):
        moved = transposed(roll, semitones)
        expected = [sorted({key + semitones for key in frame}) for frame in frames]
        assert [np.flatnonzero(frame).tolist() for frame in moved] == expected
    used = [key for frame in frames for key in frame]
    if used and high < most:
        assert max(used) + high == 87
    if used and -low < most:
        assert min(used) + low == 0


BAD_JSON: dict[str, tuple[str, str]] = {
    "not JSON": ("{", "must be a JSON file"),
    "a number": ("3", "whole is of type int"),
    "text": ('"abc"', "whole is of type str"),
    "an empty object": ("{}", "It has nothing"),
    "an unknown split": ('{"training": []}', "'training'"),
    "a split that is null": ('{"train": null}', "train is nothing"),
    "a split that is an object": ('{"train": {"a": 1}}', "train is of type dict"),
    "a piece that is a number": ('{"train": [3]}', r"train\[0\] in .* is of type int"),
    "a frame that is a number": ("[[[60]], [60, 62]]", r"Frame 0 of whole\[1\] in .* is of type int"),
    "a frame that is nothing": ("[[[60], null]]", r"Frame 1 of whole\[0\] in .* is nothing"),
    "a pitch below the keys": ("[[[60], [20]]]", r"Frame 1 of whole\[0\] in .* has 20"),
    "a pitch above the keys": ("[[[109]]]", "has 109"),
    "a rest written as -1": ("[[[60, -1]]]", "has -1"),
    "half a pitch": ("[[[60.5]]]", r"has 60\.5"),
    "a pitch as text": ('[[["60"]]]', "has '60'"),
    "a true pitch": ("[[[true]]]", "has True"),
    "no number": ("[[[NaN]]]", "has nan"),
    "an endless number": ("[[[Infinity]]]", "has inf"),
    "too deep": ("[" * 100_000, "must be a JSON file"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json(tmp_path: Path, name: str) -> None:
    text, message = BAD_JSON[name]
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_pieces(tmp_path / "bad.json")
    assert "bad.json" in str(caught.value) and caught.value.fix


BAD_MAT: dict[str, tuple[Callable[[Path], object], str]] = {
    "another variable": (lambda p: write_mat(p, rolls=cells(roll_of([[60]]))), "It holds rolls"),
    "no variable": (write_mat, "It holds nothing"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read"),
    "text": (lambda p: p.write_text("no matrices\n" * 20), "cannot be read"),
    "a version 7.3 file": (
        lambda p: p.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(600)),
        "7.3",
    ),
    "other columns": (
        lambda p: write_mat(p, traindata=cells(roll_of([[60]]), np.zeros((4, 87)))),
        r"traindata\{2\} in .* has the shape \(4, 87\)",
    ),
    "keys in rows": (lambda p: write_mat(p, testdata=cells(roll_of([[60]] * 5).T)), r"the shape \(88, 5\)"),
    "velocities": (lambda p: write_mat(p, traindata=cells(roll_of([[60]]) * 100)), "has other values"),
    "no numbers": (lambda p: write_mat(p, traindata=cells(np.full((2, 88), np.nan))), "has other values"),
    "letters": (lambda p: write_mat(p, traindata=cells("abc")), "has the shape"),
    "cells in cells": (
        lambda p: write_mat(p, traindata=cells(cells(*[roll_of([[60]])] * 88))),
        "has other values",
    ),
}


@pytest.mark.parametrize("name", BAD_MAT)
def test_bad_mat(tmp_path: Path, name: str) -> None:
    make, message = BAD_MAT[name]
    make(tmp_path / "bad.mat")
    with pytest.raises(UserError, match=message) as caught:
        read_pieces(tmp_path / "bad.mat")
    assert "bad.mat" in str(caught.value) and caught.value.fix


def test_a_mat_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_mat(tmp_path / "whole.mat", traindata=cells(*[roll_of([C_MAJOR] * 9)] * 4)).read_bytes()
    for size in range(0, len(whole), 97):
        (tmp_path / "cut.mat").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.mat must be a MATLAB file"):
            read_pieces(tmp_path / "cut.mat")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no"):
        read_pieces(tmp_path / "none.mat")


def test_the_chorales_as_published(shared_data: Callable[[str], Path]) -> None:
    splits = read_pieces(shared_data("music/JSB_Chorales.mat"))
    assert {split: len(pieces) for split, pieces in splits.items()} == {"train": 229, "valid": 76, "test": 77}
    assert digest(splits.values()) == digest(
        read_pieces(shared_data("music/jsb-chorales-quarter.json"))[split] for split in splits
    )
