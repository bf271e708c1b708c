"""From text to token numbers: the vocabulary of the training split, and encoded splits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.text.tokenizers import (
    TOKENIZERS,
    Tokenizer,
    WordTokenizer,
    tokenizer_from_dict,
    tokenizer_to_dict,
)
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.language.config import TextConfig


@dataclass(frozen=True)
class TextSplit:
    """Token numbers [n] of a text, its number of characters, and the number of unknown tokens."""

    ids: Array
    characters: int
    unknown: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def fraction(self, share: float) -> TextSplit:
        """Return the last tokens, a share of all and at least 2."""
        kept = max(2, round(len(self) * share))
        return replace(self, ids=self.ids[-kept:], characters=round(self.characters * share))


@dataclass(frozen=True)
class TextPreprocessing:
    """A tokenizer with the vocabulary of the training split."""

    tokenizer: Tokenizer

    @classmethod
    def fit(cls, pieces: Iterator[str], config: TextConfig) -> Self:
        """Collect the vocabulary; words that occur once train the token for unknown words."""
        if config.token == "word" and config.vocabulary is None:
            return cls(WordTokenizer.fit(pieces, None, min_count=2))
        return cls(TOKENIZERS[config.token].fit(pieces, config.vocabulary))

    def encode(self, pieces: Iterable[str]) -> TextSplit:
        """Number the tokens of a text, piece by piece, in a temporary file (see ``TMPDIR``)."""
        tokens = self.tokenizer
        dtype = np.uint8 if tokens.size <= 1 << 8 else np.uint16 if tokens.size <= 1 << 16 else np.uint32
        characters = unknown = 0
        with tempfile.TemporaryFile() as file:  # the map outlives its name
            for piece in pieces:
                ids = tokens.encode(piece)
                characters += len(piece)
                unknown += int((ids == tokens.unknown).sum()) if tokens.unknown is not None else 0
                ids.astype(dtype).tofile(file)
            size = file.tell() // np.dtype(dtype).itemsize
            file.flush()
            ids = np.memmap(file, dtype, "r", shape=(size,)) if size else np.zeros(0, dtype)
        return TextSplit(ids, characters, unknown)

    def to_dict(self) -> JsonObject:
        """Return the vocabulary as values that JSON can hold."""
        return tokenizer_to_dict(self.tokenizer)

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        return cls(tokenizer_from_dict(dict(values), where))


TextDataset = Dataset[TextSplit, TextPreprocessing]


def unknown_notes(splits: Mapping[str, TextSplit], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return notes on how many tokens of each split are not in the vocabulary."""
    notes = [
        f"{split.unknown / len(split):.2%} of the {tokenizer.kind}s of the {name} split are not in the vocabulary"
        for name, split in splits.items()
        if split.unknown
    ]
    if notes:
        notes.append(
            "an unknown token counts as one token, whatever its letters: compare metrics for the same vocabulary only"
        )
    return tuple(notes)
