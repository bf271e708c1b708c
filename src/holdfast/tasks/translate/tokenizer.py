"""One language's side: sentences to numbers and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from holdfast.data.text.tokenizers import TOKENIZERS, Ids, Tokenizer, tokenizer_from_dict, tokenizer_to_dict
from holdfast.errors import UserError

_WORDS = re.compile(r"\w+(?:['\u2019\-]\w+)*['\u2019]?|[^\w\s]")
_BEFORE = re.compile(r" (?=[.,!?;:)\]%…])")
_AFTER = re.compile(r"(?<=[(\[¿¡]) ")


def words(sentence: str) -> list[str]:
    """A sentence's words, its punctuation apart.

    Example:
        >>> words("Two men, one dog's ball.")
        ['Two', 'men', ',', 'one', "dog's", 'ball', '.']
    """
    return _WORDS.findall(sentence)


def joined(found: Iterable[str]) -> str:
    """Words as a sentence, no space before its punctuation.

    Example:
        >>> joined(["Two", "men", ",", "one", "ball", "."])
        'Two men, one ball.'
    """
    return _AFTER.sub("", _BEFORE.sub("", " ".join(found)))


@dataclass(frozen=True)
class Vocabulary:
    """The units of a language; the number of a line's end begins and ends each sentence."""

    units: Tokenizer
    lower: bool

    @classmethod
    def fit(cls, sentences: Iterable[str], unit: str, most: int, lower: bool) -> Self:
        """The units of the training part.

        Raises:
            UserError: a vocabulary that is smaller than the units need.
        """
        if unit == "subword" and most <= 256:
            raise UserError(
                "A vocabulary of subwords holds the 256 bytes and more.",
                f"It was {most}.",
                "Give for example --vocabulary 4000.",
            )
        pieces = (f"{_prepared(sentence, unit, lower)}\n" for sentence in sentences)
        return cls(TOKENIZERS[unit].fit(pieces, most), lower)

    @property
    def size(self) -> int:
        """V."""
        return self.units.size

    @property
    def end(self) -> int:
        """The number before a sentence's first and behind its last unit."""
        return self.units.begin

    @property
    def words(self) -> bool:
        """Whether the units are words, which may be unknown."""
        return self.units.kind == "word"

    def encode(self, sentence: str) -> Ids:
        """The numbers of a sentence, without its end."""
        found = self.units.encode(_prepared(sentence, self.units.kind, self.lower))
        return found[:-1] if len(found) and found[-1] == self.end else found

    def decode(self, numbers: Sequence[int], unknown: Sequence[str] = ()) -> str:
        """The sentence of some numbers.

        Args:
            numbers: [T].
            unknown: [T], what to write where the number is that of unknown words; as it is called when empty.
        """
        if not self.words:
            return " ".join(self.units.decode(list(numbers)).split())
        names = [self.units.token(n) for n in numbers]
        if unknown:
            names = [
                other if n == self.units.unknown else name for n, name, other in zip(numbers, names, unknown)
            ]
        return joined(names)

    def names(self, numbers: Sequence[int]) -> list[str]:
        """Each unit as it is shown."""
        return [self.units.token(n) for n in numbers]

    def state(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {"lower": self.lower, **tokenizer_to_dict(self.units)}

    @classmethod
    def from_state(cls, state: dict[str, Any], where: Path) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: it is damaged.
        """
        return cls(tokenizer_from_dict(state, where), bool(state.get("lower")))


def source_words(sentence: str, vocabulary: Vocabulary) -> list[str]:
    """What stands in a sentence at each of its units, for words."""
    return words(sentence.lower() if vocabulary.lower else sentence)


def unknown_share(vocabulary: Vocabulary, encoded: Sequence[Ids]) -> float:
    """Share of the units that the vocabulary lacks."""
    if vocabulary.units.unknown is None or not encoded:
        return 0.0
    whole = np.concatenate(encoded)
    return float((whole == vocabulary.units.unknown).mean()) if len(whole) else 0.0


def _prepared(sentence: str, unit: str, lower: bool) -> str:
    """The text whose units are counted: a space before it, so that its first word is one as any other."""
    text = sentence.strip().lower() if lower else sentence.strip()
    if unit == "word":
        return " ".join(words(text))
    return f" {text}" if text and unit == "subword" else text
