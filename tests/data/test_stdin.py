"""Text from stdin: lines, and entries in groups of those that have arrived."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from commands import give_stdin
from holdfast.data.stdin import batch_available, stdin_lines
from holdfast.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_stdin_is_read_in_the_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("fünf\n\r\n zwei \nTür", "fünf\n", ""):
        give_stdin(monkeypatch, text.encode(encoding))
        assert list(stdin_lines(encoding)) == text.replace("\r", "").splitlines(keepends=True)


def test_a_wrong_byte_is_reported_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"one\ntwo\nf\xfcnf\n")
    with pytest.raises(UserError, match="Line 3 is not"):
        list(stdin_lines("utf-8"))


def test_entries_come_in_groups_and_an_error_is_passed_on() -> None:
    assert [x for group in batch_available(iter("abcdefg"), 3) for x in group] == list("abcdefg")
    assert all(len(group) <= 3 for group in batch_available(iter("abcdefg"), 3))
    assert list(batch_available([], 3)) == []

    def slow() -> Iterator[str]:
        yield "a"
        time.sleep(0.2)
        yield "b"
        raise UserError("a.", "b.", "c.")

    found: list[list[str]] = []
    with pytest.raises(UserError, match="a"):
        found.extend(batch_available(slow(), 3))
    assert found == [["a"], ["b"]]  # neither waited for the next one
    for group in batch_available(iter(["x", "y"]), 1):
        assert len(group) == 1
