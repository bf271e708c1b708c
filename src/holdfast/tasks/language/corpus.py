"""From text files to the numbers of the training, validation and test part, in memory-mapped files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.text import Text, span
from holdfast.data.units import UNITS, Units
from holdfast.errors import UserError
from holdfast.tasks.language.config import LanguageConfig

Pieces = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Part:
    """The numbers [n] of a part, and how many characters of the text they stand for."""

    ids: NDArray[Any]
    characters: int
    unknown: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Prepared:
    """The three parts (``test`` may be None), the vocabulary of the training part, and what the user should be told."""

    train: Part
    valid: Part
    test: Part | None
    units: Units
    notes: tuple[str, ...]
    digest: str

    def latest(self, share: float) -> Prepared:
        """The same with only the last share of the training part, to see what less data does."""
        kept = max(2, round(len(self.train) * share))
        train = replace(
            self.train, ids=self.train.ids[-kept:], characters=round(self.train.characters * share)
        )
        return replace(self, train=train)


def prepare(
    config: LanguageConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> Prepared:
    """Read the text, cut it into parts (those without a file of their own), and number its units.

    Raises:
        UserError: for everything that is wrong with a file, and for a part with too little text.
    """
    text = config.text
    whole = Text.of(data, text.encoding)
    length, digest = _measured(whole)
    cuts = _cuts(config, whole, length, (valid is not None, test is not None))
    names = ("training", "validation", "test")
    inner: dict[str, Pieces] = {n: partial(_piece, whole, *ends) for n, ends in zip(names, pairwise(cuts))}
    for name, path in (("validation", valid), ("test", test)):
        if path is not None:
            own = Text.of(path, text.encoding)
            inner[name] = own.pieces
    units = UNITS[text.unit].fit(inner["training"](), text.vocabulary)
    parts = {name: numbered(pieces(), units) for name, pieces in inner.items()}
    for name in ("training", "validation"):
        if len(parts[name]) < 2:
            raise UserError(
                f"The {name} part holds at least 2 {text.unit}s.",
                f"It holds {len(parts[name])}.",
                "Give more text, or another --split.",
            )
    test_part = parts["test"] if len(parts["test"]) else None
    return Prepared(
        parts["training"], parts["validation"], test_part, units, unknown_notes(parts, units), digest
    )


def of_file(path: Path, config: LanguageConfig, units: Units) -> Part:
    """The numbers of a whole file or folder.

    Raises:
        UserError: for everything that is wrong with it, and where it is empty.
    """
    part = numbered(Text.of(path, config.text.encoding).pieces(), units)
    if not len(part):
        raise UserError("A text that is scored is not empty.", f"{path} is.", "Give another file.")
    return part


def numbered(pieces: Iterable[str], units: Units) -> Part:
    """Number some text, piece by piece, into a temporary file."""
    kind = np.uint8 if units.size <= 1 << 8 else np.uint16 if units.size <= 1 << 16 else np.uint32
    characters = unknown = 0
    with tempfile.TemporaryFile() as file:  # the map outlives its name
        for piece in pieces:
            ids = units.encode(piece)
            characters += len(piece)
            unknown += int((ids == units.unknown).sum()) if units.unknown is not None else 0
            ids.astype(kind).tofile(file)
        size = file.tell() // np.dtype(kind).itemsize
        file.flush()
        ids = np.memmap(file, kind, "r", shape=(size,)) if size else np.zeros(0, kind)
    return Part(ids, characters, unknown)


def _piece(text: Text, start: int, stop: int) -> Iterator[str]:
    return span(text.pieces(), start, stop)


def _measured(text: Text) -> tuple[int, str]:
    """Characters, and a digest of them."""
    length, digest = 0, sha256()
    for piece in text.pieces():
        length += len(piece)
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return length, digest.hexdigest()


def _cuts(config: LanguageConfig, text: Text, length: int, own: tuple[bool, bool]) -> list[int]:
    """Where the parts begin and end; a part with a file of its own takes nothing of the text."""
    train, valid, test = config.text.parts()
    valid, test = (0.0 if has else share for has, share in zip(own, (valid, test)))
    train = 1.0 - valid - test if any(own) else train
    ends = [int(length * share + 1e-6) for share in (train, train + valid, train + valid + test)]
    if UNITS[config.text.unit].kind in ("word", "subword"):
        ends = [_line_end(text, end) for end in ends]
    return [0, *ends]


def _line_end(text: Text, position: int) -> int:
    """The first position behind a line's end from here on, or this one where no line ends any more."""
    at = 0
    for piece in text.pieces():
        found = piece.find("\n", max(position - at - 1, 0))
        if at + len(piece) >= position and found >= 0 and position > 0:
            return at + found + 1
        at += len(piece)
    return position


def unknown_notes(parts: dict[str, Part], units: Units) -> tuple[str, ...]:
    """What of each part is not in the vocabulary."""
    found = []
    for name, part in parts.items():
        if part.unknown:
            share = part.unknown / len(part)
            found.append(
                f"{share:.2%} of the {name} part's {units.kind}s are not in the vocabulary or unknown in the text"
            )
    return tuple(found)
