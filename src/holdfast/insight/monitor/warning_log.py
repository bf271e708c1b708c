"""Decide when a finding is reported, and keep the warnings."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from holdfast.errors import UserError
from holdfast.files import write_atomic
from holdfast.insight.monitor.rules import Finding

_LASTS = 3
"""Number of checks in a row after which a finding persists, or is gone."""
_COLUMNS = ("step", "kind", "where", "found", "advice")

Row = tuple[int, Finding]


class WarningLog:
    """Report each finding once, and again when it returns after it was gone.

    Args:
        report: called with each warning as text.
        file: path of a CSV file of the warnings; None for no file.
    """

    def __init__(self, report: Callable[[str], None], file: Path | None) -> None:
        self.report, self.file = report, file
        self.rows: list[Row] = []
        self.hits, self.misses = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self.found, self.reported = set[tuple[str, str]](), set[tuple[str, str]]()

    def begin(self, number: int) -> None:
        """Keep the warnings of an earlier part of the run, before this step.

        Raises:
            UserError: the file does not contain warnings.
        """
        earlier = [] if self.file is None or not self.file.exists() else read_warnings(self.file)
        self.rows = [row for row in earlier if row[0] < number]

    def add(self, number: int, findings: Iterable[Finding]) -> None:
        """Add findings of the present check."""
        for finding in findings:
            key = finding.kind, finding.where
            if key not in self.found:
                self.found.add(key)
                self.hits[key] += 1
                self.misses[key] = 0
            if key not in self.reported and (finding.at_once or self.hits[key] >= _LASTS):
                self.reported.add(key)
                self._report(number, finding)

    def end_check(self) -> None:
        """End the present check: a finding that did not recur is interrupted, or gone."""
        for key in [key for key in self.hits if key not in self.found]:
            self.hits[key] = 0
            self.misses[key] += 1
            if self.misses[key] >= _LASTS:
                self.reported.discard(key)
                del self.hits[key], self.misses[key]
        self.found.clear()

    def _report(self, number: int, finding: Finding) -> None:
        self.rows.append((number, finding))
        self.report(f"warning: {worded((number, finding))}")
        if self.file is not None:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows((step, f.kind, f.where, f.found, f.advice) for step, f in self.rows)
            write_atomic(self.file, text.getvalue())


def worded(row: Row) -> str:
    """Return a warning in one line."""
    number, finding = row
    return f"step {number}, {finding}"


def read_warnings(path: Path) -> list[Row]:
    """Read warnings from a CSV file.

    Raises:
        UserError: the file contains something else.
    """
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(header) != _COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [(int(step), Finding(kind, where, found, tip)) for step, kind, where, found, tip in lines]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} must contain warnings, with the columns {', '.join(_COLUMNS)}.",
            f"It does not: {error}.",
            "Remove the file.",
        ) from error
