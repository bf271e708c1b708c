"""Normalization of features to mean 0 and deviation 1: over the training split, an utterance, a
speaker or a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.filterbanks import Frames
from holdfast.errors import UserError, damaged
from holdfast.validation import unknown_choice

MIN_DEVIATION = 1e-2
"""Smallest deviation to divide by: a band that never changes stays near 0."""
_PRIOR_FRAMES = 300.0
"""Number of frames that the training split's statistics count for in running normalization."""


@dataclass(frozen=True)
class Statistics:
    """Sums over frames, which give the mean and the deviation.

    Attributes:
        count: number of frames.
        total, squares: sum [F] of the frames, and of their squares.
    """

    count: float
    total: Array
    squares: Array

    @classmethod
    def of(cls, features: Iterable[Frames], size: int) -> Self:
        """Sum over all frames of utterances [T, F]; ``size`` is F."""
        count, total, squares = 0, np.zeros(size), np.zeros(size)
        for frames in features:
            count += len(frames)
            total += frames.sum(0, dtype=np.float64)
            squares += np.square(frames, dtype=np.float64).sum(0)
        return cls(count, total, squares)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def weighted(self, count: float) -> Statistics:
        """Return the same mean and deviation as if from ``count`` frames."""
        share = count / self.count
        return Statistics(count, self.total * share, self.squares * share)

    @property
    def deviation(self) -> Array:
        """The standard deviation [F]."""
        return np.asarray(_deviation(self.total / self.count, self.squares / self.count))

    def normalize(self, frames: Frames) -> Frames:
        """Return ``(x - mean) / deviation`` of frames [T, F]."""
        return _normalize(frames, np.float64(self.count), self.total, self.squares)


def _normalize(frames: Frames, count: Array | np.float64, total: Array, squares: Array) -> Frames:
    mean = total / count
    return ((frames - mean) / _deviation(mean, squares / count)).astype(np.float32)


def _deviation(mean: Array, square: Array) -> Array:
    found: Array = np.sqrt(np.maximum(square - mean**2, MIN_DEVIATION**2))
    return found


class _NormalizationStream(Protocol):
    """Normalizes the frames of a stream."""

    def accept(self, frames: Frames) -> Frames:
        """Return the next frames [t, F], normalized."""
        ...


@dataclass(frozen=True)
class Normalizer:
    """Base of the ways to normalize the frames of an utterance.

    Attributes:
        statistics: statistics of the training split.
        kind: the name in :data:`NORMALIZERS`.
    """

    statistics: Statistics
    kind: ClassVar[str]

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalize the frames [T, F] of a whole utterance."""
        raise NotImplementedError

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Return the normalizer for a split; one by speaker is fitted on these utterances."""
        return self

    def stream(self) -> _NormalizationStream:
        """Return the same normalization for a stream.

        Raises:
            UserError: it needs frames that are yet to come.
        """
        raise UserError(
            "A stream must be normalized without its future frames.",
            f"This model normalizes by {self.kind}.",
            "Train with --normalize running, global or none.",
        )


class _Framewise(Normalizer):
    """A normalizer that treats each frame by itself, in an utterance as in a stream."""

    def accept(self, frames: Frames) -> Frames:
        return self(frames)

    def stream(self) -> _NormalizationStream:
        return self


class _Unchanged(_Framewise):
    """No normalization."""

    kind = "none"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        return frames


class _Global(_Framewise):
    """Mean and deviation over all frames of the training split."""

    kind = "global"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        return self.statistics.normalize(frames)


class _ByUtterance(Normalizer):
    """Mean over the frames of each utterance, deviation over the training split.

    A short word has too few frames for its own deviation: spoken digits were recognized better
    without.
    """

    kind = "utterance"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        if not len(frames):
            return frames
        own: Frames = (frames - frames.mean(0, dtype=np.float64)) / self.statistics.deviation
        return own.astype(np.float32)


