"""What a language model, a bonus for each word and hot words add to the score of recognised text (shallow fusion).

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
"""What a word that a model does not know costs besides."""
KNOWN = 100_000
"""Probabilities of n-grams that are kept once they were computed."""


class TextModel(Protocol):
    """A language model that reads text sign by sign."""

    def start(self) -> Hashable:
        """The state before a text."""
        ...

    def read(self, state: Hashable, sign: str) -> tuple[Hashable, float]:
        """The state behind one more sign, and the ``log p`` that became known with it."""
        ...

    def end(self, state: Hashable) -> float:
        """The ``log p`` of the text's end there."""
        ...


class NoTextModel:
    """Every text is as likely."""

    def start(self) -> Hashable:
        """Nothing."""
        return None

    def read(self, state: Hashable, sign: str) -> tuple[Hashable, float]:
        """Nothing."""
        return None, 0.0

    def end(self, state: Hashable) -> float:
        """Nothing."""
        return 0.0


class _NextWord(Protocol):
    """Which word comes next."""

    def start(self) -> Hashable:
        """The state before the first word."""
        ...

    def word(self, state: Hashable, word: str) -> tuple[Hashable, float]:
        """The state behind a word, and its ``log p``."""
        ...

    def end(self, state: Hashable) -> float:
        """The ``log p`` of the end."""
        ...


class NGramWordModel:
    """An n-gram model of the words of sentences, with Kneser-Ney smoothing (:mod:`holdfast.decoding.ngram`).

    Example:
        >>> model = NGramWordModel.fit(["go left", "go right", "go left"], order=2)
        >>> after_go, _ = model.word(model.start(), "go")
        >>> model.word(after_go, "left")[1] > model.word(after_go, "right")[1]
        True
    """

    def __init__(self, ngrams: NGramModel, words: Sequence[str]) -> None:
        self.ngrams, self.words = ngrams, WordTokenizer(words)
        self.order = len(ngrams.levels)
        self._log_p = lru_cache(KNOWN)(self._counted)

    @classmethod
    def fit(cls, sentences: Iterable[str], order: int) -> NGramWordModel:
        """Count the n-grams of sentences, each with its end."""
        text = "".join(f"{' '.join(sentence.split())}\n" for sentence in sentences)
        words = WordTokenizer.fit([text], None)
        ids = np.concatenate([[words.begin], words.encode(text)])
        return cls(NGramModel.fit(ids, words.size, order), words.words)

    def start(self) -> Hashable:
        """Behind the end of a sentence."""
        return (self.words.begin,)

    def word(self, state: Hashable, word: str) -> tuple[Hashable, float]:
        """The last n - 1 words, and the word's ``log p``."""
        number = self.words.numbers.get(word)
        cost = 0.0 if number is not None else UNKNOWN_COST
        number = self.words.numbers["<unk>"] if number is None else number
        context: Any = state
        kept = (*context, number)[-(self.order - 1) :] if self.order > 1 else ()
        return kept, self._log_p(context, number) - cost

    def end(self, state: Hashable) -> float:
        """``log p`` of a sentence's end."""
        context: Any = state
        return self._log_p(context, self.words.numbers[LINE_END])

    def _counted(self, context: tuple[int, ...], number: int) -> float:
        before, text = np.array(context, np.int64), np.array([number], np.int64)
        return -float(self.ngrams.nll(text, self.order, before)[0])


class NextTokenModel(Protocol):
    """A recurrent language model, one token after the other."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its vocabulary."""
        ...

    def step(self, state: Any, token: int) -> tuple[Any, Array]:
        """The state behind a token (None: before any), and ``log p`` [V] of the next one."""
        ...


class _Behind:
    """What a recurrent model knows behind a token; it is read when it is first asked, and then keeps nothing of before.

    A state is this object itself: prefixes that have gone take what was known behind them along.
    """

    __slots__ = ("__weakref__", "_before", "_model", "_read", "_token")

    def __init__(self, model: NextTokenModel, token: int, before: _Behind | None = None) -> None:
        self._model, self._token, self._before = model, token, before
        self._read: tuple[Any, Array] | None = None

    def known(self) -> tuple[Any, Array]:
        """The recurrent state, and ``log p`` [V] of the next token."""
        if self._read is None:
            state = None if self._before is None else self._before.known()[0]
            self._read, self._before = self._model.step(state, self._token), None
        return self._read

    def then(self, token: int) -> tuple[_Behind, float]:
        """What is known behind one more token, and that token's ``log p``."""
        gained = float(self.known()[1][token])
        return _Behind(self._model, token, self), gained


