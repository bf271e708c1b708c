"""Reading tables: accepted forms, and each mistake with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.tabular.table import NULLS, as_text, numeric_column, read_table, require_column
from holdfast.errors import UserError


def written(folder: Path, content: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(folder: Path, values: Sequence[object], dtype: pl.DataType | type[pl.DataType]) -> pl.DataFrame:
    path = folder / "data.parquet"
    pl.DataFrame({"y": pl.Series(values, dtype=dtype)}).write_parquet(path)
    return read_table(path)


# -- accepted forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.txt", "DATA.CSV"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(tmp_path: Path, name: str, separator: str) -> None:
    frame = read_table(written(tmp_path, "a,b\n1,2\n3,4\n".replace(",", separator), name))
    assert frame.columns == ["a", "b"]
    assert numeric_column(frame, "b", "target").tolist() == [2, 4]


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("form", ["{}", " {} ", '"{}"'])
def test_missing_values(tmp_path: Path, null: str, form: str) -> None:
    frame = read_table(written(tmp_path, f"a,y\n1,{form.format(null)}\n2,3\n"))
    assert frame["y"].null_count() == 1
    assert np.array_equal(numeric_column(frame, "y", "target"), [np.nan, 3], equal_nan=True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_ends_of_lines(tmp_path: Path, end: str) -> None:
    frame = read_table(written(tmp_path, f"a,y{end}1,2{end}3,4{end}{end}"))
    assert numeric_column(frame, "y", "target").tolist() == [2, 4]


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n")).columns == ["a", "b"]


def test_blanks_around_names_and_values_do_not_count(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a, y \n1, 2 \n"))
    assert frame.columns == ["a", "y"] and numeric_column(frame, "y", "target").tolist() == [2]


def test_a_blank_line_in_a_single_column_is_a_missing_value(tmp_path: Path) -> None:
    values = numeric_column(read_table(written(tmp_path, "y\n1\n\n3\n")), "y", "target")
    assert np.array_equal(values, [1, np.nan, 3], equal_nan=True)


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8).map(str.strip)


@given(st.lists(st.tuples(FIELDS, st.floats(-1e30, 1e30)), min_size=1, max_size=8), st.sampled_from(",;\t"))
def test_written_values_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float]], separator: str
) -> None:
    """Any text in the column: separators, quotes, and characters that some take for line ends."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [("t", "y"), *rows]
    )
    frame = read_table(written(tmp_path_factory.mktemp("table"), text.getvalue()))
    assert frame["t"].to_list() == [None if t in NULLS else t for t, _ in rows]
    assert numeric_column(frame, "y", "target").tolist() == [y for _, y in rows]


def test_a_name_with_brackets_is_one_file(tmp_path: Path) -> None:
    pl.DataFrame({"y": [1.0]}).write_parquet(tmp_path / "data[1].parquet")
    assert read_table(tmp_path / "data[1].parquet").height == 1


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2)])
def test_every_type_of_number(tmp_path: Path, dtype: pl.DataType) -> None:
    values = numeric_column(parquet(tmp_path, [1, None, 0], dtype), "y", "target")
    assert values.dtype == np.float64 and np.array_equal(values, [1, np.nan, 0], equal_nan=True)


def test_yes_and_no_are_one_and_zero(tmp_path: Path) -> None:
    values = numeric_column(parquet(tmp_path, [True, None, False], pl.Boolean), "y", "target")
    assert np.array_equal(values, [1, np.nan, 0], equal_nan=True)


def test_any_column_as_text() -> None:
    assert as_text(pl.Series([1.5, None])).to_list() == ["1.5", None]
    assert as_text(pl.Series(["a", None])).to_list() == ["a", None]
    assert as_text(pl.Series([None], dtype=pl.List(pl.Int64))).to_list() == [None]


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "got", "fix"),
    [
        ("", "is empty", "with rows"),
        ("\n \n", "only blank lines", "header and rows"),
        ("a,b\n", "It has none", "with data"),
        ("a,b", "It has none", "with data"),
        ("\na,b\n1,2\n", "It is blank", "Remove that line"),
        ("a,b\n1,2\n3\n", "Line 3 has 1", "Correct that line"),
        ("a,b\n1,2\n\n3,4,5\n", "Line 4 has 3", "Correct that line"),
        ("a,b,a\n1,2,3\n", "more than once: a.", "Rename the columns"),
        ("a, b,b \n1,2,3\n", "more than once: b.", "Rename the columns"),
        (",a,\n1,2,3\n", "(no name)", "Rename the columns"),
        ("a,b\n1,2\nM\xfcnchen,3\n".encode("latin1"), "byte 0xfc at line 3", "iconv -f latin1"),
        ("a,b\n1,2\n".encode("utf-16"), "byte 0xff at line 1", "iconv -f utf-16"),
        (b"PNG\r\n\x1a\n\0\0\0", "binary data", "Export it as CSV"),
    ],
)
def test_a_file_without_a_table(tmp_path: Path, content: str | bytes, got: str, fix: str) -> None:
    with pytest.raises(UserError) as error:
        read_table(written(tmp_path, content))
    assert got in error.value.got and fix in error.value.fix


