"""Shallow fusion: score recognized text also by a language model, its words and hot words.

``score(y) = log p(y | sound) + weight log p(y) + bonus (words of y) + boost (hot words of y)``
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from holdfast._typing import Array
from holdfast.data.text.tokenizers import LINE_END, Tokenizer, WordTokenizer
from holdfast.decoding.ngram import NGramModel

UNKNOWN_COST = 10.0
"""Nats subtracted for a word that the language model does not know."""
_CACHE_SIZE = 100_000
"""n-gram probabilities to keep."""


class TextModel(Protocol):
    """A language model that reads text character by character."""

    def start(self) -> Hashable:
        """Return the state before a text."""
        ...

    def read(self, state: Hashable, character: str) -> tuple[Hashable, float]:
        """Return the state after a character, and the ``log p`` that became known with it."""
        ...

    def end(self, state: Hashable) -> float:
        """Return ``log p`` of the end of the text."""
        ...


class NoTextModel:
    """Give every text the same score, 0."""

    def start(self) -> Hashable:
        """Return None."""
        return None

    def read(self, state: Hashable, character: str) -> tuple[Hashable, float]:
        """Add nothing."""
        return None, 0.0

    def end(self, state: Hashable) -> float:
        """Add nothing."""
        return 0.0


class _WordModel(Protocol):
    """A language model that reads text word by word."""

    def start(self) -> Hashable:
        """Return the state before the first word."""
        ...

    def word(self, state: Hashable, word: str) -> tuple[Hashable, float]:
        """Return the state after a word, and the word's ``log p``."""
        ...

    def end(self, state: Hashable) -> float:
        """Return ``log p`` of the end."""
        ...


class NGramWordModel:
    """An n-gram model of the words of sentences (see :mod:`holdfast.decoding.ngram`).

    Example:
        >>> model = NGramWordModel.fit(["go left", "go right", "go left"], order=2)
        >>> after_go, _ = model.word(model.start(), "go")
        >>> model.word(after_go, "left")[1] > model.word(after_go, "right")[1]
        True
    """

    def __init__(self, ngrams: NGramModel, words: Sequence[str]) -> None:
        self.ngrams, self.words = ngrams, WordTokenizer(words)
        self.order = len(ngrams.levels)
        self._log_p = lru_cache(_CACHE_SIZE)(self._computed)

    @classmethod
    def fit(cls, sentences: Iterable[str], order: int) -> NGramWordModel:
        """Count the n-grams of sentences, with the end of each."""
        text = "".join(f"{' '.join(sentence.split())}\n" for sentence in sentences)
        words = WordTokenizer.fit([text], None)
        ids = np.concatenate([[words.begin], words.encode(text)])
        return cls(NGramModel.fit(ids, words.size, order), words.words)

    def start(self) -> Hashable:
        """Return the state at the beginning of a sentence."""
        return (self.words.begin,)

    def word(self, state: Any, word: str) -> tuple[Hashable, float]:
        """Return the last n - 1 words, and the word's ``log p``."""
        number = self.words.ids.get(word)
        cost = 0.0 if number is not None else UNKNOWN_COST
        number = self.words.ids["<unk>"] if number is None else number
        kept = (*state, number)[-(self.order - 1) :] if self.order > 1 else ()
        return kept, self._log_p(state, number) - cost

    def end(self, state: Any) -> float:
        """Return ``log p`` of the end of the sentence."""
        return self._log_p(state, self.words.ids[LINE_END])

    def _computed(self, context: tuple[int, ...], number: int) -> float:
        before, text = np.array(context, np.int64), np.array([number], np.int64)
        return -float(self.ngrams.nll(text, self.order, before)[0])


class NextTokenModel(Protocol):
    """A recurrent language model that reads one token at a time from any state."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that it was trained with."""
        ...

    def step(self, state: object, token: int) -> tuple[Any, Array]:
        """Return the state after a token (None: begin a text), and ``log p`` [V] of the next."""
        ...


class _LazyState:
    """The state of a recurrent model after a token, computed when it is first needed.

    The object itself is the state: it is freed together with the prefixes that hold it. Once
    computed, it no longer refers to the state before.
    """

    __slots__ = ("__weakref__", "_before", "_computed", "_model", "_token")

    def __init__(self, model: NextTokenModel, token: int, before: _LazyState | None = None) -> None:
        self._model, self._token, self._before = model, token, before
        self._computed: tuple[Any, Array] | None = None

    def known(self) -> tuple[Any, Array]:
        """Return the recurrent state, and ``log p`` [V] of the next token."""
        if self._computed is None:
            state = None if self._before is None else self._before.known()[0]
            self._computed, self._before = self._model.step(state, self._token), None
        return self._computed

    def then(self, token: int) -> tuple[_LazyState, float]:
        """Return the state after one more token, and that token's ``log p``."""
        return _LazyState(self._model, token, self), float(self.known()[1][token])


