"""Sentence pairs from files: reading, refusals, and splits that share no sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.text.parallel import (
    ParallelFormat,
    SentencePairs,
    language_pair,
    read_lines,
    sentence_groups,
    split_pairs,
)
from holdfast.errors import UserError

PAIRS = [("ein Hund", "a dog"), ("zwei Katzen", "two cats")]


def parallel(
    folder: Path, *, source: str = "ein Hund\nzwei Katzen\n", target: str = "a dog\ntwo cats\n"
) -> Path:
    (folder / "train.de").write_text(source)
    (folder / "train.en").write_text(target)
    return folder / "train"


def table(folder: Path, text: str, name: str = "pairs.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_parallel_files(tmp_path: Path) -> None:
    pairs, notes = ParallelFormat(pair="de-en").read(parallel(tmp_path))
    assert list(pairs) == PAIRS and notes == ()
    assert list(ParallelFormat(pair="en-de").read(tmp_path / "train")[0]) == [(t, s) for s, t in PAIRS]


def test_a_prefix_may_hold_a_dot(tmp_path: Path) -> None:
    (tmp_path / "test.2016.de").write_text("ein\n")
    (tmp_path / "test.2016.en").write_text("one\n")
    assert list(ParallelFormat(pair="de-en").read(tmp_path / "test.2016")[0]) == [("ein", "one")]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("ein Hund\ta dog\nzwei Katzen\ttwo cats\n", ParallelFormat()),
        ("a dog\tein Hund\r\ntwo cats\tzwei Katzen", ParallelFormat(source="2", target="1")),
        (
            "de\tx\ten\nein Hund\t0\ta dog\nzwei Katzen\t0\ttwo cats\n",
            ParallelFormat(source="de", target="en"),
        ),
        ("\nein Hund\ta dog\n\nzwei Katzen\ttwo cats\n", ParallelFormat()),
    ],
)
def test_tables(tmp_path: Path, text: str, layout: ParallelFormat) -> None:
    assert list(layout.read(table(tmp_path, text))[0]) == PAIRS


def test_json_lines(tmp_path: Path) -> None:
    rows = [json.dumps({"de": s, "en": t, "more": 1}) for s, t in PAIRS]
    path = table(tmp_path, "\n".join([*rows, ""]), "pairs.jsonl")
    assert list(ParallelFormat(source="de", target="en").read(path)[0]) == PAIRS


def test_a_byte_order_mark_and_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "mark.tsv").write_bytes(b"\xef\xbb\xbfein\tone\n")
    assert list(ParallelFormat().read(tmp_path / "mark.tsv")[0]) == [("ein", "one")]
    (tmp_path / "latin.tsv").write_bytes("Tür\tdoor\n".encode("latin-1"))
    assert list(ParallelFormat(encoding="latin-1").read(tmp_path / "latin.tsv")[0]) == [("Tür", "door")]


def test_pairs_without_a_side_are_dropped_and_reported(tmp_path: Path) -> None:
    pairs, notes = ParallelFormat(pair="de-en").read(
        parallel(tmp_path, source="ein Hund\n\nzwei\n", target="a dog\nx\n\n")
    )
    assert list(pairs) == PAIRS[:1]
    assert notes == ("train: 2 pairs lack a side and are left out",)


BAD: dict[str, tuple[Callable[[Path], Path], ParallelFormat, str]] = {
    "different numbers of lines": (
        lambda f: parallel(f, target="a dog\n"),
        ParallelFormat(pair="de-en"),
        r"train\.de has 2 lines and .*train\.en has 1",
    ),
    "one more empty line": (
        lambda f: parallel(f, target="a dog\ntwo cats\n\n"),
        ParallelFormat(pair="de-en"),
        r"has 2 lines and .* has 3",
    ),
    "a wrong pair": (
        parallel,
        ParallelFormat(pair="de-fr"),
        r"There is no .*train\.fr.*train\.de, train\.en",
    ),
    "no pair at all": (parallel, ParallelFormat(pair="deen"), "'deen'"),
    "twice the same": (parallel, ParallelFormat(pair="de-de"), "'de-de'"),
    "parallel files without a pair": (parallel, ParallelFormat(), "There is no .*train"),
    "an ending too much": (
        lambda f: parallel(f).with_suffix(".en"),
        ParallelFormat(pair="de-en"),
        r"train\.en\.de",
    ),
    "a prefix without files": (lambda f: f / "tren", ParallelFormat(pair="de-en"), r"There is no .*tren\.de"),
    "a prefix in no folder": (lambda f: f / "none" / "train", ParallelFormat(pair="de-en"), "There is no"),
    "no such table": (lambda f: f / "none.tsv", ParallelFormat(), "There is no"),
    "a folder": (lambda f: f, ParallelFormat(), "is a folder"),
    "an empty file": (lambda f: table(f, ""), ParallelFormat(), "holds none"),
    "only empty lines": (lambda f: table(f, "\n\n\n"), ParallelFormat(), "holds none"),
    "only empty lines on one side": (
        lambda f: parallel(f, source="\n\n"),
        ParallelFormat(pair="de-en"),
        "holds none",
    ),
    "one column": (lambda f: table(f, "ein Hund\nzwei\n"), ParallelFormat(), "Line 1 of .* has only one"),
    "a line of one column": (lambda f: table(f, "ein\tone\nzwei\n"), ParallelFormat(), "Line 2 has 1"),
    "one column for both": (lambda f: table(f, "a\tb\n"), ParallelFormat(source="2"), "Both were column 2"),
    "no such column": (
        lambda f: table(f, "ein\tone\n"),
        ParallelFormat(source="3"),
        "from 1 to 2 here. It was 3",
    ),
    "column nought": (lambda f: table(f, "ein\tone\n"), ParallelFormat(source="0"), "It was 0"),
    "no such name": (
        lambda f: table(f, "de\ten\nein\tone\n"),
        ParallelFormat("", "fr", "en"),
        "not one of them",
    ),
    "bad JSON": (
        lambda f: table(f, '{"source": "a", "target": "b"}\n{"source": \n', "x.jsonl"),
        ParallelFormat(),
        "Line 2 is not JSON",
    ),
    "JSON that is a list": (lambda f: table(f, "[1]\n", "x.jsonl"), ParallelFormat(), "Line 1 holds a list"),
    "a missing field": (
        lambda f: table(f, '{"source": "a"}\n', "x.jsonl"),
        ParallelFormat(),
        "Line 1 has no 'target'",
    ),
    "a number for a text": (
        lambda f: table(f, '{"source": "a", "target": 3}\n', "x.jsonl"),
        ParallelFormat(),
        "Line 1 has target = 3",
    ),
    "binary": (lambda f: table(f, "ein\tone\nzw\0ei\ttwo\n"), ParallelFormat(), "Line 2 of .* zero byte"),
    "an unknown encoding": (lambda f: table(f, "a\tb\n"), ParallelFormat(encoding="utf-9"), "'utf-9'"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_in_files_are_reported(tmp_path: Path, name: str) -> None:
    make, layout, message = BAD[name]
    layout = ParallelFormat(layout.pair or None, layout.source, layout.target, layout.encoding)
    with pytest.raises(UserError, match=message) as caught:
        layout.read(make(tmp_path))
    assert caught.value.fix


def test_errors_say_how_to_pass_parallel_files(tmp_path: Path) -> None:
    data = parallel(tmp_path)
    with pytest.raises(UserError) as caught:
        ParallelFormat().read(data)
    assert "--pair de-en" in caught.value.fix
    with pytest.raises(UserError) as caught:
        ParallelFormat(pair="de-en").read(data.with_suffix(".en"))
    assert caught.value.fix == f"Leave the ending off: {data}."


def test_a_wrong_encoding_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "latin.tsv").write_bytes(b"ein\tone\nT\xfcr\tdoor\n")
    with pytest.raises(UserError, match="Line 2"):
        ParallelFormat().read(tmp_path / "latin.tsv")


def test_lines_keep_empty_ones(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one \n\n two\n\n")
    assert read_lines(tmp_path / "x.txt", "utf-8") == ["one", "", "two", ""]
    assert language_pair("de-en") == ("de", "en")


SENTENCES = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("ABCDEFGH")), min_size=1, max_size=20
)


@given(rows=SENTENCES)
def test_groups_are_the_connected_parts(rows: list[tuple[str, str]]) -> None:
    found = sentence_groups(SentencePairs.of(rows)).tolist()
    same = [[a[0] == b[0] or a[1] == b[1] for b in rows] for a in rows]
    for _ in rows:  # closure by brute force
        same = [[any(x and same[k][j] for k, x in enumerate(row)) for j in range(len(rows))] for row in same]
    for i in range(len(rows)):
        for j in range(len(rows)):
            assert (found[i] == found[j]) == same[i][j]


@given(rows=SENTENCES, valid=st.integers(1, 3), test=st.integers(0, 3), seed=st.integers(0, 9))
def test_no_sentence_is_in_two_splits(rows: list[tuple[str, str]], valid: int, test: int, seed: int) -> None:
    pairs = SentencePairs.of(rows)
    parts = split_pairs(pairs, [valid, test], seed)
    assert sorted(pair for part in parts for pair in part) == sorted(rows)
    for side in ("sources", "targets"):
        seen = [set(getattr(part, side)) for part in parts]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert len(set(parts[1].targets)) <= valid and len(set(parts[2].targets)) <= test
    assert [list(part) for part in split_pairs(pairs, [valid, test], seed)] == [list(part) for part in parts]


def test_splits_have_the_requested_size_if_sentences_differ() -> None:
    pairs = SentencePairs.of((f"s{i}", f"t{i}") for i in range(100))
    assert [len(part) for part in split_pairs(pairs, [10, 20], seed=3)] == [70, 10, 20]
    assert split_pairs(pairs, [10, 20], seed=3)[1] != split_pairs(pairs, [10, 20], seed=4)[1]
