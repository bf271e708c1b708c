"""Tokenizers: text as the ids of characters, bytes, words or subwords, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast._json import JsonMapping, JsonObject
from holdfast.errors import UserError, damaged
from holdfast.optional_imports import load_extra

Ids = NDArray[np.int64]
UNKNOWN, LINE_END = "<unk>", "<eos>"


class Tokenizer(Protocol):
    """A fitted tokenizer with its vocabulary.

    Attributes:
        kind: its name in :data:`TOKENIZERS`.
        size: V, the size of the vocabulary; ids are 0 ... V - 1, frequent tokens first where the
            kind allows.
        unknown: the id of every token outside the vocabulary; None where nothing can be unknown.
        begin: the id that precedes a text: the line end where the vocabulary has one.
        separator: what separates two tokens in a text.
    """

    kind: ClassVar[str]
    separator: ClassVar[str]
    size: int
    unknown: int | None
    begin: int

    def encode(self, text: str) -> Ids:
        """Return the ids of a text; the end of the text counts as the end of a line."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids."""
        ...

    def token(self, number: int) -> str:
        """Return the token of an id, for display."""
        ...

    def state(self) -> Any:
        """Return the vocabulary as JSON can hold it, for ``from_state``."""
        ...


class CharacterTokenizer:
    """Tokens are single characters; id 0 is every unknown character."""

    kind: ClassVar[str] = "character"
    separator: ClassVar[str] = ""
    unknown: int | None = 0

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = [UNKNOWN, *symbols]
        self.size = len(self.symbols)
        codes = [ord(symbol) for symbol in symbols]
        self._table = np.zeros(max(codes, default=0) + 2, np.int64)  # the last entry: all characters beyond
        self._table[codes] = np.arange(1, self.size)
        self.begin = int(self._table[ord("\n")]) if len(self._table) > ord("\n") else 0

    @classmethod
    def fit(cls, chunks: Iterable[str], max_size: int | None) -> CharacterTokenizer:
        """Fit on a text: all characters, or the ``max_size`` most frequent and the line end."""
        found = _by_frequency(_counts(chunks, list), None)
        kept = found[:max_size]
        return cls([*kept[:-1], "\n"] if "\n" in found and "\n" not in kept else kept)

    @classmethod
    def from_state(cls, state: Any) -> CharacterTokenizer:
        """Restore what :meth:`state` returned."""
        return cls(state)

    def encode(self, text: str) -> Ids:
        """Return the ids of the characters."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self._table[np.minimum(codes, len(self._table) - 1)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the characters, with a replacement character for unknown ones."""
        return "".join(self.symbols[i] if i else "\N{REPLACEMENT CHARACTER}" for i in ids)

    def token(self, number: int) -> str:
        """Return the character, escaped if it is not printable."""
        symbol = self.symbols[number]
        return symbol if symbol.isprintable() else ascii(symbol)[1:-1]

    def state(self) -> Any:
        """Return the characters, without the unknown one."""
        return self.symbols[1:]


class ByteTokenizer:
    """Tokens are the bytes of UTF-8: 256 for every language, and nothing is unknown."""

    kind: ClassVar[str] = "byte"
    separator: ClassVar[str] = ""
    size, begin = 256, ord("\n")
    unknown: int | None = None

    @classmethod
    def fit(cls, chunks: Iterable[str], max_size: int | None) -> ByteTokenizer:
        """Return the tokenizer; nothing is fitted."""
        return cls()

    @classmethod
    def from_state(cls, state: object) -> ByteTokenizer:
        """Return the tokenizer; it has no state."""
        return cls()

    def encode(self, text: str) -> Ids:
        """Return the bytes."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text, with replacement characters for bytes that are not UTF-8."""
        return bytes(map(int, ids)).decode("utf-8", "replace")

    def token(self, number: int) -> str:
        """Return the byte as an ASCII character or in hexadecimal."""
        return chr(number) if 32 <= number < 127 else f"0x{number:02x}"

    def state(self) -> Any:
        """Return None: there is no state."""
        return None