class _RecurrentModel:
    """Base of the recurrent models of a line of text."""

    def __init__(self, model: NextTokenModel) -> None:
        self.model, self.tokenizer = model, model.tokenizer

    def start(self) -> Hashable:
        """Return the state at the beginning of a line."""
        return _LazyState(self.model, self.tokenizer.begin)

    def end(self, state: Any) -> float:
        """Return ``log p`` of the end of the line."""
        return float(state.known()[1][self.tokenizer.begin])

    def _then(self, state: Any, text: str) -> tuple[Hashable, float]:
        token = int(self.tokenizer.encode(text)[0])
        after, log_p = state.then(token)
        return after, log_p - (UNKNOWN_COST if token == self.tokenizer.unknown else 0.0)


class RecurrentWordModel(_RecurrentModel):
    """A recurrent language model of words (``holdfast train language --token word``)."""

    def word(self, state: Hashable, word: str) -> tuple[Hashable, float]:
        """Return the state after a word, and the word's ``log p``."""
        return self._then(state, word + " ")


class RecurrentCharacterModel(_RecurrentModel):
    """A recurrent language model of characters (``holdfast train language --token character``)."""

    def read(self, state: Hashable, character: str) -> tuple[Hashable, float]:
        """Return the state after a character, and the character's ``log p``."""
        return self._then(state, character)


@dataclass(frozen=True)
class WordModelAsText:
    """A word model as a :class:`TextModel`: it scores a word at the space after it."""

    model: _WordModel

    def start(self) -> Hashable:
        """Return the state before the first word."""
        return self.model.start(), ""

    def read(self, state: Any, character: str) -> tuple[Any, float]:
        """Return the state after a character; a space adds ``log p`` of the word before it."""
        before, word = state
        if character != " ":
            return (before, word + character), 0.0
        if not word:
            return state, 0.0
        after, log_p = self.model.word(before, word)
        return (after, ""), log_p

    def end(self, state: Hashable) -> float:
        """Return ``log p`` of the last word and of the end."""
        after, log_p = self.read(state, " ")
        return log_p + self.model.end(after[0])


@dataclass(frozen=True)
class ShallowFusion:
    """Score text by a language model, a bonus for each word and hot words.

    It is a :class:`holdfast.decoding.ctc.PrefixScorer`. The boost of a hot word is spread over its
    letters, so that a beam keeps its beginning. It is taken back if the text continues otherwise.

    Attributes:
        pieces: the text of each token; a space ends a word.
        model: the language model.
        weight: factor of its ``log p``.
        bonus: nats for each word.
        hot: hot word -> nats.

    Example:
        >>> fusion = ShallowFusion(["", "a", "b", " "], bonus=1.5, hot={"ab": 2.0})
        >>> state, added = fusion.advance(fusion.start(), 1)
        >>> added
        1.0
    """

    pieces: Sequence[str]
    model: TextModel = field(default_factory=NoTextModel)
    weight: float = 1.0
    bonus: float = 0.0
    hot: Mapping[str, float] = field(default_factory=dict)

    def start(self) -> Hashable:
        """Return the state before the first token."""
        return self.model.start(), ""

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        """Return the state after a token, and the nats that its text adds."""
        return self._read(state, self.pieces[token])

    def pause(self, state: Any) -> tuple[Hashable, float]:
        """End the current word, if there is one."""
        return self._read(state, " ") if state[1] else (state, 0.0)

    def _read(self, state: Any, characters: str) -> tuple[Hashable, float]:
        text, word = state
        total = 0.0
        for character in characters:
            text, log_p = self.model.read(text, character)
            after = "" if character == " " else word + character
            total += self.weight * log_p + (self._word_bonus(word) if character == " " else 0.0)
            total += self._partial_boost(after) - self._partial_boost(word)
            word = after
        return (text, word), total

    def end(self, state: Any) -> float:
        """Return the nats that the last word and the end of the text add."""
        text, word = state
        return self.weight * self.model.end(text) + self._word_bonus(word) - self._partial_boost(word)

    def _word_bonus(self, word: str) -> float:
        return self.bonus + self.hot.get(word, 0.0) if word else 0.0

    def _partial_boost(self, word: str) -> float:
        """Return the share of a hot word's boost that this beginning has earned."""
        if not self.hot or not word:
            return 0.0
        return max(
            (boost * len(word) / len(hot) for hot, boost in self.hot.items() if hot.startswith(word)),
            default=0.0,
        )