class _Recurrent:
    """A recurrent model's text, token by token, behind a line's end."""

    def __init__(self, model: NextTokenModel) -> None:
        self.model, self.tokenizer = model, model.tokenizer

    def start(self) -> Hashable:
        """Behind a line's end."""
        return _Behind(self.model, self.tokenizer.begin)

    def end(self, state: Hashable) -> float:
        """``log p`` of a line's end."""
        own: Any = state
        return float(own.known()[1][self.tokenizer.begin])

    def _then(self, state: Any, text: str) -> tuple[Hashable, float]:
        number = int(self.tokenizer.encode(text)[0])
        after, gained = state.then(number)
        return after, gained - (UNKNOWN_COST if number == self.tokenizer.unknown else 0.0)


class RecurrentWordModel(_Recurrent):
    """A recurrent model of words (``holdfast train language --token word``) as the next word's model."""

    def word(self, state: Hashable, word: str) -> tuple[Hashable, float]:
        """Behind a word, and the word's ``log p``."""
        return self._then(state, word + " ")


class RecurrentCharacterModel(_Recurrent):
    """A recurrent model of characters as a model of text."""

    def read(self, state: Hashable, sign: str) -> tuple[Hashable, float]:
        """Behind a sign, and the sign's ``log p``."""
        return self._then(state, sign)


@dataclass(frozen=True)
class WordModelAsText:
    """A model of words as a model of text: a word is scored when the space behind it is read."""

    model: _NextWord

    def start(self) -> Hashable:
        """Before the first word."""
        return self.model.start(), ""

    def read(self, state: Hashable, sign: str) -> tuple[Hashable, float]:
        """The sign in the word, or the word's ``log p``."""
        own: Any = state
        before, word = own
        if sign != " ":
            return (before, word + sign), 0.0
        if not word:
            return own, 0.0
        after, gained = self.model.word(before, word)
        return (after, ""), gained

    def end(self, state: Hashable) -> float:
        """The last word, and the end."""
        after, gained = self.read(state, " ")
        own: Any = after
        return gained + self.model.end(own[0])


@dataclass(frozen=True)
class ShallowFusion:
    """A grammar (:class:`holdfast.decoding.ctc.Grammar`) from a model of text, a bonus for each word, and hot words.

    A hot word's boost comes letter by letter, so that it keeps its place in a beam, and goes again where the word
    goes on otherwise.

    Attributes:
        pieces: the text of each token; a space ends a word.
        model: the model of text.
        weight: of its ``log p``.
        bonus: nats for each word.
        hot: word -> nats.
    """

    pieces: Sequence[str]
    model: TextModel = field(default_factory=NoTextModel)
    weight: float = 1.0
    bonus: float = 0.0
    hot: Mapping[str, float] = field(default_factory=dict)

    def start(self) -> Hashable:
        """Before the first token."""
        return self.model.start(), ""

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        """Behind the text of a token."""
        return self._spelt(state, self.pieces[token])

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """Behind a pause: the word has ended, and where none was begun, nothing is added."""
        own: Any = state
        return self._spelt(state, " ") if own[1] else (state, 0.0)

    def _spelt(self, state: Hashable, signs: str) -> tuple[Hashable, float]:
        own: Any = state
        text, word = own
        total = 0.0
        for sign in signs:
            text, gained = self.model.read(text, sign)
            after = "" if sign == " " else word + sign
            total += self.weight * gained + (self._ended(word) if sign == " " else 0.0)
            total += self._begun(after) - self._begun(word)
            word = after
        return (text, word), total

    def end(self, state: Hashable) -> float:
        """The last word, and the text's end."""
        own: Any = state
        text, word = own
        return self.weight * self.model.end(text) + self._ended(word) - self._begun(word)

    def _ended(self, word: str) -> float:
        return self.bonus + self.hot.get(word, 0.0) if word else 0.0

    def _begun(self, word: str) -> float:
        """The share of a hot word's boost that its beginning has."""
        if not self.hot or not word:
            return 0.0
        return max(
            (boost * len(word) / len(hot) for hot, boost in self.hot.items() if hot.startswith(word)),
            default=0.0,
        )
