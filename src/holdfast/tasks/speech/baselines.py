"""What a recogniser has to beat: the most frequent sentence, and for single words the nearest template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

_TEMPLATES = 600
"""Most training words that are kept as templates: as many of each word, spread over the training part."""
EVERY = 2
"""Of so many frames one is compared."""


@dataclass(frozen=True)
class Templates:
    """Words as they were said.

    Attributes:
        frames: of all templates side by side [K, T, F], filled up with zeros.
        lengths: [K].
        texts: [K], the words.
    """

    frames: Array
    lengths: Array
    texts: tuple[str, ...]

    @classmethod
    def of(cls, frames: Sequence[Array], texts: Sequence[str]) -> Self:
        """Templates from training words, as many of each."""
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
        """The text of the template to which the dynamic time warping distance is least."""
        return self.texts[int(self.distances(shape(frames)).argmin())]

    def distances(self, frames: Array) -> Array:
        """The distance to each template [K] (Sakoe & Chiba 1978).

        ``d_ij = c_ij + min(d_{i-1,j}, d_{i,j-1}, d_{i-1,j-1})`` with ``c`` the Euclidean distance of two frames,
        divided by the frames of both sounds.
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
    """One more frame of the sound against all frames of the templates [K, T]."""
    found = np.empty_like(before)
    found[:, 0] = costs[:, 0] + (0.0 if first else before[:, 0])
    for place in range(1, costs.shape[1]):
        reached = found[:, place - 1]
        if not first:
            reached = np.minimum(reached, np.minimum(before[:, place], before[:, place - 1]))
        found[:, place] = costs[:, place] + reached
    return found


def shape(frames: Array) -> Array:
    """Every second frame, each band without its mean over the word, so that loudness and microphone matter less."""
    some = frames[::EVERY].astype(np.float32)
    found: Array = some - some.mean(0)
    return found


@dataclass(frozen=True)
class Baselines:
    """The most frequent sentence, and templates where all training sentences are single words."""

    sentence: str
    templates: Templates | None
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, frames: Sequence[Array], texts: Sequence[str]) -> Self:
        """From the training part."""
        sentence = max(sorted(Counter(texts).items()), key=lambda entry: entry[1])[0]
        single = all(len(text.split()) == 1 for text in texts) and all(len(own) >= EVERY for own in frames)
        return cls(sentence, Templates.of(frames, texts) if single and len(set(texts)) > 1 else None)

    def each(self, frames: Sequence[Array]) -> Iterator[tuple[str, list[str]]]:
        """Name and texts of every utterance."""
        yield "most_frequent", [self.sentence] * len(frames)
        if self.templates is not None:
            yield "nearest_template", [self.templates.nearest(own) if len(own) else "" for own in frames]

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        own = {"sentence": _coded(self.sentence)}
        if self.templates is None:
            return own
        frames, lengths = self.templates.frames, self.templates.lengths
        return own | {"frames": frames, "lengths": lengths, "texts": _coded("\n".join(self.templates.texts))}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        try:
            sentence = _text(arrays["sentence"])
            if "frames" not in arrays:
                return cls(sentence, None)
            texts = tuple(_text(arrays["texts"]).split("\n"))
            return cls(sentence, Templates(arrays["frames"], arrays["lengths"], texts))
        except KeyError as error:
            rule = "baselines.safetensors holds the simple methods as training wrote them."
            raise UserError(rule, f"It lacks {error}.", "Copy the folder again, or train anew.") from error


def _coded(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8).copy()


def _text(codes: Array) -> str:
    return codes.tobytes().decode()
