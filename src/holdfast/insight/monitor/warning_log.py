"""When a finding is told, and where it is kept."""

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
"""Checks in a row after which what is found stays, and what is no longer found is gone."""
COLUMNS = ("step", "kind", "where", "found", "advice")

Row = tuple[int, Finding]


class WarningLog:
    """Tells each finding once, and again when it comes back after it was gone.

    Args:
        tell: is given each warning in words.
        file: the warnings as CSV; None for none.
    """

    def __init__(self, tell: Callable[[str], None], file: Path | None) -> None:
        self.tell, self.file = tell, file
        self.rows: list[Row] = []
        self.hits, self.misses = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self.found, self.known = set[tuple[str, str]](), set[tuple[str, str]]()

    def begin(self, number: int) -> None:
        """Keep the warnings of an earlier part of the run, up to before this step.

        Raises:
            UserError: the file is none of warnings.
        """
        earlier = [] if self.file is None or not self.file.exists() else read_warnings(self.file)
        self.rows = [row for row in earlier if row[0] < number]

    def take(self, number: int, findings: Iterable[Finding]) -> None:
        """What the present check found, or a part of it."""
        for finding in findings:
            key = finding.kind, finding.where
            if key not in self.found:
                self.found.add(key)
                self.hits[key] += 1
                self.misses[key] = 0
            if key not in self.known and (finding.at_once or self.hits[key] >= _LASTS):
                self.known.add(key)
                self._say(number, finding)

    def end(self) -> None:
        """The check is over: what it did not find again is interrupted, or gone."""
        for key in [key for key in self.hits if key not in self.found]:
            self.hits[key] = 0
            self.misses[key] += 1
            if self.misses[key] >= _LASTS:
                self.known.discard(key)
                del self.hits[key], self.misses[key]
        self.found.clear()

    def _say(self, number: int, finding: Finding) -> None:
        self.rows.append((number, finding))
        self.tell(f"warning: {worded((number, finding))}")
        if self.file is not None:
            write_atomic(self.file, _warnings_csv(self.rows))


def worded(row: Row) -> str:
    """A warning in one line."""
    number, finding = row
    return f"step {number}, {finding}"


def _warnings_csv(rows: Iterable[Row]) -> str:
    """One line for each warning, under :data:`COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((number, s.kind, s.where, s.found, s.advice) for number, s in rows)
    return text.getvalue()


def read_warnings(path: Path) -> list[Row]:
    """What :func:`_warnings_csv` wrote.

    Raises:
        UserError: it is something else.
    """
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(header) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        return [(int(step), Finding(kind, where, found, tip)) for step, kind, where, found, tip in lines]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} holds warnings: {', '.join(COLUMNS)}.", f"It does not: {error}.", "Remove it."
        ) from error
