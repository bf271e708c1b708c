"""Records from CSV, TSV, JSON lines and Parquet: unchanged fields, and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.data.tabular.records import read_records
from holdfast.errors import UserError

field = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r"), min_size=1)
texts = st.lists(field, min_size=1, max_size=6)
again = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(texts, st.sampled_from([(".csv", ","), (".csv", ";"), (".csv", "\t"), (".tsv", "\t")]))
@again
def test_what_the_csv_module_writes_is_read_back(
    tmp_path: Path, values: list[str], form: tuple[str, str]
) -> None:
    path = tmp_path / f"a{form[0]}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=form[1], lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(["text", "label"])
        writer.writerows([value, "x"] for value in values)
    found = read_records(path)
    assert list(found.columns["text"]) == values
    assert list(found.columns["label"]) == ["x"] * len(values)


@given(texts)
@again
def test_json_lines_are_read_back(tmp_path: Path, values: list[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"text": v, "label": k}) + "\n" for k, v in enumerate(values)), "utf-8"
    )
    found = read_records(path)
    assert list(found.columns["text"]) == values
    assert list(found.columns["label"]) == list(range(len(values)))


@given(texts)
@again
def test_parquet_is_read_back(tmp_path: Path, values: list[str]) -> None:
    pl.DataFrame({"text": values}).write_parquet(tmp_path / "a.parquet")
    assert list(read_records(tmp_path / "a.parquet").columns["text"]) == values


def test_unpaired_quotes_of_a_tsv_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('label\ttext\n1\t"so" he said\n0\tno "\n1\tNone\n')
    found = read_records(path)
    assert list(found.columns["text"]) == ['"so" he said', 'no "', "None"]
    assert list(found.places) == ["Line 2", "Line 3", "Line 4"]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"two\r\nlines",1\r\n\r\nlast,0\r\n')
    found = read_records(path)
    assert list(found.columns["text"]) == ["two\nlines", "last"]
    assert list(found.places) == ["Line 2", "Line 5"]


def test_json_rows_may_lack_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n\n{"text": "b", "label": ["x", "y"]}\n')
    found = read_records(tmp_path / "a.jsonl")
    assert list(found.columns["label"]) == [None, ["x", "y"]]
    assert list(found.places) == ["Line 1", "Line 3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"is empty \(0 bytes\)"),
        ("a.csv", b"\n\n", "only blank lines"),
        ("a.csv", b"text,label\n", "It has no rows"),
        ("a.jsonl", b"\n", "It has no rows"),
        ("a.csv", b"text,text\na,b\n", "occurs twice: text"),
        ("a.csv", b"text,label\na,b\nc\n", r"as many fields as the header \(2\)\. Line 3 has 1"),
        ("a.tsv", b"text\tlabel\na\tb\tc\n", "Line 2 has 3"),
        ("a.csv", b'text,label\n"a"b,c\n', "come in pairs"),
        ("a.csv", b"text,label\n\0\x01,c\n", "Line 2 of .* has a zero byte"),
        ("a.csv", b"text,label\ncaf\xe9,c\n", "Line 2 of .* is not: .*--encoding latin-1"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "Line 2 is not JSON"),
        ("a.jsonl", b'["a"]\n', "Line 1 holds a list"),
        ("a.parquet", b"text,label\na,b\n", "must be a complete Parquet file"),
        ("a.xlsx", b"PK", r"has the ending \.xlsx"),
        ("a", b"text", r"has the ending \(none\)"),
    ],
)
def test_refusals(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_records(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no"):
        read_records(tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        read_records(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("text,label\na,b\n")
    with pytest.raises(UserError, match=r"'texts' is not one of them: text, label\. Did you mean 'text'"):
        read_records(tmp_path / "c.csv").column("texts", "text")
    assert list(read_records(tmp_path / "c.csv").column("label", "label")) == ["b"]


def test_another_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,1\n".encode("latin-1"))
    assert list(read_records(tmp_path / "a.csv", "latin-1").columns["text"]) == ["café"]
