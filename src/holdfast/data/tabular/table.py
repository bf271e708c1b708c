"""Tables from CSV and Parquet files, with an error for everything that can be wrong with them."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.text.text_files import is_number
from holdfast.errors import UserError
from holdfast.files import check_data_file, unreadable
from holdfast.validation import did_you_mean

NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-", "?"]
_LOOKED_AT, _FEWEST_NUMBERS = 1000, 0.1
"""Lines of a .txt file that show whether it is a table or plain text, and the least share of them
with a number."""
_LARGEST = float(np.finfo(np.float32).max)
"""Values are stored in 32 bits: larger ones do not fit."""


class RowError(UserError):
    """A mistake in a row, counted from 0 below the header; :func:`name_lines` adds its place.

    Args:
        rule: what must hold.
        row: the number of the row.
        got: what the row has, to follow "Line 7 ".
        fix: what the user can do.
    """

    def __init__(self, rule: str, row: int, got: str, fix: str) -> None:
        super().__init__(rule, f"Line {row + 2} {got}", fix)
        self.row, self.what = row, got


@contextlib.contextmanager
def name_lines(path: Path) -> Iterator[None]:
    """Add the line of a text file, or the row of a Parquet file, to a :class:`RowError`."""
    try:
        yield
    except RowError as error:
        text = READERS[path.suffix.lower()] is _read_text
        where = f"Line {_line(path, error.row)}" if text else f"Row {error.row + 1}"
        raise UserError(error.rule, f"{where} {error.what}", error.fix) from None


def read_table(path: Path) -> pl.DataFrame:
    """Read a CSV file (comma, semicolon or tab; a header; UTF-8) or a Parquet file.

    Columns of a text file are text, with :data:`NULLS` as null; :func:`numeric_column` converts
    them.

    Raises:
        UserError: the file is missing, unreadable, empty, not UTF-8 or ragged, has no rows, or
            repeats a column name.
    """
    path = Path(path)
    check_data_file(path, "The data must be a CSV or Parquet file.", READERS)
    try:
        frame = READERS[path.suffix.lower()](path)
    except OSError as error:
        raise unreadable(path, error) from None
    if frame.height == 0:
        raise UserError(f"{path} must have rows below its header.", "It has none.", "Give a file with data.")
    return frame


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, PermissionError):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} must be a complete Parquet file.",
            f"It cannot be read: {reason}.",
            "Copy or export it again.",
        ) from None


def _read_text(path: Path) -> pl.DataFrame:
    lines, separator, header = _lines(path)
    if path.suffix.lower() == ".txt":
        _check_numbers(path, lines[1:_LOOKED_AT], separator)
    _check_header(path, header)
    blank = _check_ragged(path, lines, separator, len(header))
    text = "\n".join(line for number, line in enumerate(lines) if number not in blank)
    try:
        frame = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} must be a CSV file.", f"It cannot be read: {reason}.", "Correct the file."
        ) from None
    frame.columns = header
    return frame.with_columns(pl.all().str.strip_chars().replace(NULLS, [None] * len(NULLS)))


def _lines(path: Path) -> tuple[list[str], str, list[str]]:
    """Return the lines of a text file, its separator and its header."""
    lines = _decode(path).split("\n")
    separator = max(",;\t", key=lines[0].count)
    return lines, separator, [name.strip() for name in next(csv.reader(lines[:1], delimiter=separator))]


def _decode(path: Path) -> str:
    """Return the text with ``\\n`` between its lines, none at the end, and no byte order mark."""
    data = path.read_bytes()
    rule = f"{path} must be UTF-8 text."
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in data[:4096] and not wide:
        raise UserError(rule, "It holds binary data.", "Export it as CSV, or name a Parquet file .parquet.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            rule,
            f"It is not UTF-8: byte 0x{data[error.start]:02x} at line {line}.",
            f"Convert it: iconv -f {'utf-16' if wide else 'latin1'} -t utf-8 FILE > NEW.csv",
        ) from None
    if not text.strip():
        raise UserError(rule, "It has only blank lines.", "Give a file with a header and rows.")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _check_numbers(path: Path, lines: list[str], separator: str) -> None:
    """Refuse plain text: hardly a line has a field that is a number."""
    numbers = sum(
        any(is_number(field.strip().strip('"')) for field in line.split(separator)) for line in lines
    )
    if lines and numbers < _FEWEST_NUMBERS * len(lines):
        raise UserError(
            "The data must be a table with columns of numbers.",
            f"{path} is plain text: {numbers:,} of its first {len(lines):,} lines have a field that is a number.",
            "Give a CSV or Parquet file. For plain text, use holdfast train language.",
        )


def _check_header(path: Path, header: list[str]) -> None:
    if not any(header):
        rule = f"The first line of {path} must name the columns."
        raise UserError(rule, "It is blank.", "Remove that line.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(
            f"Column names in {path} must be unique.",
            f"These occur more than once: {', '.join(name or '(no name)' for name in twice)}.",
            "Rename the columns.",
        )


def _check_ragged(path: Path, lines: list[str], separator: str, width: int) -> set[int]:
    """Check that every row has ``width`` fields; return the numbers of blank lines, from 0."""
    blank, end = set(), 0
    try:
        for start, end, row in _records(lines, separator):
            if _is_blank(row, width):
                blank.add(start)
            elif row and len(row) != width:
                raise UserError(
                    f"Each row of {path} must have as many fields as the header ({width}).",
                    f"Line {end} has {len(row)}.",
                    "Correct that line, or quote fields that contain the separator.",
                )
    except csv.Error as error:
        raise UserError(
            f"Quotes in {path} must come in pairs around whole fields.",
            f"The row that begins at line {end + 1} cannot be read: {error}.",
            "Correct the quotes there.",
        ) from None
    return blank


def _records(lines: list[str], separator: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each record's first line (from 0), the line after it, and its fields."""
    reader, start = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True), 0
    for row in reader:
        yield start, reader.line_num, row
        start = reader.line_num


