"""Text from files, and its tokens as numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.data.text import text_files as texts
from holdfast.data.text.text_files import TextFiles, characters_between
from holdfast.data.text.tokenizers import (
    LINE_END,
    TOKENIZERS,
    UNKNOWN,
    WordTokenizer,
    encode_known,
    tokenizer_from_dict,
    tokenizer_to_dict,
)
from holdfast.errors import UserError

CORPUS = "the cat sat on the mat\nthe dog sat on the log\n\nÄpfel kosten 3 €\n"
lines = st.lists(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))).map("\n".join)


def fitted(kind: str, most: int | None = None) -> Any:
    return TOKENIZERS[kind].fit([CORPUS], most)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_is_decoded_back(kind: str) -> None:
    tokenizer = fitted(kind)
    ids = tokenizer.encode(CORPUS)
    assert ids.min() >= 0 and ids.max() < tokenizer.size
    back = tokenizer.decode(ids)
    assert back.split() == CORPUS.split() and (kind == "word" or back == CORPUS)
    again = tokenizer_from_dict(tokenizer_to_dict(tokenizer), Path("data.json"))
    assert (again.kind, again.size, again.begin, again.unknown) == (
        kind,
        tokenizer.size,
        tokenizer.begin,
        tokenizer.unknown,
    )
    np.testing.assert_array_equal(again.encode(CORPUS), ids)


@given(lines)
@settings(max_examples=60, deadline=None)
def test_bytes_and_subwords_encode_every_text(text: str) -> None:
    for kind in ("byte", "subword"):
        tokenizer = fitted(kind)
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(lines)
@settings(max_examples=60, deadline=None)
def test_unknown_characters_are_one_token(text: str) -> None:
    tokenizer = fitted("character")
    expected = "".join(c if c in CORPUS else "\N{REPLACEMENT CHARACTER}" for c in text)
    assert tokenizer.decode(tokenizer.encode(text)) == expected and len(tokenizer.encode(text)) == len(text)


def test_subwords_are_shown_as_they_are_read() -> None:
    tokenizer = TOKENIZERS["subword"].fit(["größer läuft\n" * 9], 300)
    shown = [tokenizer.token(i) for i in tokenizer.encode("größer läuft\nλ\a")]
    assert shown == ["größer", "␣läuft", "⏎", "Î", "»", r"\x07"]  # training had no λ: its two bytes


def test_words_keep_line_ends_and_have_an_unknown_token() -> None:
    tokenizer = fitted("word")
    shown = [tokenizer.token(i) for i in tokenizer.encode("the cat\nbarks\n\nsat")]
    assert shown == ["the", "cat", LINE_END, UNKNOWN, LINE_END, LINE_END, "sat", LINE_END]
    assert [tokenizer.token(0), tokenizer.token(1)] == [LINE_END, "the"]  # the most frequent ones first
    for space in (" ", "\t"):  # a long line in two chunks
        pieces = [*tokenizer.encode(f"the cat\nbarks{space}"), *tokenizer.encode("the cat")]
        assert pieces == tokenizer.encode("the cat\nbarks the cat").tolist()
    assert tokenizer.decode(tokenizer.encode("the cat\nsat")) == "the cat\nsat\n"


@pytest.mark.parametrize(("text", "known"), [("a a b b c", True), ("a a b b c <unk>", False)])
def test_a_rare_word_becomes_unknown_if_the_text_has_no_unknown_word(text: str, known: bool) -> None:
    tokenizer = WordTokenizer.fit([text], None, min_count=2)
    assert (tokenizer.encode("c")[0] == tokenizer.unknown) == known
    assert tokenizer.encode("b")[0] != tokenizer.unknown


@pytest.mark.parametrize("kind", ["word", "character"])
def test_a_vocabulary_holds_the_most_frequent_tokens(kind: str) -> None:
    small, whole = fitted(kind, 4), fitted(kind)
    assert small.size <= 4 + 2 < whole.size
    frequent = "the" if kind == "word" else " "
    assert small.unknown not in small.encode(frequent)[:1]


def test_a_prompt_with_unknown_tokens_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        encode_known(fitted("character"), "cat?!", "A prompt")
    assert "'!', '?'" in caught.value.got
    with pytest.raises(UserError) as caught:
        encode_known(fitted("word"), "the zebra sat", "A prompt")
    assert "'zebra'" in caught.value.got


@pytest.mark.parametrize("values", [{}, {"unit": "letter", "units": []}, {"unit": "word", "units": ["a"]}])
def test_a_damaged_vocabulary_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="vocabulary"):
        tokenizer_from_dict(values, Path("data.json"))


# -- files -----------------------------------------------------------------------------------------


@given(
    st.text(st.sampled_from("ab\n"), max_size=30), st.integers(1, 7), st.integers(0, 30), st.integers(0, 30)
)
@settings(max_examples=200, deadline=None)
def test_chunks_end_after_lines_and_spans_are_slices(text: str, piece: int, start: int, stop: int) -> None:
    raw = [text[i : i + piece] for i in range(0, len(text), piece)]
    pieces = list(texts._whole_lines(raw))
    assert "".join(pieces) == text
    assert all(p.endswith("\n") for p in pieces[:-1])
    assert "".join(characters_between(pieces, start, stop)) == text[start:stop]


def test_a_long_line_is_cut_after_white_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "CHUNK", 50)
    (tmp_path / "text8").write_text("one two three " * 40)
    (tmp_path / "unbroken").write_text("x" * 300)
    pieces = list(TextFiles.of(tmp_path / "text8").chunks())
    assert max(map(len, pieces)) < 120 and all(piece.endswith(" ") for piece in pieces)
    assert "".join(pieces) == "one two three " * 40
    assert "".join(TextFiles.of(tmp_path / "unbroken").chunks()) == "x" * 300
    words = TOKENIZERS["word"].fit(pieces, None)
    assert [words.token(i) for piece in pieces for i in words.encode(piece)] == ["one", "two", "three"] * 40


def test_the_line_end_stays_in_a_small_vocabulary() -> None:
    tokenizer = TOKENIZERS["character"].fit(["aaabbbccddefgh\n"], 4)
    assert tokenizer.decode(tokenizer.encode("ab\n").tolist()) == "ab\n" and tokenizer.size == 5


def test_a_folder_is_read_by_name_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_bytes(b"\xef\xbb\xbfone\r\n")
    (tmp_path / ".hidden").write_text("no")
    assert "".join(TextFiles.of(tmp_path).chunks()) == "one\ntwo\n"


def bad(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("make", "encoding", "words"),
    [
        (lambda folder: folder / "none.txt", "utf-8", "no "),
        (lambda folder: folder, "utf-8", "holds none"),
        (bad("a.txt", b"a\nb\xff\n"), "utf-8", "Line 2"),
        (bad("a.txt", b"a\nb\0\n"), "utf-8", "zero byte"),
        (bad("a.txt", b"abc"), "utf-16", "Line 1"),
        (bad("a.txt", "\u0a0a\nb\nc".encode("utf-16") + b"\x00\xd8\x00\x00"), "utf-16", "Line 3"),
        (bad("a.txt", b"abc"), "base64", "base64"),
        (bad("a.txt", b"abc"), "utf-99", "utf-99"),
    ],
)
def test_an_unreadable_text_is_reported(
    tmp_path: Path, make: Callable[[Path], Path], encoding: str, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        list(TextFiles.of(make(tmp_path), encoding).chunks())
    assert words in caught.value.got