def test_a_path_that_is_not_a_file(tmp_path: Path) -> None:
    written(tmp_path, "a\n1\n", "weather.csv")
    with pytest.raises(UserError, match=r"There is no .*csv\. Did you mean .*weather\.csv"):
        read_table(tmp_path / "wether.csv")
    with pytest.raises(UserError, match=r"There is no folder .*none\. Check the path"):
        read_table(tmp_path / "none" / "wether.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(UserError, match=r"has the ending \.xlsx"):
        read_table(written(tmp_path, "PK", "book.xlsx"))
    with pytest.raises(UserError, match=r"has the ending \(none\)"):
        read_table(written(tmp_path, "a\n1\n", "data"))


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(pl, "read_parquet", refuse)
    with pytest.raises(UserError, match=r"must be readable.*Permission denied"):
        read_table(written(tmp_path, "a\n1\n", name))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, keep: float) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"y": np.arange(100.0)}).write_parquet(whole)
    data = whole.read_bytes()
    with pytest.raises(UserError, match=r"complete Parquet file|is empty"):
        read_table(written(tmp_path, data[: int(keep * len(data))], "part.parquet"))


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must have rows"):
        parquet(tmp_path, [], pl.Float64)


def test_a_missing_column() -> None:
    frame = pl.DataFrame({"temp": [1], "rain": [2]})
    with pytest.raises(UserError, match=r"'tmep' is not one of them: temp, rain\. Did you mean 'temp'"):
        require_column(frame, "tmep", "target column")
    with pytest.raises(UserError, match="Name one of these"):
        numeric_column(frame, "xyz", "target column")
    with pytest.raises(UserError, match=r"c11, \.\.\."):
        require_column(pl.DataFrame({f"c{i}": [1] for i in range(30)}), "xyz", "target column")


@pytest.mark.parametrize(
    ("value", "got", "fix"),
    [
        ("two", "Line 3 has 'two'", "Correct that field"),
        ("12 C", "Line 3 has '12 C'", "Correct that field"),
        ("1_000", "Line 3 has '1_000'", "Correct that field"),
        ('"2,5"', "Line 3 has '2,5'", "decimal point"),
        ('"-2,5e3"', "Line 3 has '-2,5e3'", "decimal point"),
        ('"1.000,5"', "Line 3 has '1.000,5'", "decimal point"),
        ('"1,000.5"', "Line 3 has '1,000.5'", "thousands separators"),
        ("inf", "Line 3 has inf", "Correct or empty"),
        ("-Infinity", "Line 3 has -Infinity", "Correct or empty"),
        ("1e39", "Line 3 has 1e39", "use a larger unit"),
        ("1e999", "Line 3 has 1e999", "Correct or empty"),
    ],
)
def test_a_value_that_is_not_a_number(tmp_path: Path, value: str, got: str, fix: str) -> None:
    frame = read_table(written(tmp_path, f"t,y\na,1\nb,{value}\nc,{value}\n"))
    with pytest.raises(UserError) as error:
        numeric_column(frame, "y", "target")
    assert got in error.value.got and fix in error.value.fix


def test_a_column_without_any_value(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="All of them are missing"):
        numeric_column(read_table(written(tmp_path, "t,y\na,\nb,NA\n")), "y", "target")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([date(2024, 1, 1)], pl.Date),
        (["a"], pl.Categorical),
        ([[1.0]], pl.List(pl.Float64)),
        ([{"a": 1}], pl.Struct({"a": pl.Int64})),
        ([b"1"], pl.Binary),
    ],
)
def test_a_column_of_another_type(tmp_path: Path, values: list[object], dtype: pl.DataType) -> None:
    with pytest.raises(UserError, match=r"must hold numbers\. Line 2 has"):
        numeric_column(parquet(tmp_path, values, dtype), "y", "target")


@pytest.mark.parametrize("line", ["It was a day of rain.", "Rain, rain, rain, and, in May 1984,, rain."])
def test_plain_text_is_no_table(line: str, tmp_path: Path) -> None:
    """Whether or not its first line would do as a header."""
    book = tmp_path / "book.txt"
    book.write_text(f"{line}\n" * 100)
    with pytest.raises(
        UserError, match=r"columns of numbers.* 0 of its first 99 lines.* holdfast train language"
    ):
        read_table(book)


def test_a_text_file_with_a_column_of_numbers_is_a_table(tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text("air temperature\n1.5\n2\n")
    assert read_table(few).columns == ["air temperature"]
