"""Baselines of speech: the most frequent sentence, and for single words the nearest template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.tasks.baselines import Baseline, BaselineSet, LeftOut
from holdfast.tasks.speech.preprocessing import SpeechSplit

_TEMPLATES = 600
"""Most training words kept as templates: equally many of each word, spread evenly."""
_EVERY = 2
"""Every second frame is compared."""


@dataclass(frozen=True)
class Templates:
    """Recorded words to compare with.

    Attributes:
        frames: frames of all templates [K, T, F], padded with zeros.
        lengths: number of frames [K].
        texts: the words [K].
    """

    frames: Array
    lengths: Array
    texts: tuple[str, ...]

    @classmethod
    def of(cls, frames: Sequence[Array], texts: Sequence[str]) -> Self:
        """Choose templates from training words, equally many of each word."""
        by_text: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            by_text.setdefault(text, []).append(i)
        each = max(1, _TEMPLATES // len(by_text))
        chosen = [
            rows[int(k * len(rows) / min(each, len(rows)))]
            for rows in by_text.values()
            for k in range(min(each, len(rows)))
        ]
        own = [shape(frames[i]) for i in chosen]
        table = np.zeros((len(own), max(map(len, own)), own[0].shape[1]), np.float32)
        for row, template in enumerate(own):
            table[row, : len(template)] = template
        return cls(table, np.array([len(template) for template in own]), tuple(texts[i] for i in chosen))

    def nearest(self, frames: Array) -> str:
        """Return the text of the template with the smallest dynamic time warping distance."""
        return self.texts[int(self.distances(shape(frames)).argmin())]

    def distances(self, frames: Array) -> Array:
        """Return the distance to each template [K] (Sakoe & Chiba 1978).

        ``d_ij = c_ij + min(d_{i-1,j}, d_{i,j-1}, d_{i-1,j-1})`` with ``c`` the Euclidean distance
        of two frames, divided by the number of frames of both sounds.
        """
        flat = self.frames.reshape(-1, self.frames.shape[-1])
        products = (flat @ frames.T).reshape(*self.frames.shape[:2], len(frames))
        squares = np.square(self.frames).sum(-1)[:, :, None] + np.square(frames).sum(-1)
        costs = np.sqrt(np.maximum(squares - 2 * products, 0.0))  # [K, T, n]
        rows = np.full((len(costs), costs.shape[1]), np.inf)
        last = np.arange(len(costs)), self.lengths - 1
        for frame in range(len(frames)):
            rows = _next(rows, costs[:, :, frame], first=frame == 0)
        found: Array = rows[last] / (self.lengths + len(frames))
        return found


def _next(before: Array, costs: Array, first: bool) -> Array:
    """Return the costs [K, T] of paths to the sound's next frame and each template frame."""
    found = np.empty_like(before)
    found[:, 0] = costs[:, 0] + (0.0 if first else before[:, 0])
    for place in range(1, costs.shape[1]):
        reached = found[:, place - 1]
        if not first:
            reached = np.minimum(reached, np.minimum(before[:, place], before[:, place - 1]))
        found[:, place] = costs[:, place] + reached
    return found


def shape(frames: Array) -> Array:
    """Return every second frame less each band's mean: loudness and microphone matter less."""
    some = frames[::_EVERY].astype(np.float32)
    found: Array = some - some.mean(0)
    return found


class MostFrequent(Baseline[SpeechSplit, list[str]]):
    """The most frequent training sentence."""

    name = "most_frequent"
    prefix = ""
    sentence: str

    def fit(self, train: SpeechSplit, valid: SpeechSplit) -> None:
        """Count the sentences."""
        self.sentence = max(sorted(Counter(train.texts).items()), key=lambda entry: entry[1])[0]

    def predict(self, split: SpeechSplit) -> list[str]:
        """Predict the same sentence for every utterance."""
        return [self.sentence] * len(split)

    def state(self) -> dict[str, Array]:
        """Return the sentence as UTF-8 bytes."""
        return {"sentence": _bytes(self.sentence)}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take the sentence."""
        self.sentence = _text(arrays["sentence"])


class NearestTemplate(Baseline[SpeechSplit, list[str]]):
    """The nearest recorded training word, where every training sentence is a single word."""

    name = "nearest_template"
    prefix = ""
    templates: Templates

    def fit(self, train: SpeechSplit, valid: SpeechSplit) -> None:
        """Choose the templates.

        Raises:
            LeftOut: some sentence has several words, all are equal, or some sound is too short.
        """
        single = all(len(text.split()) == 1 for text in train.texts)
        if not single or len(set(train.texts)) < 2 or any(len(own) < _EVERY for own in train.frames):
            raise LeftOut
        self.templates = Templates.of(train.frames, train.texts)

    def predict(self, split: SpeechSplit) -> list[str]:
        """Predict the word of the nearest template."""
        return [self.templates.nearest(own) if len(own) else "" for own in split.frames]

    def state(self) -> dict[str, Array]:
        """Return the templates."""
        frames, lengths, texts = self.templates.frames, self.templates.lengths, self.templates.texts
        return {"frames": frames, "lengths": lengths, "texts": _bytes("\n".join(texts))}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take the templates, where there are any."""
        if "frames" not in arrays:
            raise LeftOut
        texts = tuple(_text(arrays["texts"]).split("\n"))
        self.templates = Templates(arrays["frames"], arrays["lengths"], texts)


def baseline_set() -> BaselineSet[SpeechSplit, list[str]]:
    """Return the baselines of speech."""
    return BaselineSet([MostFrequent(), NearestTemplate()])


def _bytes(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8).copy()


def _text(codes: Array) -> str:
    return codes.tobytes().decode()
