"""What a translation network has to beat: the source as it stands, and each word by its likeliest translation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.parallel import SentencePairs
from holdfast.errors import UserError
from holdfast.tasks.translate.ibm_model1 import Alignment
from holdfast.tasks.translate.tokenizer import joined, words


@dataclass(frozen=True)
class Baselines:
    """``copy`` writes the source; ``word_by_word`` the likeliest translation of each word by IBM model 1.

    Attributes:
        table: source word -> target word; a word that is not in it is copied.
        lower: whether all is in lower case.
        notes: what to tell of the fit.
    """

    table: Mapping[str, str]
    lower: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, train: SentencePairs, lower: bool) -> Self:
        """Align the words of the training pairs."""
        split = [(words(_cased(s, lower)), words(_cased(t, lower))) for s, t in train]
        alignment = Alignment.fit(split)
        read = alignment.sentences
        note = f"word_by_word was fitted on the first {read:,} of {len(split):,} training pairs"
        return cls(alignment.likeliest(), lower, (note,) if read < len(split) else ())

    def each(self, sources: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Name and translations of every baseline."""
        texts = [_cased(source, self.lower) for source in sources]
        yield "copy", texts
        yield "word_by_word", [joined(self.table.get(w, w) for w in words(text)) for text in texts]

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name: words in UTF-8 with a line's end between."""
        sides = {"sources": list(self.table), "targets": list(self.table.values())}
        texts = {f"word_by_word.{name}": "\n".join(side) for name, side in sides.items()}
        return {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array], lower: bool) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        try:
            sides = [
                bytes(arrays[f"word_by_word.{name}"]).decode().split("\n") for name in ("sources", "targets")
            ]
            return cls(dict(zip(*sides, strict=True)), lower)
        except (KeyError, ValueError) as error:
            rule = "baselines.safetensors holds the words as training wrote them."
            raise UserError(
                rule, f"It lacks some: {error}.", "Copy the folder again, or train anew."
            ) from error


def _cased(text: str, lower: bool) -> str:
    return text.lower() if lower else text
