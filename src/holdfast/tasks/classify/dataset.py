"""From files to numbered training, validation and test examples; what is fitted is fitted on the training part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.data.splits import split_fractions
from holdfast.data.splits import split_notes as parts_remarks
from holdfast.data.text.word_vectors import read_vectors
from holdfast.errors import UserError
from holdfast.files import listed
from holdfast.tasks.classify.config import ClassifyConfig, DataConfig
from holdfast.tasks.classify.examples import Examples, read_examples
from holdfast.tasks.classify.preprocessing import Schema, SeriesEncoder, TextEncoder

_IMBALANCE = 5
"""How many times as frequent as the rarest class the most frequent one may be without a remark."""


@dataclass(frozen=True)
class Part:
    """Numbered examples.

    Attributes:
        examples: as they were read.
        inputs: numbers of units [n], or values [n, C], of each.
        targets: [N, K] of 0 and 1.
        whole: steps of each before it was cut [N].
    """

    examples: Examples
    inputs: Sequence[Array]
    targets: Array
    whole: Array

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """Steps of each example [N]."""
        return np.array([len(own) for own in self.inputs], np.int64)

    def some(self, numbers: Array) -> Part:
        """Those with these numbers."""
        inputs = [self.inputs[i] for i in numbers]
        return Part(self.examples.some(numbers), inputs, self.targets[numbers], self.whole[numbers])


@dataclass(frozen=True)
class Prepared:
    """The three parts (``test`` may be None), the schema, word vectors (with which were found), and remarks."""

    train: Part
    valid: Part
    test: Part | None
    schema: Schema
    vectors: tuple[Array, Array] | None
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """By which the same data are known again."""
        return self.schema.digest

    def fraction(self, share: float) -> Prepared:
        """The same with only a share of the training examples of each class."""
        labels = self.train.examples.labels
        assert labels is not None
        kept, _ = stratified(labels, (share, 1.0 - share))
        return replace(self, train=self.train.some(kept))


def prepare(
    config: ClassifyConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> Prepared:
    """Read the files, cut what has no file of its own from ``data``, and number everything.

    Raises:
        UserError: for everything that is wrong with a file, and for parts that cannot be learnt from.
    """
    found = {"training": read_examples(data, config.data, labelled=True)}
    for name, path in (("validation", valid), ("test", test)):
        if path is not None:
            found[name] = read_examples(path, config.data, labelled=True)
    digest = _digest(found)
    parts = _cut(found, config.data)
    for name, least in (("training", 2), ("validation", 1)):
        if len(parts[name]) < least:
            raise UserError(
                f"The {name} part holds at least {least} examples.",
                f"It holds {len(parts[name])}.",
                "Give more data, or another --split.",
            )
    schema, vectors, notes = _learnt(config, parts["training"], digest)
    numbered = {name: number(part, schema, config.data, f"The {name} part") for name, part in parts.items()}
    notes += tuple(
        note
        for name, part in numbered.items()
        for note in Lost.of(part, schema, config.data).notes(config.data, f"{name} part")
    )
    notes += (*parts_remarks((valid is not None, test is not None), len(parts["test"]) > 0), *_notes(parts))
    test_part = numbered["test"] if len(numbered["test"]) else None
    return Prepared(numbered["training"], numbered["validation"], test_part, schema, vectors, notes)


def _learnt(
    config: ClassifyConfig, train: Examples, digest: str
) -> tuple[Schema, tuple[Array, Array] | None, tuple[str, ...]]:
    data = config.data
    counts = _counts(train)
    if len(counts) < 2:
        raise UserError(
            "A classifier tells at least 2 classes apart.",
            f"The training part has only {listed([repr(name) for name in counts]) or 'none'}.",
            "Give examples of another class, or check --label.",
        )
    encoder = (
        TextEncoder.fit(train.items, data.token, data.vocabulary)
        if data.kind() == "text"
        else SeriesEncoder(train.channels)
    )
    vectors, notes = None, tuple[str, ...]()
    if data.vectors is not None:
        assert isinstance(encoder, TextEncoder)
        numbers = {encoder.units.token(i): i for i in range(encoder.units.size)}
        vectors = read_vectors(Path(data.vectors), numbers)
        size, asked = vectors[0].shape[1], config.network.embedding_size
        if asked not in (None, size):
            raise UserError(
                "--embedding-size is that of the word vectors.",
                f"It was {asked}, and {data.vectors} has {size}.",
                "Leave it out.",
            )
        notes = (f"vectors: {vectors[1].mean():.1%} of the vocabulary are in {data.vectors}",)
    size = None if vectors is None else int(vectors[0].shape[1])
    return Schema(tuple(sorted(counts)), data.separator is not None, encoder, size, digest), vectors, notes


def number(examples: Examples, schema: Schema, data: DataConfig, where: str) -> Part:
    """Examples as numbers; what is longer than ``max_length`` is cut.

    Raises:
        UserError: a text without a single unit, labels that training did not see, other channels.
    """
    encoder = schema.encoder
    if isinstance(encoder, SeriesEncoder) and examples.channels != encoder.channels:
        raise UserError(
            f"The channels are those of the training part: {', '.join(encoder.channels)}.",
            f"{where} has {', '.join(examples.channels) or 'none'}.",
            "Rename the columns, or train anew.",
        )
    inputs = list(map(encoder.encode, examples.items))
    whole = np.array(list(map(len, inputs)), np.int64)
    if not whole.all():
        raise UserError(
            f"Each text holds at least one {data.token}.",
            f"{where}: example {examples.names[int(whole.argmin())]} holds none.",
            "Remove it, or give --token byte.",
        )
    labels = examples.labels if examples.labels is not None else [()] * len(examples)
    cut = [own[: data.max_length] for own in inputs]
    return Part(examples, cut, schema.targets(labels, where), whole)


@dataclass(frozen=True)
class Lost:
    """What ``max_length`` cuts off some examples, and what the vocabulary lacks of them; sums are of both."""

    examples: int = 0
    cut: int = 0
    longest: int = 0
    units: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, part: Part, schema: Schema, data: DataConfig) -> Lost:
        """Count."""
        encoder = schema.encoder
        unknown = encoder.units.unknown if isinstance(encoder, TextEncoder) else None
        lacking = sum(int((own == unknown).sum()) for own in part.inputs) if unknown is not None else 0
        cut = int((part.whole > data.max_length).sum()) if data.max_length is not None else 0
        return cls(len(part), cut, int(part.whole.max(initial=0)), int(part.lengths.sum()), lacking)

    def __add__(self, other: Lost) -> Lost:
        """Of both together."""
        return Lost(
            self.examples + other.examples,
            self.cut + other.cut,
            max(self.longest, other.longest),
            self.units + other.units,
            self.unknown + other.unknown,
        )

    def notes(self, data: DataConfig, name: str) -> tuple[str, ...]:
        """What is told of it."""
        found = []
        if self.cut:
            found.append(
                f"{self.cut / self.examples:.1%} of the {name} are longer than {data.max_length} steps "
                f"(up to {self.longest}) and are cut"
            )
        if self.unknown:
            share = self.unknown / self.units
            found.append(f"{share:.2%} of the {data.token}s of the {name} are not in the vocabulary")
        return tuple(found)


# -- parts -------------------------------------------------------------------------------------------------------


def _cut(found: Mapping[str, Examples], data: DataConfig) -> dict[str, Examples]:
    """The three parts."""
    whole = found["training"]
    assert whole.labels is not None
    pieces = stratified(whole.labels, split_fractions(data.split, ("validation" in found, "test" in found)))
    cut = dict(zip(("training", "validation", "test"), map(whole.some, pieces), strict=True))
    return cut | {name: part for name, part in found.items() if name != "training"}


def stratified(labels: Sequence[tuple[str, ...]], shares: Sequence[float]) -> list[Array]:
    """Numbers of the examples of each part, in order, always the same ones; what is over is left out.

    Examples with the same labels follow each other, mixed, and each goes to the part that lags furthest behind its
    share: so every part has its share of all examples, and nearly so of each class. The first example of every class
    goes to the first part.
    """
    random = np.random.default_rng(0)
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, own in enumerate(labels):
        groups.setdefault(tuple(sorted(own)), []).append(row)
    wanted = [*shares, 1.0 - sum(shares)]
    parts: list[list[int]] = [[] for _ in wanted]
    known: set[str] = set()
    mixed = (row for _, rows in sorted(groups.items()) for row in random.permutation(rows).tolist())
    for place, row in enumerate(mixed, 1):
        behind = [share * place - len(part) for share, part in zip(wanted, parts, strict=True)]
        chosen = behind.index(max(behind)) if known.issuperset(labels[row]) else 0
        known.update(labels[row] if chosen == 0 else ())
        parts[chosen].append(row)
    return [np.array(sorted(part), np.int64) for part in parts[:-1]]


def _counts(part: Examples) -> dict[str, int]:
    """How many examples each class has."""
    return dict(Counter(label for own in part.labels or () for label in own))


# -- remarks -----------------------------------------------------------------------------------------------------


def _notes(parts: Mapping[str, Examples]) -> tuple[str, ...]:
    notes = []
    counts = _counts(parts["training"])
    most, least = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
    if counts[most] > _IMBALANCE * counts[least]:
        notes.append(
            f"imbalance: the training part has {counts[most]:,} examples of {most!r} and {counts[least]:,} of "
            f"{least!r}; look at macro_f1, and try --class-weights balanced"
        )
    keys = {name: set(map(_key, part.items)) for name, part in parts.items()}
    for name, earlier in (("validation", "training"), ("test", "training"), ("test", "validation")):
        again = sum(_key(item) in keys[earlier] for item in parts[name].items)
        if again:
            notes.append(
                f"duplicates: {again:,} of {len(parts[name]):,} examples of the {name} part are in the {earlier} part"
            )
    return tuple(notes)


def _key(item: Any) -> Any:
    """The same for two examples that are alike but for the case of letters and white space."""
    return item.tobytes() if isinstance(item, np.ndarray) else " ".join(item.lower().split())


def _digest(found: Mapping[str, Examples]) -> str:
    digest = sha256()
    for name, part in found.items():
        digest.update(repr((name, part.channels, list(part.names), part.labels)).encode())
        for item in part.items:
            digest.update(
                item.tobytes() if isinstance(item, np.ndarray) else item.encode("utf-8", "surrogatepass")
            )
            digest.update(b"\0")
    return digest.hexdigest()