class WordTokenizer:
    """Tokens are words between white space; a line end is a token, all unknown words are one."""

    kind: ClassVar[str] = "word"
    separator: ClassVar[str] = " "

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.size = len(self.words)
        self.ids = {word: number for number, word in enumerate(self.words)}
        self.unknown: int | None = self.ids[UNKNOWN]
        self.begin = self.ids[LINE_END]

    @classmethod
    def fit(cls, chunks: Iterable[str], max_size: int | None, min_count: int = 1) -> WordTokenizer:
        """Fit on a text: all its words, or the ``max_size`` most frequent, frequent words first.

        If the text has no ``<unk>``, words that occur fewer than ``min_count`` times count as
        unknown.
        """
        counts = _counts(chunks, _words)
        words = _by_frequency(counts, max_size)
        if UNKNOWN not in counts:
            words = [word for word in words if counts[word] >= min_count]
        return cls([*words, *(word for word in (LINE_END, UNKNOWN) if word not in words)])

    @classmethod
    def from_state(cls, state: Any) -> WordTokenizer:
        """Restore what :meth:`state` returned."""
        return cls(state)

    def encode(self, text: str) -> Ids:
        """Return the ids of the words and line ends."""
        ids, unknown = self.ids, self.unknown
        return np.array([ids.get(word, unknown) for word in _words(text)], np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the words with spaces between them, and line ends."""
        text = " ".join("\n" if i == self.begin else self.words[i] for i in ids)
        return text.replace(" \n", "\n").replace("\n ", "\n")

    def token(self, number: int) -> str:
        """Return the word."""
        return self.words[number]

    def state(self) -> Any:
        """Return the words."""
        return self.words


class _SubwordTokenizer:
    """Byte-pair encoding of bytes (Sennrich et al. 2016), by the library ``tokenizers``."""

    kind: ClassVar[str] = "subword"
    separator: ClassVar[str] = ""
    unknown: int | None = None

    def __init__(self, bpe: Any) -> None:
        self._bpe = bpe
        self.size: int = bpe.get_vocab_size()
        self.begin: int = bpe.encode("\n").ids[-1]

    @classmethod
    def fit(cls, chunks: Iterable[str], max_size: int | None) -> _SubwordTokenizer:
        library = load_extra("tokenizers", "text")
        bpe = library.Tokenizer(library.models.BPE())
        bpe.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=max(max_size or 8000, 256),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(chunks, trainer)
        return cls(bpe)

    @classmethod
    def from_state(cls, state: object) -> _SubwordTokenizer:
        return cls(load_extra("tokenizers", "text").Tokenizer.from_str(json.dumps(state)))

    def encode(self, text: str) -> Ids:
        return np.array(self._bpe.encode(text).ids, np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._bpe.decode(list(ids), skip_special_tokens=False))

    def token(self, number: int) -> str:
        """Return the subword, with ``␣`` for a space and ``⏎`` for a line end."""
        text = self.decode([number])
        if "\N{REPLACEMENT CHARACTER}" in text:
            return str(self._bpe.id_to_token(number))
        shown = text.translate({ord(" "): "\N{OPEN BOX}", ord("\n"): "\N{RETURN SYMBOL}"})
        return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in shown)

    def state(self) -> Any:
        return json.loads(self._bpe.to_str())


TOKENIZERS: dict[str, type[CharacterTokenizer | ByteTokenizer | WordTokenizer | _SubwordTokenizer]] = {
    tokenizer.kind: tokenizer
    for tokenizer in (CharacterTokenizer, ByteTokenizer, WordTokenizer, _SubwordTokenizer)
}
"""Kind -> class."""


def _words(text: str) -> list[str]:
    """Split a text into words and line ends; a last line ends unless white space trails it."""
    if not text:
        return []
    lines = text.split("\n")
    ends = [LINE_END] * (len(lines) - 1) + ([] if not lines[-1] or lines[-1][-1].isspace() else [LINE_END])
    return [word for line, end in zip([*lines], [*ends, ""]) for word in (*line.split(), end) if word]


def _counts(chunks: Iterable[str], split: Callable[[str], Iterable[str]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk in chunks:
        counts.update(split(chunk))
    return counts


def _by_frequency(counts: Counter[str], max_size: int | None) -> list[str]:
    return [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:max_size]]


def tokenizer_to_dict(tokenizer: Tokenizer) -> JsonObject:
    """Return a tokenizer's kind and vocabulary as JSON can hold them."""
    return {"unit": tokenizer.kind, "units": tokenizer.state()}


def tokenizer_from_dict(values: JsonMapping, where: Path) -> Tokenizer:
    """Restore what :func:`tokenizer_to_dict` returned.

    Raises:
        UserError: the values are damaged.
    """
    try:
        return TOKENIZERS[values["unit"]].from_state(values["units"])
    except Exception as error:  # the library tokenizers raises no other class
        raise damaged(where, "Its vocabulary is damaged.") from error


def encode_known(tokenizer: Tokenizer, text: str, what: str) -> Ids:
    """Return the ids of a text whose tokens must all be known.

    Raises:
        UserError: a token is unknown (the error names up to five).
    """
    ids, unknown = tokenizer.encode(text), tokenizer.unknown
    if unknown is not None and (ids == unknown).any():
        tokens = text.split() if tokenizer.separator else text
        missing = sorted({token for token in tokens if unknown in tokenizer.encode(token)})
        raise UserError(
            f"{what} must use {tokenizer.kind}s of the model's vocabulary.",
            f"These are unknown: {', '.join(map(repr, missing[:5]))}.",
            "Leave them out, or train with --token byte, which knows every text.",
        )
    return ids