def _is_blank(row: list[str], width: int) -> bool:
    """Return whether a line is blank; in a file of one column a blank line is a missing value."""
    return width > 1 and len(row) <= 1 and not "".join(row).strip()


def _line(path: Path, row: int) -> int:
    """Return the line on which a row of a text file begins; the header is line 1."""
    lines, separator, header = _lines(path)
    records = _records(lines, separator)
    starts = [start + 1 for start, _, fields in records if not _is_blank(fields, len(header))]
    return starts[row + 1]


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
"""File ending -> reader; columns are text or numbers, missing values null or NaN."""


# -- columns ----------------------------------------------------------------------------------------------------


def require_column(frame: pl.DataFrame, name: str, role: str) -> pl.Series:
    """Return a column by name.

    Raises:
        UserError: there is no such column (the error gives the closest name).
    """
    if name not in frame.columns:
        names = ", ".join(frame.columns[:12]) + (", ..." if len(frame.columns) > 12 else "")
        fix = did_you_mean(name, frame.columns, "Name one of these, or rename the column in the file.")
        raise UserError(
            f"The {role} must be a column of the file.", f"{name!r} is not one of them: {names}.", fix
        )
    return frame[name]


def numeric_column(frame: pl.DataFrame, name: str, role: str, gaps: bool = True) -> Array:
    """Return a column as float64 [N], NaN where missing; ``gaps``: a field may be left empty.

    Raises:
        UserError: there is no such column, it has no value at all, or a value is text, infinite or
            beyond :data:`_LARGEST` (the error names the line).
    """
    column = require_column(frame, name, role)
    plain = column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Null)
    numbers = (
        column.cast(pl.Float64, strict=False) if plain else pl.Series([None] * len(column), dtype=pl.Float64)
    )
    wrong = numbers.is_null() & column.is_not_null()
    if wrong.any():
        _refuse_text(column, int(wrong.arg_max() or 0), role, gaps)
    values: Array = numbers.fill_null(np.nan).to_numpy().astype(np.float64)
    beyond = np.abs(values) > _LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        raise RowError(
            f"The {role} {name!r} must hold finite 32-bit numbers.",
            row,
            f"has {column[row]}.",
            f"Correct{' or empty' if gaps else ''} that field, or use a larger unit.",
        )
    if np.isnan(values).all():
        raise UserError(
            f"The {role} {name!r} must have values.", "All of them are missing.", "Name another column."
        )
    return values


def refuse_null(column: pl.Series, rule: str, got: Callable[[int], str], fix: str) -> None:
    """Refuse a column with a null.

    Raises:
        RowError: a row has none; ``got`` returns what that row has.
    """
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise RowError(rule, row, got(row), fix)


def as_text(column: pl.Series) -> pl.Series:
    """Return a column of any type as text, null where missing."""
    if column.dtype == pl.String:
        return column
    return pl.Series(column.name, [None if v is None else str(v) for v in column], dtype=pl.String)


def _refuse_text(column: pl.Series, row: int, role: str, gaps: bool) -> None:
    value = str(column.dtype) if column.dtype.is_nested() else str(column[row])
    comma = re.fullmatch(r"[+-]?[\d.,' ]*,[\d.,' ]*(e[+-]?\d+)?", value, re.IGNORECASE)
    fix = (
        "Write numbers with a decimal point and without thousands separators."
        if comma
        else f"Correct that field{', or leave it empty if the value is missing' if gaps else ''}."
    )
    raise RowError(f"The {role} {column.name!r} must hold numbers.", row, f"has {value!r}.", fix)
