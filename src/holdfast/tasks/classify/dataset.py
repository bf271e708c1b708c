"""From files to the training, validation and test split, with the fitted preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.data.splits import split_fractions, split_notes
from holdfast.data.text.word_vectors import read_vectors
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.tasks.classify.config import ClassifyConfig, DataConfig
from holdfast.tasks.classify.examples import Examples, read_examples, stratified
from holdfast.tasks.classify.preprocessing import (
    ClassifyDataset,
    ClassifyPreprocessing,
    EncodingLoss,
    TextEncoder,
)
from holdfast.tasks.dataset import SPLITS, Dataset

_IMBALANCE = 5
"""A note reports a class that is more often than this as frequent as the rarest one."""


def read_dataset(
    config: ClassifyConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> ClassifyDataset:
    """Read the files, split off what has no file of its own, and encode every split.

    Raises:
        UserError: anything is wrong with a file, or a split has too few examples.
    """
    settings = config.data
    files = dict(zip(SPLITS, (data, valid, test), strict=True))
    raw = {name: read_examples(path, settings, labelled=True) for name, path in files.items() if path}
    _check_labels(raw["training"], settings.label)
    digest = _digest(raw)
    raw = _split(raw, settings)
    for name, least in (("training", 2), ("validation", 1)):
        if len(raw[name]) < least:
            raise UserError(
                f"The {name} split must have at least {counted(least, 'example')}.",
                f"It has {len(raw[name])}.",
                "Give more data, or another --split.",
            )
    preprocessing = ClassifyPreprocessing.fit(raw["training"], settings)
    notes: tuple[str, ...] = ()
    if settings.vectors is not None:
        preprocessing, notes = _with_vectors(config, preprocessing, settings.vectors)
    splits = {name: preprocessing.encode(own).cut(settings.max_length) for name, own in raw.items()}
    for name, split in splits.items():
        notes += EncodingLoss.of(split, preprocessing, settings).notes(settings, f"{name} split")
    notes += split_notes((valid is not None, test is not None), len(raw["test"]) > 0)
    notes += (*_imbalance_notes(raw["training"]), *_duplicate_notes(raw))
    return Dataset.of(splits, preprocessing, notes, digest)


def _check_labels(examples: Examples, column: str) -> None:
    """Refuse a column of labels in which all values differ, such as row numbers."""
    counts = examples.counts()
    if len(counts) > 2 and max(counts.values()) == 1:
        raise UserError(
            "A label must occur in several examples.",
            f"All {len(counts):,} values of the column {column!r} differ.",
            "Name another column with --label.",
        )


def _with_vectors(
    config: ClassifyConfig, preprocessing: ClassifyPreprocessing, path: str
) -> tuple[ClassifyPreprocessing, tuple[str, ...]]:
    """Add the word vectors of a file, and a note on how many words have one."""
    assert isinstance(preprocessing.encoder, TextEncoder)
    tokens = preprocessing.encoder.tokens
    vectors = read_vectors(Path(path), {tokens.token(i): i for i in range(tokens.size)})
    size, wanted = int(vectors[0].shape[1]), config.network.embedding_size
    if wanted not in (None, size):
        raise UserError(
            "--embedding-size must be that of the word vectors.",
            f"It was {wanted}, and {path} has {size}.",
            "Leave it out.",
        )
    note = f"vectors: {vectors[1].mean():.1%} of the vocabulary are in {path}"
    return replace(preprocessing, vector_size=size, vectors=vectors), (note,)


def _split(raw: Mapping[str, Examples], data: DataConfig) -> dict[str, Examples]:
    """Return the three splits."""
    whole = raw["training"]
    assert whole.labels is not None
    shares = split_fractions(data.split, ("validation" in raw, "test" in raw))
    cut = dict(zip(SPLITS, map(whole.some, stratified(whole.labels, shares)), strict=True))
    found = cut | {name: own for name, own in raw.items() if name != "training"}
    return {name: replace(own, where=f"The {name} split") for name, own in found.items()}


def _imbalance_notes(train: Examples) -> Iterator[str]:
    counts = train.counts()
    most, least = max(counts, key=lambda c: counts[c]), min(counts, key=lambda c: counts[c])
    if counts[most] > _IMBALANCE * counts[least]:
        yield (
            f"imbalance: the training split has {counts[most]:,} examples of {most!r} and {counts[least]:,} of "
            f"{least!r}; look at macro_f1, and try --class-weights balanced"
        )


def _duplicate_notes(raw: Mapping[str, Examples]) -> Iterator[str]:
    keys = {name: set(map(_key, own.items)) for name, own in raw.items()}
    for name, earlier in (("validation", "training"), ("test", "training"), ("test", "validation")):
        count = sum(_key(item) in keys[earlier] for item in raw[name].items)
        if count:
            yield (
                f"duplicates: {count:,} of {len(raw[name]):,} examples of the {name} split are in the {earlier} split"
            )


def _key(item: Any) -> object:
    """Return the same key for examples that differ in case and white space only."""
    return item.tobytes() if isinstance(item, np.ndarray) else " ".join(item.lower().split())


def _digest(raw: Mapping[str, Examples]) -> str:
    digest = sha256()
    for name, own in raw.items():
        digest.update(repr((name, own.channels, list(own.names), own.labels)).encode())
        for item in own.items:
            digest.update(
                item.tobytes() if isinstance(item, np.ndarray) else item.encode("utf-8", "surrogatepass")
            )
            digest.update(b"\0")
    return digest.hexdigest()
