"""One side of a pair: sentences to token numbers and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from holdfast._json import JsonMapping, JsonObject
from holdfast.data.text.tokenizers import TOKENIZERS, Ids, Tokenizer, tokenizer_from_dict, tokenizer_to_dict
from holdfast.errors import UserError

_WORDS = re.compile(r"\w+(?:['\u2019\-]\w+)*['\u2019]?|[^\w\s]")
_BEFORE = re.compile(r" (?=[.,!?;:)\]%…])")
_AFTER = re.compile(r"(?<=[(\[¿¡]) ")


def words(sentence: str) -> list[str]:
    """Split a sentence into words and punctuation.

    Example:
        >>> words("Two men, one dog's ball.")
        ['Two', 'men', ',', 'one', "dog's", 'ball', '.']
    """
    return _WORDS.findall(sentence)


def joined(found: Iterable[str]) -> str:
    """Join words to a sentence, without spaces before punctuation.

    Example:
        >>> joined(["Two", "men", ",", "one", "ball", "."])
        'Two men, one ball.'
    """
    return _AFTER.sub("", _BEFORE.sub("", " ".join(found)))


@dataclass(frozen=True)
class SentenceTokenizer:
    """The tokens of a language; the number of a line end begins and ends each sentence."""

    tokens: Tokenizer
    lower: bool

    @classmethod
    def fit(cls, sentences: Iterable[str], kind: str, most: int, lower: bool) -> Self:
        """Collect the vocabulary of the training split.

        Raises:
            UserError: the vocabulary is too small for its kind of token.
        """
        if kind == "subword" and most <= 256:
            raise UserError(
                "A vocabulary of subwords must have more than the 256 bytes.",
                f"It was {most}.",
                "Give for example --vocabulary 4000.",
            )
        pieces = (f"{_prepared(sentence, kind, lower)}\n" for sentence in sentences)
        return cls(TOKENIZERS[kind].fit(pieces, most), lower)

    @property
    def size(self) -> int:
        """Size of the vocabulary, V."""
        return self.tokens.size

    @property
    def end(self) -> int:
        """The token before a sentence's first and after its last one."""
        return self.tokens.begin

    @property
    def words(self) -> bool:
        """Whether the tokens are words, which may be unknown."""
        return self.tokens.kind == "word"

    def encode(self, sentence: str) -> Ids:
        """Return the token numbers of a sentence, without its end token."""
        found = self.tokens.encode(_prepared(sentence, self.tokens.kind, self.lower))
        return found[:-1] if len(found) and found[-1] == self.end else found

    def decode(self, numbers: Sequence[int], unknown: Sequence[str] = ()) -> str:
        """Return the sentence of some token numbers.

        Args:
            numbers: [T].
            unknown: [T], what to write in place of an unknown word; its name when empty.
        """
        if not self.words:
            return " ".join(self.tokens.decode(list(numbers)).split())
        names = [self.tokens.token(n) for n in numbers]
        if unknown:
            names = [
                other if n == self.tokens.unknown else name for n, name, other in zip(numbers, names, unknown)
            ]
        return joined(names)

    def names(self, numbers: Sequence[int]) -> list[str]:
        """Return each token as it is shown."""
        return [self.tokens.token(n) for n in numbers]

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        return {"lower": self.lower, **tokenizer_to_dict(self.tokens)}

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        return cls(tokenizer_from_dict(values, where), bool(values.get("lower")))


def source_words(sentence: str, tokenizer: SentenceTokenizer) -> list[str]:
    """Return the words of a sentence as the file has them, one per token."""
    return words(sentence.lower() if tokenizer.lower else sentence)


def unknown_share(tokenizer: SentenceTokenizer, encoded: Sequence[Ids]) -> float:
    """Return the share of tokens that the vocabulary lacks."""
    if tokenizer.tokens.unknown is None or not encoded:
        return 0.0
    whole = np.concatenate(encoded)
    return float((whole == tokenizer.tokens.unknown).mean()) if len(whole) else 0.0


def _prepared(sentence: str, kind: str, lower: bool) -> str:
    """Return the text to cut into tokens; a space makes its first subword like any other."""
    text = sentence.strip().lower() if lower else sentence.strip()
    if kind == "word":
        return " ".join(words(text))
    return f" {text}" if text and kind == "subword" else text
