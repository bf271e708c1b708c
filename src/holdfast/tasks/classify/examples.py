"""Labelled examples as a file has them: texts, or series of measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.tabular.records import read_records
from holdfast.data.tabular.table import (
    RowError,
    as_text,
    name_lines,
    numeric_column,
    read_table,
    require_column,
)
from holdfast.errors import UserError
from holdfast.tasks.classify.config import DataConfig

Labels = tuple[str, ...]
_FILL = "Fill it in, or remove that row."


@dataclass(frozen=True)
class Examples:
    """The examples of a file.

    Attributes:
        names: of each example: the number of its row, or its series' name.
        items: a text, or values [n, C], of each.
        labels: of each; None where the file has no column of labels.
        where: what holds the examples, for messages: a file or a split.
        channels: names of the columns of a series.
    """

    names: Sequence[str]
    items: Sequence[Any]
    labels: Sequence[Labels] | None
    where: str
    channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def some(self, numbers: Sequence[int] | Array) -> Examples:
        """Return the examples of these numbers."""
        names, items = ([own[i] for i in numbers] for own in (self.names, self.items))
        labels = None if self.labels is None else [self.labels[i] for i in numbers]
        return replace(self, names=names, items=items, labels=labels)

    def counts(self) -> dict[str, int]:
        """Return how many examples each class has."""
        return dict(Counter(label for own in self.labels or () for label in own))


def read_examples(path: Path, data: DataConfig, *, labelled: bool) -> Examples:
    """Read a file.

    Args:
        path: the file.
        data: which columns hold what.
        labelled: labels must be there.

    Raises:
        UserError: anything is wrong with it.
    """
    return READERS[data.kind()](Path(path), data, labelled)


def _read_texts(path: Path, data: DataConfig, labelled: bool) -> Examples:
    records = read_records(path, data.encoding)
    assert data.text is not None
    texts = records.column(data.text, "text")
    for place, text in zip(records.places, texts, strict=True):
        if not isinstance(text, str) or not text.strip():
            empty = text is None or not str(text).strip()
            raise UserError(
                f"Each text in the column {data.text!r} of {path} must have at least 1 character.",
                f"{place}: it is {'empty' if empty else f'of type {type(text).__name__}'}.",
                "Remove that row, or fill in its text.",
            )
    labels = None
    if labelled or data.label in records.columns:
        column = zip(records.column(data.label, "label"), records.places, strict=True)
        labels = [_split_labels(value, place, data, path) for value, place in column]
    return Examples([str(number) for number in range(1, len(texts) + 1)], texts, labels, str(path))


def _split_labels(value: object, place: str, data: DataConfig, path: Path) -> Labels:
    """Return the labels in a field; several, or none, only with a separator."""
    parts = value if isinstance(value, list) else [] if value is None else [value]
    if data.separator is not None and not isinstance(value, list):
        parts = [part for whole in parts for part in str(whole).split(data.separator)]
    labels = tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))
    if data.separator is not None or (len(labels) == 1 and not isinstance(value, list)):
        return labels
    got, fix = f"{place} has a list.", "Give --separator for several labels."
    if not isinstance(value, list):
        got, fix = (
            f"{place} has none.",
            f"{_FILL} Where examples may have several labels or none, give --separator.",
        )
    raise UserError(f"Each example of {path} must have one label, in the column {data.label!r}.", got, fix)


def _read_series(path: Path, data: DataConfig, labelled: bool) -> Examples:
    frame = read_table(path)
    with name_lines(path):
        return _series(path, frame, data, labelled)


def _series(path: Path, frame: pl.DataFrame, data: DataConfig, labelled: bool) -> Examples:
    assert data.series is not None
    names = as_text(require_column(frame, data.series, "series"))
    _check_complete(names.is_null().to_numpy(), "Each row must name its series.")
    has_labels = labelled or data.label in frame.columns
    labels = as_text(require_column(frame, data.label, "label")) if has_labels else None
    channels = data.channels or tuple(
        name for name in frame.columns if name not in (data.series, data.step, data.label)
    )
    if not channels:
        rule = "A series must have at least 1 channel."
        raise UserError(rule, f"{path} has no other column.", "Name columns of numbers with --channels.")
    values = np.stack([_observed(frame, name) for name in channels], 1).astype(np.float32)
    steps = np.arange(frame.height)
    if data.step is not None:
        steps = numeric_column(frame, data.step, "step", gaps=False)
        _check_complete(np.isnan(steps), "Each row must have its step.")
    rows: dict[str, list[int]] = {}
    for row in np.argsort(steps, kind="stable").tolist():
        rows.setdefault(names[row], []).append(row)
    _check_steps(steps, rows)
    numbers = sorted(rows.values(), key=min)
    found = None if labels is None else [_one_label(labels, own, data, path) for own in numbers]
    of_series = [names[own[0]] for own in numbers]
    return Examples(of_series, [values[own] for own in numbers], found, str(path), channels)


def _check_complete(missing: Array, rule: str, fix: str = _FILL) -> None:
    """Refuse a column with a missing value [n]."""
    if missing.any():
        raise RowError(rule, int(missing.argmax()), "has none.", fix)


def _observed(frame: pl.DataFrame, name: str) -> Array:
    values = numeric_column(frame, name, "channel", gaps=False)
    fix = "Fill in the gaps, for example with the value before, or leave the channel out with --channels."
    _check_complete(np.isnan(values), f"The channel {name!r} must have a number in each row.", fix)
    return values


def _check_steps(steps: Array, rows: dict[str, list[int]]) -> None:
    for name, own in rows.items():
        same = np.flatnonzero(np.diff(steps[own]) == 0)
        if len(same):
            row = own[int(same[0]) + 1]
            raise RowError(
                "The steps of a series must differ.",
                row,
                f"repeats step {steps[row]:g} of series {name!r}.",
                "Remove one of the two rows, or give each series its own name.",
            )


def _one_label(labels: pl.Series, rows: list[int], data: DataConfig, path: Path) -> Labels:
    found = {labels[row]: row for row in reversed(rows)}
    if len(found) > 1:
        first, second = sorted(found, key=lambda label: found[label])[:2]
        raise RowError(
            "All rows of a series must have the same label.",
            found[second],
            f"has {second!r}, and an earlier row of its series {first!r}.",
            "Correct the label, or give each series its own name.",
        )
    if labels[rows[0]] is None and data.separator is None:
        raise RowError(
            "Each series must have a label.", rows[0], "has none.", "Fill it in, or remove the series."
        )
    return _split_labels(labels[rows[0]], f"Row {rows[0] + 1}", data, path)


READERS = {"text": _read_texts, "series": _read_series}
"""Kind -> reader."""


def stratified(labels: Sequence[tuple[str, ...]], shares: Sequence[float]) -> list[Array]:
    """Return the numbers of the examples of each split, always the same; the rest is left out.

    Examples with the same labels are shuffled, and each goes to the split that lacks most of its
    share. So every split has its share of all examples, and nearly so of each class. The first
    example of every class goes to the first split.
    """
    random = np.random.default_rng(0)
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, own in enumerate(labels):
        groups.setdefault(tuple(sorted(own)), []).append(row)
    wanted = [*shares, 1.0 - sum(shares)]
    splits: list[list[int]] = [[] for _ in wanted]
    known: set[str] = set()
    mixed = (row for _, rows in sorted(groups.items()) for row in random.permutation(rows).tolist())
    for place, row in enumerate(mixed, 1):
        lacking = [share * place - len(split) for share, split in zip(wanted, splits, strict=True)]
        chosen = lacking.index(max(lacking)) if known.issuperset(labels[row]) else 0
        known.update(labels[row] if chosen == 0 else ())
        splits[chosen].append(row)
    return [np.array(sorted(split), np.int64) for split in splits[:-1]]
