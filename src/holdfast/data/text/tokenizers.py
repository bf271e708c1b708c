"""What a text is cut into: characters, bytes, words or subwords, and the numbers that stand for them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import UserError, missing_library

Ids = NDArray[np.int64]
UNKNOWN, LINE_END = "<unk>", "<eos>"


class Tokenizer(Protocol):
    """A vocabulary: text to numbers and back.

    Attributes:
        kind: a name in :data:`TOKENIZERS`.
        size: V; numbers are 0 ... V - 1, the more frequent the smaller where the kind allows.
        unknown: the number of everything that is not in the vocabulary; None where there is no such thing.
        begin: the number after which a text begins, that of a line's end where there is one.
        separator: what stands between two units in a text.
    """

    kind: ClassVar[str]
    separator: ClassVar[str]
    size: int
    unknown: int | None
    begin: int

    def encode(self, text: str) -> Ids:
        """The numbers of a text that ends behind a line or at the end of the text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some numbers."""
        ...

    def token(self, number: int) -> str:
        """What a number stands for, to be shown."""
        ...

    def state(self) -> Any:
        """Everything, for JSON; given to the class's ``from_state``."""
        ...


class CharacterTokenizer:
    """Single characters; the first number is that of unknown ones."""

    kind: ClassVar[str] = "character"
    separator: ClassVar[str] = ""
    unknown: int | None = 0

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = [UNKNOWN, *symbols]
        self.size = len(self.symbols)
        codes = [ord(symbol) for symbol in symbols]
        self.table = np.zeros(max(codes, default=0) + 2, np.int64)  # the last entry: all characters beyond
        self.table[codes] = np.arange(1, self.size)
        self.begin = int(self.table[ord("\n")]) if len(self.table) > ord("\n") else 0

    @classmethod
    def fit(cls, pieces: Iterable[str], most: int | None) -> CharacterTokenizer:
        """The characters of a text, or the ``most`` frequent ones; always with a line's end where the text has one."""
        found = _frequent(_counts(pieces, list), None)
        kept = found[:most]
        return cls([*kept[:-1], "\n"] if "\n" in found and "\n" not in kept else kept)

    @classmethod
    def from_state(cls, state: Any) -> CharacterTokenizer:
        """What :meth:`state` gave."""
        return cls(state)

    def encode(self, text: str) -> Ids:
        """The numbers of the characters."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self.table[np.minimum(codes, len(self.table) - 1)]

    def decode(self, ids: Sequence[int]) -> str:
        """The characters; unknown ones as a replacement character."""
        return "".join(self.symbols[i] if i else "\N{REPLACEMENT CHARACTER}" for i in ids)

    def token(self, number: int) -> str:
        """The character, invisible ones escaped."""
        symbol = self.symbols[number]
        return symbol if symbol.isprintable() else ascii(symbol)[1:-1]

    def state(self) -> Any:
        """The characters but the unknown one."""
        return self.symbols[1:]


class ByteTokenizer:
    """The bytes of the text in UTF-8: a vocabulary of 256 for every language, and nothing is unknown."""

    kind: ClassVar[str] = "byte"
    separator: ClassVar[str] = ""
    size, begin = 256, ord("\n")
    unknown: int | None = None

    @classmethod
    def fit(cls, pieces: Iterable[str], most: int | None) -> ByteTokenizer:
        """Always the same."""
        return cls()

    @classmethod
    def from_state(cls, state: Any) -> ByteTokenizer:
        """Always the same."""
        return cls()

    def encode(self, text: str) -> Ids:
        """The bytes."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """The text; what is no UTF-8 as replacement characters."""
        return bytes(map(int, ids)).decode("utf-8", "replace")

    def token(self, number: int) -> str:
        """The byte as a character of ASCII, or in hexadecimal."""
        return chr(number) if 32 <= number < 127 else f"0x{number:02x}"

    def state(self) -> Any:
        """Nothing."""
        return None


class WordTokenizer:
    """What stands between white space; a line's end is a word of its own, unknown words are one word."""

    kind: ClassVar[str] = "word"
    separator: ClassVar[str] = " "

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.size = len(self.words)
        self.numbers = {word: number for number, word in enumerate(self.words)}
        self.unknown: int | None = self.numbers[UNKNOWN]
        self.begin = self.numbers[LINE_END]

    @classmethod
    def fit(cls, pieces: Iterable[str], most: int | None, min_count: int = 1) -> WordTokenizer:
        """The words of a text, or the ``most`` frequent ones, the more frequent first.

        Where the text has no ``<unk>``, those that stand in it fewer than ``min_count`` times are unknown words.
        """
        counts = _counts(pieces, _words)
        words = _frequent(counts, most)
        if UNKNOWN not in counts:
            words = [word for word in words if counts[word] >= min_count]
        return cls([*words, *(word for word in (LINE_END, UNKNOWN) if word not in words)])

    @classmethod
    def from_state(cls, state: Any) -> WordTokenizer:
        """What :meth:`state` gave."""
        return cls(state)

    def encode(self, text: str) -> Ids:
        """The numbers of the words and line ends."""
        numbers, unknown = self.numbers, self.unknown
        return np.array([numbers.get(word, unknown) for word in _words(text)], np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """The words with spaces between, and line ends."""
        text = " ".join("\n" if i == self.begin else self.words[i] for i in ids)
        return text.replace(" \n", "\n").replace("\n ", "\n")

    def token(self, number: int) -> str:
        """The word."""
        return self.words[number]

    def state(self) -> Any:
        """The words."""
        return self.words


class _SubwordTokenizer:
    """Byte-pair encoding (Sennrich et al. 2016) of bytes, by the library ``tokenizers``: nothing is unknown."""

    kind: ClassVar[str] = "subword"
    separator: ClassVar[str] = ""
    unknown: int | None = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size()
        self.begin: int = tokenizer.encode("\n").ids[-1]

    @classmethod
    def fit(cls, pieces: Iterable[str], most: int | None) -> _SubwordTokenizer:
        """Merges learnt on a text, up to a vocabulary of ``most`` (8,000 when None)."""
        library = _tokenizers()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=max(most or 8000, 256),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(pieces, trainer)
        return cls(tokenizer)

    @classmethod
    def from_state(cls, state: Any) -> _SubwordTokenizer:
        """What :meth:`state` gave."""
        return cls(_tokenizers().Tokenizer.from_str(json.dumps(state)))

    def encode(self, text: str) -> Ids:
        """The numbers of the subwords."""
        return np.array(self.tokenizer.encode(text).ids, np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """The text."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def token(self, number: int) -> str:
        """The subword, a space as ``␣``, a line's end as ``⏎``; parts of a character as the library shows bytes."""
        text = self.decode([number])
        if "\N{REPLACEMENT CHARACTER}" in text:
            return str(self.tokenizer.id_to_token(number))
        signs = text.translate({ord(" "): "\N{OPEN BOX}", ord("\n"): "\N{RETURN SYMBOL}"})
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in signs)

    def state(self) -> Any:
        """The library's own JSON."""
        return json.loads(self.tokenizer.to_str())


TOKENIZERS: dict[str, type[CharacterTokenizer | ByteTokenizer | WordTokenizer | _SubwordTokenizer]] = {
    units.kind: units for units in (CharacterTokenizer, ByteTokenizer, WordTokenizer, _SubwordTokenizer)
}
"""Kind -> class."""


def _words(text: str) -> list[str]:
    """The words and line ends; a text that ends in white space is a piece of a longer line, which does not end."""
    if not text:
        return []
    lines = text.split("\n")
    ends = [LINE_END] * (len(lines) - 1) + ([] if not lines[-1] or lines[-1][-1].isspace() else [LINE_END])
    return [word for line, end in zip([*lines], [*ends, ""]) for word in (*line.split(), end) if word]


def _counts(pieces: Iterable[str], split: Callable[[str], Iterable[str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for piece in pieces:
        counts.update(split(piece))
    return counts


def _frequent(counts: Counter[str], most: int | None) -> list[str]:
    return [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ModuleNotFoundError as error:
        raise missing_library(error, "text") from error
    return tokenizers


def tokenizer_to_dict(units: Tokenizer) -> dict[str, Any]:
    """A vocabulary with its kind, for JSON."""
    return {"unit": units.kind, "units": units.state()}


def tokenizer_from_dict(values: Mapping[str, Any], where: Path) -> Tokenizer:
    """What :func:`tokenizer_to_dict` gave.

    Raises:
        UserError: it is damaged.
    """
    try:
        return TOKENIZERS[values["unit"]].from_state(values["units"])
    except Exception as error:  # the library tokenizers raises no other class
        rule = f"{where} holds a vocabulary as training wrote it."
        raise UserError(rule, "It is damaged.", "Copy the folder again, or train anew.") from error


def encode_known(units: Tokenizer, text: str, what: str) -> Ids:
    """The numbers of a text in which nothing may be unknown.

    Raises:
        UserError: names what is unknown.
    """
    ids = units.encode(text)
    if units.unknown is not None and (ids == units.unknown).any():
        alone = sorted(
            {
                part
                for part in (text.split() if units.separator else text)
                if units.unknown in units.encode(part)
            }
        )
        raise UserError(
            f"{what} is made of {units.kind}s that the model knows.",
            f"It does not know: {', '.join(map(repr, alone[:5]))}.",
            "Leave these out, or train with --token byte, to which nothing is unknown.",
        )
    return ids
