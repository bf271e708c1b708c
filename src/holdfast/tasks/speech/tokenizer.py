"""Tokenizer of a speech recognizer: characters, words or subwords of the training sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from holdfast._json import JsonMapping, JsonObject
from holdfast.decoding.ctc import BLANK
from holdfast.errors import UserError, damaged
from holdfast.optional_imports import load_extra

_UNKNOWN, _SPACE = "<unk>", "▁"
"""What the library tokenizers writes for an unknown character, and for the space before a word."""


class CTCTokenizer:
    """Tokens 1 ... V - 1, and the text that each of them adds; token 0 is the blank and adds
    nothing.

    A text is its words with one space between. Characters that no training sentence has get no
    token.

    Example:
        >>> tokenizer = CTCTokenizer.fit(["ab a"], "character", 500)
        >>> tokenizer.encode("a b!"), tokenizer.decode([2, 1, 3])
        ([2, 1, 3], 'a b')
    """

    def __init__(self, kind: str, pieces: Sequence[str], library: Any = None) -> None:
        self.kind, self.pieces, self.library = kind, ("", *pieces), library
        self.size = len(self.pieces)
        self.numbers = {piece: number for number, piece in enumerate(self.pieces) if number != BLANK}
        self.encode: Callable[[str], list[int]] = {
            "character": self._characters,
            "word": self._words,
            "subword": self._subwords,
        }[kind]

    @classmethod
    def fit(cls, texts: Iterable[str], kind: str, most: int) -> Self:
        """Collect the tokens of some sentences; ``most`` limits the number of subwords."""
        clean = [spaced(text) for text in texts]
        if kind == "subword":
            return cls._of(_fit_subwords(clean, most))
        found = {token for text in clean for token in (text if kind == "character" else text.split())}
        return cls(kind, [token if kind == "character" else f"{token} " for token in sorted(found)])

    @classmethod
    def _of(cls, library: Any) -> Self:
        tokens = [library.id_to_token(number) for number in range(library.get_vocab_size())]
        return cls("subword", [token.replace(_SPACE, " ") for token in tokens if token != _UNKNOWN], library)

    def _characters(self, text: str) -> list[int]:
        return [self.numbers[sign] for sign in spaced(text) if sign in self.numbers]

    def _words(self, text: str) -> list[int]:
        return [self.numbers[f"{word} "] for word in text.split() if f"{word} " in self.numbers]

    def _subwords(self, text: str) -> list[int]:
        tokens = self.library.encode(spaced(text)).tokens
        return [self.numbers[token.replace(_SPACE, " ")] for token in tokens if token != _UNKNOWN]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of some tokens."""
        return spaced("".join(self.pieces[token] for token in tokens))

    def whole_words(self, tokens: Sequence[int]) -> str:
        """Return the words of some tokens that no further token can make longer."""
        spelled = "".join(self.pieces[token] for token in tokens)
        return spaced(spelled[: spelled.rfind(" ") + 1])

    def unknown(self, text: str) -> int:
        """Return how many characters, or words, of a text have no token."""
        if self.kind == "word":
            return len(text.split()) - len(self.encode(text))
        known = {sign for piece in self.pieces for sign in piece}
        return sum(sign not in known for sign in spaced(text))

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        own = json.loads(self.library.to_str()) if self.library is not None else list(self.pieces[1:])
        return {"unit": self.kind, "units": own}

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        try:
            if values["unit"] == "subword":
                return cls._of(
                    load_extra("tokenizers", "speech").Tokenizer.from_str(json.dumps(values["units"]))
                )
            return cls(values["unit"], [str(piece) for piece in values["units"]])
        except UserError:
            raise
        except Exception as error:  # the library tokenizers raises no other class
            raise damaged(where, "Its tokens are damaged.") from error


def spaced(text: str) -> str:
    """Return the words of a text with one space between."""
    return " ".join(text.split())


def _fit_subwords(texts: Sequence[str], most: int) -> object:
    """Fit byte-pair encoding on characters, so that every token is text; spaces begin words."""
    library = load_extra("tokenizers", "speech")
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Metaspace()
    trainer = library.trainers.BpeTrainer(vocab_size=most, special_tokens=[_UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
