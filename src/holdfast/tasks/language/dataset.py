"""From text files to the training, validation and test split, in memory-mapped files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from holdfast.data.splits import OwnFiles, split_fractions, split_notes
from holdfast.data.text.text_files import CHUNK, TextFiles, characters_between
from holdfast.data.text.tokenizers import TOKENIZERS
from holdfast.errors import UserError
from holdfast.tasks.dataset import SPLITS, Dataset
from holdfast.tasks.language.config import LanguageConfig
from holdfast.tasks.language.preprocessing import TextDataset, TextPreprocessing, TextSplit, unknown_notes

_NEAR = 20
"""A split ends at a line end if one is no further away than this fraction of the text."""
_Pieces = Callable[[], Iterator[str]]


def read_dataset(
    config: LanguageConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> TextDataset:
    """Read the text, split off what has no file of its own, and number the tokens.

    Raises:
        UserError: anything is wrong with a file, or a split has too little text.
    """
    text = config.text
    whole = TextFiles.of(data, text.encoding)
    length, digest = _measure(whole)
    own = (valid is not None, test is not None)
    cuts = _cuts(config, whole, length, own)
    pieces: dict[str, _Pieces] = {n: partial(_span, whole, *ends) for n, ends in zip(SPLITS, pairwise(cuts))}
    for name, path in zip(SPLITS[1:], (valid, test), strict=True):
        if path is not None:
            pieces[name] = TextFiles.of(path, text.encoding).chunks
    preprocessing = TextPreprocessing.fit(pieces["training"](), text)
    splits = {name: preprocessing.encode(read()) for name, read in pieces.items()}
    for name in SPLITS[:2]:
        if len(splits[name]) < 2:
            raise UserError(
                f"The {name} split must have at least 2 {text.token}s.",
                f"It has {len(splits[name])}.",
                "Give more text, or another --split.",
            )
    train, test_split = splits["training"], splits["test"]
    if not len(test_split) and test is not None:
        raise UserError(
            "A test split must not be empty.", f"{test} is.", "Give another file, or leave it out."
        )
    notes = (
        *split_notes(own, len(test_split) > 0),
        *_stream_notes(config, len(train)),
        *unknown_notes(splits, preprocessing.tokenizer),
    )
    return Dataset.of(splits, preprocessing, notes, _digest(digest, splits))


def read_whole(path: Path, config: LanguageConfig, preprocessing: TextPreprocessing) -> TextSplit:
    """Read a whole file or folder as one split.

    Raises:
        UserError: anything is wrong with it, or it is empty.
    """
    split = preprocessing.encode(TextFiles.of(path, config.text.encoding).chunks())
    if not len(split):
        raise UserError("A text that is scored must not be empty.", f"{path} is.", "Give another file.")
    return split


def _span(text: TextFiles, start: int, stop: int) -> Iterator[str]:
    return characters_between(text.chunks(), start, stop)


def _measure(text: TextFiles) -> tuple[int, str]:
    """Return the number of characters, and a digest of them."""
    length, digest = 0, sha256()
    for piece in text.chunks():
        length += len(piece)
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return length, digest.hexdigest()


def _digest(text: str, splits: Mapping[str, TextSplit]) -> str:
    """Return a digest of the training file and of what is scored."""
    digest = sha256(text.encode())
    for name in SPLITS[1:]:
        digest.update(splits[name].ids.data)
        digest.update(name.encode())
    return digest.hexdigest()


def _cuts(config: LanguageConfig, text: TextFiles, length: int, own: OwnFiles) -> list[int]:
    """Return where the splits begin and end."""
    train, valid, test = split_fractions(config.text.split, own)
    ends = [int(length * share + 1e-6) for share in (train, train + valid, train + valid + test)]
    if TOKENIZERS[config.text.token].kind in ("word", "subword"):
        ends = [_word_end(text, end, min(length // _NEAR, CHUNK)) for end in ends]
    return [0, *ends]


def _word_end(text: TextFiles, position: int, near: int) -> int:
    """Return the position after the next line end, or after white space if no line ends nearby."""
    after = (
        "".join(characters_between(text.chunks(), max(position - 1, 0), position + near)) if position else ""
    )
    line, space = after.find("\n"), re.search(r"\s", after)
    if line >= 0 or space is None:
        return position + max(line, 0)
    return position + space.start()


def _stream_notes(config: LanguageConfig, length: int) -> tuple[str, ...]:
    """Return a note where a text is too short for the streams that ``--batch-size`` names."""
    training = config.training
    streams = training.streams(length)
    if not 0 < streams < training.batch_size:
        return ()
    return (
        f"the training split is read in {streams} streams, not {training.batch_size} (--batch-size): each must have "
        f"at least twice {training.steps} {config.text.token}s (--steps)",
    )