@dataclass(frozen=True)
class _BySpeaker(Normalizer):
    """Mean and deviation over all frames of the speaker in the same split.

    An utterance of an unknown speaker is normalized by itself.
    """

    speakers: Mapping[str, Statistics] | None = None
    kind = "speaker"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        if not len(frames):
            return frames
        known = (self.speakers or {}).get(speaker or "")
        return (known or Statistics.of([frames], frames.shape[1])).normalize(frames)

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Return the normalizer with the statistics of the speakers of these utterances."""
        size = len(self.statistics.total)
        found: dict[str, Statistics] = {}
        for frames, speaker in zip(features, speakers, strict=True):
            if speaker is not None and len(frames):
                found[speaker] = found.get(speaker, Statistics.of([], size)) + Statistics.of([frames], size)
        return replace(self, speakers=found)


@dataclass(frozen=True)
class RunningNormalizer(Normalizer):
    """Mean and deviation over all frames so far, the current one included.

    ``mean_t = (w m + x_1 + ... + x_t) / (w + t)``, and likewise for the squares; ``m`` is the mean
    over the training split, which so counts for ``w`` frames.
    """

    window: float = _PRIOR_FRAMES
    kind = "running"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalize the frames."""
        return self.stream().accept(frames)

    def stream(self) -> _NormalizationStream:
        """Return the running normalization of a new stream."""
        return _RunningStream(self.statistics.weighted(self.window))


class _RunningStream:
    """Running statistics; the sums grow frame by frame, so that any blocks give the same numbers."""

    def __init__(self, prior: Statistics) -> None:
        self._heard = prior

    def accept(self, frames: Frames) -> Frames:
        if not len(frames):
            return frames
        total = _running_sums(self._heard.total, frames.astype(np.float64))
        squares = _running_sums(self._heard.squares, np.square(frames, dtype=np.float64))
        counts = self._heard.count + np.arange(1, len(frames) + 1, dtype=np.float64)
        self._heard = Statistics(float(counts[-1]), total[-1], squares[-1])
        return _normalize(frames, counts[:, None], total, squares)


def _running_sums(before: Array, rows: Array) -> Array:
    """Return the sums [t, F] up to each row, starting from ``before`` [F]."""
    found: Array = np.cumsum(np.concatenate([before[None], rows]), 0)[1:]
    return found


NORMALIZERS: dict[str, type[Normalizer]] = {
    found.kind: found for found in (_Global, _ByUtterance, _BySpeaker, RunningNormalizer, _Unchanged)
}
"""Kind -> class; each is made from the statistics of the training split."""


def fit_normalizer(kind: str, train: Iterable[Frames], size: int) -> Normalizer:
    """Fit a normalizer on the utterances of the training split.

    Args:
        kind: ``global``, ``utterance``, ``speaker``, ``running`` or ``none``.
        train: frames [T, F] of each utterance.
        size: F.

    Raises:
        UserError: there is no such kind, or there are no frames.

    Example:
        >>> frames = np.arange(12, dtype=np.float32).reshape(6, 2)
        >>> fit_normalizer("global", [frames], 2)(frames).mean(0).tolist()
        [0.0, 0.0]
    """
    if kind not in NORMALIZERS:
        raise unknown_choice("--normalize", kind, list(NORMALIZERS))
    statistics = Statistics.of(train, size)
    if not statistics.count:
        rule = "The training split must have at least one frame."
        raise UserError(rule, "It has none.", "Give longer sounds: a frame is 25 ms.")
    return NORMALIZERS[kind](statistics)


def normalizer_state(normalizer: Normalizer) -> dict[str, Array]:
    """Return the statistics of the training split as named arrays."""
    own = normalizer.statistics
    return {
        "normalisation.count": np.array([own.count]),
        "normalisation.total": own.total,
        "normalisation.squares": own.squares,
    }


def normalizer_from_state(kind: str, arrays: Mapping[str, Array]) -> Normalizer:
    """Restore what :func:`normalizer_state` returned.

    Raises:
        UserError: an array is missing.
    """
    try:
        count, total, squares = (
            np.asarray(arrays[f"normalisation.{name}"], np.float64) for name in ("count", "total", "squares")
        )
        return NORMALIZERS[kind](Statistics(float(count[0]), total, squares))
    except (KeyError, IndexError) as error:
        raise damaged(
            "baselines.safetensors", f"It lacks the statistics of the features: {error}."
        ) from error
