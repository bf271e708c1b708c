"""Fitted preprocessing of speech: tokenizer, front end and n-grams; and encoded splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.sound_files import sound_info
from holdfast.decoding.lm_fusion import NGramWordModel
from holdfast.decoding.ngram import NGramBaselines
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.speech.config import SoundConfig
from holdfast.tasks.speech.frontend import Frontend, Recordings
from holdfast.tasks.speech.segments import FRAME
from holdfast.tasks.speech.tokenizer import CTCTokenizer

_NGRAM = "ngram."
"""What the names of the arrays of the n-grams begin with."""


@dataclass(frozen=True)
class SpeechSplit:
    """Encoded utterances.

    Attributes:
        utterances: names, files, texts and speakers.
        frames: normalized frames [T, F] of each.
        tokens: token numbers of each text.
        frontend: front end with the statistics of this split's speakers.
        seconds_to_read: seconds that computing the frames took.
    """

    utterances: list[Utterance]
    frames: list[Array]
    tokens: list[list[int]]
    frontend: Frontend
    seconds_to_read: float = 0.0

    def __len__(self) -> int:
        return len(self.utterances)

    def select(self, chosen: Iterable[int]) -> SpeechSplit:
        """Return the utterances with these numbers."""
        numbers = list(chosen)
        utterances, frames = [self.utterances[i] for i in numbers], [self.frames[i] for i in numbers]
        return SpeechSplit(utterances, frames, [self.tokens[i] for i in numbers], self.frontend)

    def fraction(self, share: float) -> SpeechSplit:
        """Return the last utterances, a share of all and at least 1."""
        kept = max(1, round(len(self) * share))
        return self.select(range(len(self) - kept, len(self)))

    @property
    def texts(self) -> list[str]:
        """The transcripts."""
        return [one.text for one in self.utterances]

    @cached_property
    def sound_seconds(self) -> float:
        """Total duration; frames of precomputed features count 10 ms each."""
        ready = sum(len(own) for one, own in zip(self.utterances, self.frames) if one.ready) * FRAME
        files = [path for one in self.utterances if not one.ready for path in one.paths]
        return ready + sum(sound_info(path).seconds for path in files)


@dataclass(frozen=True)
class SpeechPreprocessing:
    """What is fitted on the training split.

    Attributes:
        tokenizer: tokens of the training sentences.
        frontend: from sound to frames, with the statistics of the training frames.
        words: vocabulary of the n-grams.
        ngrams: n-grams of the training sentences; None until their arrays are loaded.
    """

    tokenizer: CTCTokenizer
    frontend: Frontend
    words: Sequence[str] = ()
    ngrams: NGramWordModel | None = None

    @classmethod
    def fit(cls, recordings: Recordings, settings: SoundConfig) -> Self:
        """Fit the tokenizer and the normalization; :meth:`with_ngrams` adds the n-grams."""
        texts = (one.text for one in recordings.utterances)
        tokenizer = CTCTokenizer.fit(texts, settings.token, settings.vocabulary)
        return cls(tokenizer, recordings.frontend.fitted(recordings.frames))

    def with_ngrams(self, texts: Iterable[str], order: int) -> Self:
        """Return it with the n-grams of the training sentences, and without a cache of frames."""
        ngrams = NGramWordModel.fit(texts, order)
        return replace(self, frontend=self.frontend.uncached(), words=ngrams.words.words, ngrams=ngrams)

    def encode(self, recordings: Recordings) -> SpeechSplit:
        """Normalize the frames and number the tokens of a split."""
        utterances, frames, _, seconds = recordings
        frontend = self.frontend.for_speakers(utterances, frames)
        normalized = [frontend.normalized(one, own) for one, own in zip(utterances, frames)]
        tokens = [self.tokenizer.encode(one.text) for one in utterances]
        return SpeechSplit(utterances, normalized, tokens, frontend, seconds)

    def to_dict(self) -> JsonObject:
        """Return what is not in :meth:`arrays` as values that JSON can hold."""
        return {"words": list(self.words), **self.frontend.to_dict(), **self.tokenizer.to_dict()}

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path, settings: SoundConfig | None = None) -> Self:
        """Rebuild it from :meth:`to_dict`; :meth:`with_arrays` adds the rest."""
        tokenizer = CTCTokenizer.from_dict(values, where)
        frontend = Frontend.from_dict(values, settings or SoundConfig(), where)
        return cls(tokenizer, frontend, [str(word) for word in values.get("words", [])])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the n-grams and of the normalization."""
        assert self.ngrams is not None
        counts = NGramBaselines(self.ngrams.ngrams, self.ngrams.order).state()
        return {f"{_NGRAM}{name}": array for name, array in counts.items()} | self.frontend.arrays()

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """Return it with what :meth:`arrays` returned."""
        own = {name.removeprefix(_NGRAM): a for name, a in arrays.items() if name.startswith(_NGRAM)}
        ngrams = NGramWordModel(NGramBaselines.from_state(own).ngrams, self.words)
        return replace(self, frontend=self.frontend.with_arrays(arrays), ngrams=ngrams)


SpeechDataset = Dataset[SpeechSplit, SpeechPreprocessing]
