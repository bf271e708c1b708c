"""From a text file to encoded sentences: a sentence is a line of words joined with their tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.data.splits import split_fractions, split_notes
from holdfast.errors import UserError, damaged
from holdfast.tasks.dataset import SPLITS, Dataset
from tagging.config import TagConfig, TagData

Sentence = list[tuple[str, str]]


@dataclass(frozen=True)
class TagSplit:
    """Sentences, and the numbers of their words and tags [T] each."""

    sentences: Sequence[Sentence]
    words: Sequence[Array]
    tags: Sequence[Array]

    def __len__(self) -> int:
        return len(self.sentences)

    def fraction(self, share: float) -> TagSplit:
        """Return a fraction of the sentences, at least 1, from the end."""
        kept = max(1, round(len(self) * share))
        return TagSplit(self.sentences[-kept:], self.words[-kept:], self.tags[-kept:])


@dataclass(frozen=True)
class TagPreprocessing:
    """The words and the tags of the training split; number 0 is an unknown word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def fit(cls, sentences: Iterable[Sentence], settings: TagData) -> TagPreprocessing:
        """Collect the words and tags of the training split."""
        pairs = [pair for sentence in sentences for pair in sentence]
        return cls(tuple(sorted({word for word, _ in pairs})), tuple(sorted({tag for _, tag in pairs})))

    def encode(self, sentences: Sequence[Sentence]) -> TagSplit:
        """Number words and tags.

        Raises:
            UserError: a tag is not among those of training.
        """
        words = {word: number for number, word in enumerate(self.words, 1)}
        tags = {tag: number for number, tag in enumerate(self.tags)}
        unknown = sorted({tag for sentence in sentences for _, tag in sentence} - tags.keys())
        if unknown:
            raise UserError(
                "Every tag must be in the training split.",
                f"These are not: {', '.join(unknown)}.",
                "Give more training sentences.",
            )
        return TagSplit(
            sentences,
            [np.array([words.get(word, 0) for word, _ in sentence]) for sentence in sentences],
            [np.array([tags[tag] for _, tag in sentence]) for sentence in sentences],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {"words": list(self.words), "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: Path) -> TagPreprocessing:
        """Rebuild it from :meth:`to_dict`."""
        try:
            return cls(tuple(values["words"]), tuple(values["tags"]))
        except KeyError as error:
            raise damaged(where, f"It lacks {error}.") from error


def read_sentences(path: Path, separator: str) -> list[Sentence]:
    """Read a file.

    Raises:
        UserError: a word has no tag, or the file has no sentence.
    """
    sentences = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        pairs = [word.rpartition(separator) for word in line.split()]
        for word, found, tag in pairs:
            if not (word and found):
                rule = f"Every word must have a tag, such as dog{separator}NOUN."
                raise UserError(rule, f"Line {number} of {path} has {tag!r}.", "Add the tag.")
        sentences += [[(word, tag) for word, _, tag in pairs]] if pairs else []
    if len(sentences) < 3:
        raise UserError(
            "A file must have at least 3 sentences.", f"{path} has {len(sentences)}.", "Give more text."
        )
    return sentences


def read_dataset(
    config: TagConfig, data: Path, valid: Path | None, test: Path | None
) -> Dataset[TagSplit, TagPreprocessing]:
    """Read the files, split off what has no file of its own, and number words and tags."""
    separator, own = config.data.separator, (valid is not None, test is not None)
    whole = read_sentences(data, separator)
    ends = np.cumsum(split_fractions(config.data.split, own)) * len(whole)
    train_end, valid_end, test_end = (int(end + 1e-6) for end in ends)
    raw_valid = read_sentences(valid, separator) if valid else whole[train_end:valid_end]
    raw_test = read_sentences(test, separator) if test else whole[valid_end:test_end]
    preprocessing = TagPreprocessing.fit(whole[:train_end], config.data)
    raw = dict(zip(SPLITS, (whole[:train_end], raw_valid, raw_test), strict=True))
    splits = {name: preprocessing.encode(sentences) for name, sentences in raw.items()}
    digest = sha256(repr((whole, raw_valid, raw_test)).encode()).hexdigest()
    notes = (f"tags found: {', '.join(preprocessing.tags)}", *split_notes(own, bool(raw_test)))
    return Dataset.of(splits, preprocessing, notes, digest)
