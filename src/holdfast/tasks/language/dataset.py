"""From text files to the numbers of the training, validation and test part, in memory-mapped files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.splits import OwnFiles, split_fractions, split_notes
from holdfast.data.text.text_files import CHUNK, TextFiles, characters_between
from holdfast.data.text.tokenizers import TOKENIZERS, Tokenizer, WordTokenizer
from holdfast.errors import UserError
from holdfast.tasks.language.config import LanguageConfig, TextConfig

NEAR = 20
"""A part ends at a line's end if one is no further away than this fraction of the text."""
Pieces = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Part:
    """The numbers [n] of a part, and how many characters of the text they stand for."""

    ids: Array
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
    units: Tokenizer
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
    whole = TextFiles.of(data, text.encoding)
    length, digest = _measured(whole)
    own = (valid is not None, test is not None)
    cuts = _cuts(config, whole, length, own)
    names = ("training", "validation", "test")
    inner: dict[str, Pieces] = {n: partial(_piece, whole, *ends) for n, ends in zip(names, pairwise(cuts))}
    for name, path in (("validation", valid), ("test", test)):
        if path is not None:
            inner[name] = TextFiles.of(path, text.encoding).chunks
    units = _vocabulary(text, inner["training"]())
    parts = {name: numbered(pieces(), units) for name, pieces in inner.items()}
    for name in ("training", "validation"):
        if len(parts[name]) < 2:
            raise UserError(
                f"The {name} part holds at least 2 {text.token}s.",
                f"It holds {len(parts[name])}.",
                "Give more text, or another --split.",
            )
    test_part = parts["test"] if len(parts["test"]) else None
    if test_part is None and test is not None:
        raise UserError("A test part is not empty.", f"{test} is.", "Give another file, or leave it out.")
    few = _stream_notes(config, len(parts["training"]))
    notes = (*split_notes(own, test_part is not None), *few, *unknown_notes(parts, units))
    return Prepared(parts["training"], parts["validation"], test_part, units, notes, _digest(digest, parts))


def _vocabulary(text: TextConfig, pieces: Iterator[str]) -> Tokenizer:
    """The units of the training part; words that stand there once teach what an unknown word is like."""
    if text.token == "word" and text.vocabulary is None:
        return WordTokenizer.fit(pieces, None, min_count=2)
    return TOKENIZERS[text.token].fit(pieces, text.vocabulary)


def _digest(text: str, parts: Mapping[str, Part]) -> str:
    """A digest of the training file and of what is scored."""
    digest = sha256(text.encode())
    for name in ("validation", "test"):
        digest.update(parts[name].ids.data)
        digest.update(name.encode())
    return digest.hexdigest()


def of_file(path: Path, config: LanguageConfig, units: Tokenizer) -> Part:
    """The numbers of a whole file or folder.

    Raises:
        UserError: for everything that is wrong with it, and where it is empty.
    """
    part = numbered(TextFiles.of(path, config.text.encoding).chunks(), units)
    if not len(part):
        raise UserError("A text that is scored is not empty.", f"{path} is.", "Give another file.")
    return part


def numbered(pieces: Iterable[str], units: Tokenizer) -> Part:
    """Number some text, piece by piece, into a temporary file (in the folder that ``TMPDIR`` names)."""
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


def _piece(text: TextFiles, start: int, stop: int) -> Iterator[str]:
    return characters_between(text.chunks(), start, stop)


def _measured(text: TextFiles) -> tuple[int, str]:
    """Characters, and a digest of them."""
    length, digest = 0, sha256()
    for piece in text.chunks():
        length += len(piece)
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return length, digest.hexdigest()


def _cuts(config: LanguageConfig, text: TextFiles, length: int, own: OwnFiles) -> list[int]:
    """Where the parts begin and end."""
    train, valid, test = split_fractions(config.text.split, own)
    ends = [int(length * share + 1e-6) for share in (train, train + valid, train + valid + test)]
    if TOKENIZERS[config.text.token].kind in ("word", "subword"):
        ends = [_word_end(text, end, min(length // NEAR, CHUNK)) for end in ends]
    return [0, *ends]


def _word_end(text: TextFiles, position: int, near: int) -> int:
    """The first position behind a line's end from here on, or behind white space where no line ends nearby."""
    behind = (
        "".join(characters_between(text.chunks(), max(position - 1, 0), position + near)) if position else ""
    )
    line, space = behind.find("\n"), re.search(r"\s", behind)
    if line >= 0 or space is None:
        return position + max(line, 0)
    return position + space.start()


def _stream_notes(config: LanguageConfig, length: int) -> tuple[str, ...]:
    """What is told where a short text cannot be read in as many streams as were asked for."""
    training = config.training
    streams = training.streams(length)
    if not 0 < streams < training.batch_size:
        return ()
    return (
        f"the training part is read in {streams} streams, not {training.batch_size} (--batch-size): "
        f"each has at least twice {training.steps} {config.text.token}s (--steps)",
    )


def unknown_notes(parts: dict[str, Part], units: Tokenizer) -> tuple[str, ...]:
    """What of each part is not in the vocabulary."""
    found = []
    for name, part in parts.items():
        if part.unknown:
            share = part.unknown / len(part)
            found.append(
                f"{share:.2%} of the {name} part's {units.kind}s are not in the vocabulary or unknown in the text"
            )
    if found:
        found.append(
            "an unknown one counts as one unit, whatever its letters: figures compare only for the same vocabulary"
        )
    return tuple(found)
