"""From examples to numbers: classes, vocabulary or channels, and the splits they encode."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.text.tokenizers import TOKENIZERS, Tokenizer, tokenizer_from_dict, tokenizer_to_dict
from holdfast.errors import UserError, damaged
from holdfast.files import listed
from holdfast.tasks.classify.config import DataConfig
from holdfast.tasks.classify.examples import Examples, stratified
from holdfast.tasks.dataset import Dataset

WORD = re.compile(r"'?\w+(?:['\u2019-]\w+)*|[^\w\s]")
"""A word with its inner apostrophes and hyphens, or one punctuation mark."""


class TextEncoder:
    """Encode texts as token numbers."""

    kind: ClassVar[str] = "text"

    def __init__(self, tokens: Tokenizer) -> None:
        self.tokens = tokens

    @classmethod
    def fit(cls, texts: Iterable[str], kind: str, vocabulary: int | None) -> Self:
        """Collect the vocabulary of some texts."""
        return cls(TOKENIZERS[kind].fit((_cleaned(text, kind) for text in texts), vocabulary))

    def encode(self, item: str) -> Array:
        """Return the token numbers [n] of a text."""
        ids = self.tokens.encode(_cleaned(item, self.tokens.kind))
        return ids[:-1] if self.tokens.kind == "word" else ids  # words end with a line end

    def steps(self, item: str) -> list[str]:
        """Return the words as the text has them, other tokens as the vocabulary names them."""
        if self.tokens.kind == "word":
            return WORD.findall(item.lower())
        return [self.tokens.token(int(i)) for i in self.encode(item)]

    def to_dict(self) -> JsonObject:
        """Return the vocabulary as values that JSON can hold."""
        return tokenizer_to_dict(self.tokens)


@dataclass(frozen=True)
class SeriesEncoder:
    """Leave values as they are; the network standardizes them."""

    kind: ClassVar[str] = "series"
    channels: tuple[str, ...]

    def encode(self, item: Array) -> Array:
        """Return the values [n, C]."""
        return item

    def steps(self, item: Array) -> list[str]:
        """Return the numbers of the time steps, from 0."""
        return [str(step) for step in range(len(item))]

    def to_dict(self) -> JsonObject:
        """Return the channels."""
        return {"channels": list(self.channels)}


def scale_of(rows: Array) -> Array:
    """Return mean and standard deviation (1 if constant) of each column: [N, F] -> [2, F]."""
    std = rows.std(0)
    return np.stack([rows.mean(0), np.where(std > 0, std, 1.0)])


def _cleaned(text: str, kind: str) -> str:
    return " ".join(WORD.findall(text.lower())) if kind == "word" else text


@dataclass(frozen=True)
class ExampleSplit:
    """Encoded examples.

    Attributes:
        examples: as the file has them.
        inputs: token numbers [n] or values [n, C] of each.
        targets: [N, K] of 0 and 1.
        whole: time steps of each before it was cut [N].
    """

    examples: Examples
    inputs: Sequence[Array]
    targets: Array
    whole: Array

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """Time steps of each example [N]."""
        return np.array([len(own) for own in self.inputs], np.int64)

    def some(self, numbers: Array) -> ExampleSplit:
        """Return the examples of these numbers."""
        inputs = [self.inputs[i] for i in numbers]
        return ExampleSplit(self.examples.some(numbers), inputs, self.targets[numbers], self.whole[numbers])

    def cut(self, most: int | None) -> ExampleSplit:
        """Return the same examples with at most so many time steps each."""
        return replace(self, inputs=[own[:most] for own in self.inputs])

    def fraction(self, share: float) -> ExampleSplit:
        """Return a share of the examples of each class."""
        assert self.examples.labels is not None
        kept, _ = stratified(self.examples.labels, (share, 1.0 - share))
        return self.some(kept)


@dataclass(frozen=True)
class ClassifyPreprocessing:
    """The classes, and how an example becomes numbers.

    Attributes:
        classes: K labels, sorted.
        multiple: an example may have several labels.
        encoder: of the examples.
        vector_size: E of the word vectors that training began with; None without.
        vectors: these word vectors [V, E], and which of the vocabulary have one [V]; not saved.
    """

    classes: tuple[str, ...]
    multiple: bool
    encoder: TextEncoder | SeriesEncoder
    vector_size: int | None
    vectors: tuple[Array, Array] | None = field(default=None, compare=False)

    @classmethod
    def fit(cls, examples: Examples, settings: DataConfig) -> Self:
        """Collect the classes, and the vocabulary or the channels, of the training examples.

        Raises:
            UserError: there are fewer than 2 classes.
        """
        classes = sorted(examples.counts())
        if len(classes) < 2:
            raise UserError(
                "A classifier must have at least 2 classes.",
                f"The training split has only {listed([repr(name) for name in classes]) or 'none'}.",
                "Give examples of another class, or check --label.",
            )
        encoder = (
            TextEncoder.fit(examples.items, settings.token, settings.vocabulary)
            if settings.kind() == "text"
            else SeriesEncoder(examples.channels)
        )
        return cls(tuple(classes), settings.separator is not None, encoder, None)

    def encode(self, examples: Examples) -> ExampleSplit:
        """Encode examples.

        Raises:
            UserError: a text has no token, a label is unknown, or the channels differ.
        """
        encoder, where = self.encoder, examples.where
        if isinstance(encoder, SeriesEncoder) and examples.channels != encoder.channels:
            raise UserError(
                f"The channels must be those of the training split: {', '.join(encoder.channels)}.",
                f"{where} has {', '.join(examples.channels) or 'none'}.",
                "Rename the columns, or train again.",
            )
        inputs = list(map(encoder.encode, examples.items))
        whole = np.array(list(map(len, inputs)), np.int64)
        if isinstance(encoder, TextEncoder) and not whole.all():
            raise UserError(
                f"Each text must have at least 1 {encoder.tokens.kind}.",
                f"{where}: example {examples.names[int(whole.argmin())]} has none.",
                "Remove it, or give --token byte.",
            )
        labels = examples.labels if examples.labels is not None else [()] * len(examples)
        return ExampleSplit(examples, inputs, self._targets(labels, where), whole)

    def _targets(self, labels: Sequence[tuple[str, ...]], where: str) -> Array:
        """Return labels as [N, K] of 0 and 1."""
        numbers = {name: k for k, name in enumerate(self.classes)}
        unseen = sorted({label for own in labels for label in own if label not in numbers})
        if unseen:
            raise UserError(
                f"Labels must be those of the training split: {listed(self.classes)}.",
                f"{where} also has {listed([repr(label) for label in unseen])}.",
                "Correct these labels, remove their rows, or train on examples of them.",
            )
        targets = np.zeros((len(labels), len(self.classes)), np.float32)
        for row, own in enumerate(labels):
            targets[row, [numbers[label] for label in own]] = 1.0
        return targets

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        return {
            "kind": self.encoder.kind,
            "classes": list(self.classes),
            "multiple": self.multiple,
            "vector_size": self.vector_size,
            **self.encoder.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        try:
            encoder = (
                TextEncoder(tokenizer_from_dict(values, where))
                if values["kind"] == "text"
                else SeriesEncoder(tuple(values["channels"]))
            )
            return cls(tuple(values["classes"]), bool(values["multiple"]), encoder, values["vector_size"])
        except (KeyError, TypeError) as error:
            raise damaged(where, f"It lacks {error}.") from error


ClassifyDataset = Dataset[ExampleSplit, ClassifyPreprocessing]


@dataclass(frozen=True)
class EncodingLoss:
    """What ``max_length`` cuts off, and what the vocabulary lacks; losses of splits add up."""

    examples: int = 0
    cut: int = 0
    longest: int = 0
    tokens: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, split: ExampleSplit, preprocessing: ClassifyPreprocessing, data: DataConfig) -> Self:
        """Count the losses of a split."""
        encoder = preprocessing.encoder
        unknown = encoder.tokens.unknown if isinstance(encoder, TextEncoder) else None
        lacking = sum(int((own == unknown).sum()) for own in split.inputs) if unknown is not None else 0
        cut = int((split.whole > data.max_length).sum()) if data.max_length is not None else 0
        return cls(len(split), cut, int(split.whole.max(initial=0)), int(split.lengths.sum()), lacking)

    def __add__(self, other: EncodingLoss) -> EncodingLoss:
        return EncodingLoss(
            self.examples + other.examples,
            self.cut + other.cut,
            max(self.longest, other.longest),
            self.tokens + other.tokens,
            self.unknown + other.unknown,
        )

    def notes(self, data: DataConfig, name: str) -> tuple[str, ...]:
        """Return notes on the losses of what ``name`` names."""
        notes = []
        if self.cut:
            notes.append(
                f"{self.cut / self.examples:.1%} of the {name} are longer than {data.max_length} steps "
                f"(up to {self.longest}) and are cut"
            )
        if self.unknown:
            share = self.unknown / self.tokens
            notes.append(f"{share:.2%} of the {data.token}s of the {name} are not in the vocabulary")
        return tuple(notes)
