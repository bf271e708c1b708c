"""Baselines of translation: the source unchanged, and the likeliest translation of each word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast._typing import Array
from holdfast.tasks.baselines import Baseline, BaselineSet
from holdfast.tasks.translate.ibm_model1 import Alignment
from holdfast.tasks.translate.preprocessing import PairSplit
from holdfast.tasks.translate.tokenizer import joined, words


def baseline_set(lower: bool) -> BaselineSet[PairSplit, list[str]]:
    """Return both baselines, not fitted; with ``lower`` they write lower case."""
    return BaselineSet([Copy(lower), WordByWord(lower)])


class Copy(Baseline[PairSplit, list[str]]):
    """The source unchanged."""

    name = "copy"

    def __init__(self, lower: bool) -> None:
        self.lower = lower

    def predict(self, split: PairSplit) -> list[str]:
        """Return the sources."""
        return [_cased(source, self.lower) for source in split.pairs.sources]


class WordByWord(Baseline[PairSplit, list[str]]):
    """The likeliest translation of each word by IBM model 1; a new word is copied."""

    name = "word_by_word"

    def __init__(self, lower: bool) -> None:
        self.lower = lower
        self.table: Mapping[str, str] = {}

    def fit(self, train: PairSplit, valid: PairSplit) -> None:
        """Align the words of the training pairs."""
        split = [(words(_cased(s, self.lower)), words(_cased(t, self.lower))) for s, t in train.pairs]
        alignment = Alignment.fit(split)
        self.table = alignment.likeliest()
        if alignment.sentences < len(split):
            self.note = f"word_by_word was fitted on the first {alignment.sentences:,} of {len(split):,} training pairs"

    def predict(self, split: PairSplit) -> list[str]:
        """Translate word by word."""
        texts = (_cased(source, self.lower) for source in split.pairs.sources)
        return [joined(self.table.get(word, word) for word in words(text)) for text in texts]

    def state(self) -> dict[str, Array]:
        """Return both columns of the table, in UTF-8 with line ends between the words."""
        columns = {"sources": list(self.table), "targets": list(self.table.values())}
        return {name: np.frombuffer("\n".join(column).encode(), np.uint8) for name, column in columns.items()}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take the table."""
        columns = [bytes(arrays[name]).decode().split("\n") for name in ("sources", "targets")]
        self.table = dict(zip(*columns, strict=True))


def _cased(text: str, lower: bool) -> str:
    return text.lower() if lower else text
