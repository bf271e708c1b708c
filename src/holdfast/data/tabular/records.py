"""Records with texts in them, from CSV, TSV, JSON lines or Parquet: every field as it stands in the file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError


@dataclass(frozen=True)
class Records:
    """Rows of a file.

    Attributes:
        path: the file.
        columns: name -> value of each row; None where there is none.
        places: how each row is found in the file, such as "Line 7".
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str, role: str) -> Sequence[Any]:
        """A column by its name.

        Raises:
            UserError: no such column, with the nearest name.
        """
        if name in self.columns:
            return self.columns[name]
        near = get_close_matches(name, list(self.columns), 1)
        fix = (
            f"Did you mean {near[0]!r}?"
            if near
            else f"Rename the column in the file, or in training name one of these with --{role}."
        )
        raise UserError(
            f"The {role} is a column of {self.path}.",
            f"{name!r} is not among: {', '.join(self.columns)}.",
            fix,
        )


def read_records(path: Path, encoding: str = "utf-8") -> Records:
    """Read a file by its ending.

    In a .tsv a quote is a character like any other, unless quotes stand in pairs around whole fields throughout.

    Raises:
        UserError: no such file, another ending, binary data, another encoding, ragged rows, damaged JSON, no rows.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        rule = f"Records are read from files that end in {', '.join(READERS)}."
        raise UserError(rule, f"{path} ends in {path.suffix or 'nothing'}.", "Rename or convert it.")
    if path.is_dir():
        raise UserError("Records are read from a file.", f"{path} is a folder.", "Name a file in it.")
    if path.exists() and path.stat().st_size == 0:
        raise UserError(f"{path} holds records.", "It is empty (0 bytes).", "Give a file with rows.")
    found = READERS[path.suffix.lower()](path, encoding)
    if not len(found):
        raise UserError(f"{path} holds records.", "It has no rows.", "Give a file with rows.")
    return found


def _read_csv(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    separator = max(",;\t", key=text.partition("\n")[0].count)
    try:
        return _table(path, _quoted(text, separator))
    except csv.Error as error:
        raise UserError(
            f"Quotes in {path} come in pairs, around whole fields.",
            f"They do not: {error}.",
            "Correct them; in a file that ends in .tsv, with tabs, they need no pairs.",
        ) from None


def _read_tsv(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    lines = [(number, line.split("\t")) for number, line in enumerate(text.split("\n"), 1) if line]
    if '"' in text:
        try:
            return _table(path, _quoted(text, "\t"))
        except (csv.Error, UserError):  # quotes that are not meant as such
            pass
    return _table(path, lines)


def _quoted(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Line and fields of each record; a quoted field may hold line breaks."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, start = [], 1
    for row in reader:
        if row:
            rows.append((start, row))
        start = reader.line_num + 1
    return rows


def _table(path: Path, rows: list[tuple[int, list[str]]]) -> Records:
    """Records under a header."""
    if not rows:
        raise UserError(f"{path} holds records.", "It holds only blank lines.", "Give a file with rows.")
    header = [name.strip() for name in rows[0][1]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"Column names in {path} differ.", f"Twice there is: {twice[0]}.", "Rename one.")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UserError(
                f"Each row of {path} has as many fields as its header ({len(header)}).",
                f"Line {line} has {len(row)}.",
                "Correct that line, or quote fields that hold the separator.",
            )
    columns = {name: [row[k] for _, row in rows[1:]] for k, name in enumerate(header)}
    return Records(path, columns, [f"Line {line}" for line, _ in rows[1:]])


def _read_json(path: Path, encoding: str) -> Records:
    text = "".join(TextFiles.of(path, encoding).chunks())
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append((number, json_object(path, number, line)))
    names = dict.fromkeys(name for _, row in rows for name in row)
    columns = {name: [row.get(name) for _, row in rows] for name in names}
    return Records(path, columns, [f"Line {number}" for number, _ in rows])


def json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    """The object that a line of a file of JSON lines holds.

    Raises:
        UserError: it holds none.
    """
    try:
        value = json.loads(line)
    except ValueError as error:
        got = f"Line {number} is no JSON: {error}."
    else:
        if isinstance(value, dict):
            return value
        got = f"Line {number} holds a {type(value).__name__}."
    raise UserError(f"Each line of {path} is a JSON object.", got, "Correct that line.")


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
