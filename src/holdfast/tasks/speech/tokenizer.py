"""The units that a recogniser writes, behind the blank: characters, words or subwords of the training sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from holdfast.decoding.ctc import BLANK
from holdfast.errors import UserError, missing_library

UNKNOWN, SPACE = "<unk>", "▁"
"""What the library tokenizers writes for a sign that it does not know, and for the space before a word."""


class Alphabet:
    """Units 1 ... V - 1, and what each of them adds to a text; unit 0 is the blank and adds nothing.

    A text is its words with one space between. What stands in no training sentence has no unit.

    Example:
        >>> alphabet = Alphabet.fit(["ab a"], "character", 500)
        >>> alphabet.encode("a b!"), alphabet.decode([2, 1, 3])
        ([2, 1, 3], 'a b')
    """

    def __init__(self, kind: str, pieces: Sequence[str], tokenizer: Any = None) -> None:
        self.kind, self.pieces, self.tokenizer = kind, ("", *pieces), tokenizer
        self.size = len(self.pieces)
        self.numbers = {piece: number for number, piece in enumerate(self.pieces) if number != BLANK}
        self.encode: Callable[[str], list[int]] = {
            "character": self._characters,
            "word": self._words,
            "subword": self._subwords,
        }[kind]

    @classmethod
    def fit(cls, texts: Iterable[str], kind: str, most: int) -> Self:
        """The units of some sentences."""
        clean = [spaced(text) for text in texts]
        if kind == "subword":
            return cls._of(_subwords_of(clean, most))
        found = {unit for text in clean for unit in (text if kind == "character" else text.split())}
        return cls(kind, [unit if kind == "character" else f"{unit} " for unit in sorted(found)])

    @classmethod
    def _of(cls, tokenizer: Any) -> Self:
        tokens = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
        return cls("subword", [token.replace(SPACE, " ") for token in tokens if token != UNKNOWN], tokenizer)

    def _characters(self, text: str) -> list[int]:
        return [self.numbers[sign] for sign in spaced(text) if sign in self.numbers]

    def _words(self, text: str) -> list[int]:
        return [self.numbers[f"{word} "] for word in text.split() if f"{word} " in self.numbers]

    def _subwords(self, text: str) -> list[int]:
        tokens = self.tokenizer.encode(spaced(text)).tokens
        return [self.numbers[token.replace(SPACE, " ")] for token in tokens if token != UNKNOWN]

    def decode(self, units: Sequence[int]) -> str:
        """The text of some units."""
        return spaced("".join(self.pieces[unit] for unit in units))

    def whole_words(self, units: Sequence[int]) -> str:
        """The words of some units that no further unit can make longer."""
        spelt = "".join(self.pieces[unit] for unit in units)
        return spaced(spelt[: spelt.rfind(" ") + 1])

    def unknown(self, text: str) -> int:
        """How many characters, or words, of a text have no unit."""
        if self.kind == "word":
            return len(text.split()) - len(self.encode(text))
        known = {sign for piece in self.pieces for sign in piece}
        return sum(sign not in known for sign in spaced(text))

    def state(self) -> dict[str, Any]:
        """Everything, for JSON."""
        own = json.loads(self.tokenizer.to_str()) if self.tokenizer is not None else list(self.pieces[1:])
        return {"unit": self.kind, "units": own}

    @classmethod
    def from_state(cls, state: Any, where: Path) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: it is damaged.
        """
        try:
            if state["unit"] == "subword":
                return cls._of(_tokenizers().Tokenizer.from_str(json.dumps(state["units"])))
            return cls(state["unit"], [str(piece) for piece in state["units"]])
        except UserError:
            raise
        except Exception as error:  # the library tokenizers raises no other class
            rule = f"{where} holds the units as training wrote them."
            raise UserError(rule, "They are damaged.", "Copy the folder again, or train anew.") from error


def spaced(text: str) -> str:
    """The words of a text with one space between."""
    return " ".join(text.split())


def _subwords_of(texts: Sequence[str], most: int) -> Any:
    """Byte-pair encoding of signs, not of bytes, so that every unit is some text; a word's first has its space."""
    library = _tokenizers()
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Metaspace()
    trainer = library.trainers.BpeTrainer(vocab_size=most, special_tokens=[UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ModuleNotFoundError as error:
        raise missing_library(error, "speech") from error
    return tokenizers
