"""What a classifier knows of its data: the classes, and how an example becomes numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.tokenizers import TOKENIZERS, Tokenizer, tokenizer_from_dict, tokenizer_to_dict
from holdfast.errors import UserError
from holdfast.files import listed

WORD = re.compile(r"'?\w+(?:['\u2019-]\w+)*|[^\w\s]")
"""A word with its inner apostrophes and hyphens, or one sign of punctuation."""


class Encoder(Protocol):
    """From an example to what the network reads.

    Attributes:
        kind: ``"text"`` or ``"series"``.
    """

    kind: ClassVar[str]

    def encode(self, item: Any) -> Array:
        """Numbers of units [n], or values [n, C]."""
        ...

    def steps(self, item: Any) -> list[str]:
        """What each step is called."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything, for JSON."""
        ...


class TextEncoder:
    """Units of a text."""

    kind: ClassVar[str] = "text"

    def __init__(self, units: Tokenizer) -> None:
        self.units = units

    @classmethod
    def fit(cls, texts: Iterable[str], unit: str, vocabulary: int | None) -> Self:
        """The vocabulary of some texts."""
        return cls(TOKENIZERS[unit].fit((_prepared(text, unit) for text in texts), vocabulary))

    @classmethod
    def from_state(cls, values: Mapping[str, Any], where: Path) -> Self:
        """What :meth:`state` gave."""
        return cls(tokenizer_from_dict(values, where))

    def encode(self, item: str) -> Array:
        """The numbers [n] of its units."""
        ids = self.units.encode(_prepared(item, self.units.kind))
        return ids[:-1] if self.units.kind == "word" else ids  # words end with a line's end

    def steps(self, item: str) -> list[str]:
        """The words as they stand in the text; other units as the vocabulary shows them."""
        if self.units.kind == "word":
            return WORD.findall(item.lower())
        return [self.units.token(int(i)) for i in self.encode(item)]

    def state(self) -> dict[str, Any]:
        """The vocabulary."""
        return tokenizer_to_dict(self.units)


@dataclass(frozen=True)
class SeriesEncoder:
    """Values as they are; the network standardises them."""

    kind: ClassVar[str] = "series"
    channels: tuple[str, ...]

    def encode(self, item: Array) -> Array:
        """The values [n, C]."""
        return item

    def steps(self, item: Array) -> list[str]:
        """The numbers of the steps, from 0."""
        return [str(step) for step in range(len(item))]

    def state(self) -> dict[str, Any]:
        """The channels."""
        return {"channels": list(self.channels)}


def _prepared(text: str, unit: str) -> str:
    return " ".join(WORD.findall(text.lower())) if unit == "word" else text


@dataclass(frozen=True)
class Schema:
    """The classes and the encoder.

    Attributes:
        classes: K labels, sorted.
        multiple: an example may have several.
        encoder: see :class:`Encoder`.
        vector_size: E of the word vectors that training began with, where it did.
        digest: by which the data are known again.
    """

    classes: tuple[str, ...]
    multiple: bool
    encoder: TextEncoder | SeriesEncoder
    vector_size: int | None
    digest: str

    def targets(self, labels: Sequence[tuple[str, ...]], where: str) -> Array:
        """Labels as [N, K] of 0 and 1.

        Raises:
            UserError: labels that training did not see, by name.
        """
        numbers = {name: k for k, name in enumerate(self.classes)}
        unseen = sorted({label for own in labels for label in own if label not in numbers})
        if unseen:
            raise UserError(
                f"Labels are those of the training part: {listed(self.classes)}.",
                f"{where} also has {listed([repr(label) for label in unseen])}.",
                "Correct these labels, remove their rows, or train on examples of them.",
            )
        targets = np.zeros((len(labels), len(self.classes)), np.float32)
        for row, own in enumerate(labels):
            targets[row, [numbers[label] for label in own]] = 1.0
        return targets

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "digest": self.digest,
            "kind": self.encoder.kind,
            "classes": list(self.classes),
            "multiple": self.multiple,
            "vector_size": self.vector_size,
            **self.encoder.state(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: Path) -> Self:
        """What :meth:`to_dict` gave.

        Raises:
            UserError: it is damaged.
        """
        try:
            encoder = (
                TextEncoder.from_state(values, where)
                if values["kind"] == "text"
                else SeriesEncoder(tuple(values["channels"]))
            )
            size = values["vector_size"]
            return cls(
                tuple(values["classes"]), bool(values["multiple"]), encoder, size, str(values["digest"])
            )
        except (KeyError, TypeError) as error:
            rule = f"{where} holds classes and a vocabulary as training wrote them."
            raise UserError(rule, f"It lacks {error}.", "Copy the folder again, or train anew.") from error
