"""Records with text fields from CSV, TSV, JSON lines or Parquet; no field is converted."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast._json import JsonObject
from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError
from holdfast.files import check_data_file
from holdfast.validation import did_you_mean


@dataclass(frozen=True)
class Records:
    """The rows of a file.

    Attributes:
        path: the file.
        columns: name -> value of each row; None where it is missing.
        places: the place of each row in the file, such as "Line 7".
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str, role: str) -> Sequence[Any]:
        """Return a column by name.

        Raises:
            UserError: there is no such column (the error gives the nearest name).
        """
        if name in self.columns:
            return self.columns[name]
        other = f"Rename the column in the file, or train with --{role} and one of these names."
        raise UserError(
            f"--{role} must name a column of {self.path}.",
            f"{name!r} is not one of them: {', '.join(self.columns)}.",
            did_you_mean(name, self.columns, other),
        )


def read_records(path: Path, encoding: str = "utf-8") -> Records:
    """Read a file; its ending selects the format.

    In a .tsv file a quote is an ordinary character, unless quotes pair up around whole fields
    throughout.

    Raises:
        UserError: the file is missing, has another ending or encoding, is binary, ragged or
            damaged, or has no rows.
    """
    path = Path(path)
    check_data_file(path, "Records must be in a CSV, TSV, JSON lines or Parquet file.", READERS)
    found = READERS[path.suffix.lower()](path, encoding)
    if not len(found):
        raise UserError(f"{path} must hold records.", "It has no rows.", "Give a file with rows.")
    return found


def _read_csv(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        return _table(path, _quoted(text, separator))
    except csv.Error as error:
        raise UserError(
            f"Quotes in {path} must come in pairs around whole fields.",
            f"They do not: {error}.",
            "Correct them, or use a .tsv file with tabs, where quotes need no pairs.",
        ) from None


def _read_tsv(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    lines = [(number, line.split("\t")) for number, line in enumerate(text.split("\n"), 1) if line]
    if '"' in text:
        try:
            return _table(path, _quoted(text, "\t"))
        except (csv.Error, UserError):  # the quotes do not enclose fields
            pass
    return _table(path, lines)


def _quoted(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Return the line and the fields of each record; a quoted field may hold line breaks."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, start = [], 1
    for row in reader:
        if row:
            rows.append((start, row))
        start = reader.line_num + 1
    return rows


def _table(path: Path, rows: list[tuple[int, list[str]]]) -> Records:
    """Build records from rows with a header."""
    if not rows:
        raise UserError(f"{path} must hold records.", "It has only blank lines.", "Give a file with rows.")
    header = [name.strip() for name in rows[0][1]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        rule = f"Column names in {path} must be unique."
        raise UserError(rule, f"This name occurs twice: {twice[0]}.", "Rename one column.")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UserError(
                f"Each row of {path} must have as many fields as the header ({len(header)}).",
                f"Line {line} has {len(row)}.",
                "Correct that line, or quote fields that contain the separator.",
            )
    columns = {name: [row[k] for _, row in rows[1:]] for k, name in enumerate(header)}
    return Records(path, columns, [f"Line {line}" for line, _ in rows[1:]])


def _read_json(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    rows: list[tuple[int, JsonObject]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append((number, json_object(path, number, line)))
    names = dict.fromkeys(name for _, row in rows for name in row)
    columns = {name: [row.get(name) for _, row in rows] for name in names}
    return Records(path, columns, [f"Line {number}" for number, _ in rows])


def json_object(path: Path, number: int, line: str) -> JsonObject:
    """Parse the JSON object on one line of a JSON lines file.

    Raises:
        UserError: the line holds no JSON object.
    """
    try:
        value = json.loads(line)
    except ValueError as error:
        got = f"Line {number} is not JSON: {error}."
    else:
        if isinstance(value, dict):
            return value
        got = f"Line {number} holds a {type(value).__name__}."
    raise UserError(f"Each line of {path} must be a JSON object.", got, "Correct that line.")


def _read_parquet(path: Path, encoding: str) -> Records:
    from holdfast.data.tabular.table import read_table

    frame = read_table(path)
    columns = {name: frame[name].to_list() for name in frame.columns}
    return Records(path, columns, [f"Row {n}" for n in range(1, frame.height + 1)])


READERS: dict[str, Callable[[Path, str], Records]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".txt": _read_csv,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
"""File ending -> reader."""
