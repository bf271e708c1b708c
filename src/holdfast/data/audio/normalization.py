"""Features brought to mean 0 and deviation 1: over the training part, an utterance, a speaker, or what was heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.filterbanks import Frames
from holdfast.errors import UserError

MIN_DEVIATION = 1e-2
"""Least deviation that is divided by: a band that never changes stays near 0."""
WINDOW = 300.0
"""Frames that the training part's statistics count for when those of what was heard are taken."""


@dataclass(frozen=True)
class Statistics:
    """Sums over frames, from which mean and deviation come.

    Attributes:
        count: frames.
        total, squares: sum [F] of the frames, and of their squares.
    """

    count: float
    total: Array
    squares: Array

    @classmethod
    def of(cls, features: Iterable[Frames], size: int) -> Self:
        """Over all frames of some utterances [T, F]; ``size`` is F."""
        count, total, squares = 0, np.zeros(size), np.zeros(size)
        for frames in features:
            count += len(frames)
            total += frames.sum(0, dtype=np.float64)
            squares += np.square(frames, dtype=np.float64).sum(0)
        return cls(count, total, squares)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def weighted(self, count: float) -> Statistics:
        """The same mean and deviation, as if of so many frames."""
        share = count / self.count
        return Statistics(count, self.total * share, self.squares * share)

    @property
    def deviation(self) -> Array:
        """Standard deviation [F]."""
        return np.asarray(_deviation(self.total / self.count, self.squares / self.count))

    def normalize(self, frames: Frames) -> Frames:
        """``(x - mean) / deviation`` of frames [T, F]."""
        return _normalize(frames, np.float64(self.count), self.total, self.squares)


def _normalize(frames: Frames, count: Array | np.float64, total: Array, squares: Array) -> Frames:
    mean = total / count
    return ((frames - mean) / _deviation(mean, squares / count)).astype(np.float32)


def _deviation(mean: Array, square: Array) -> Array:
    found: Array = np.sqrt(np.maximum(square - mean**2, MIN_DEVIATION**2))
    return found


class Normalizer(Protocol):
    """A way to normalise the frames of an utterance.

    Attributes:
        kind: its name in :data:`NORMALIZERS`.
    """

    kind: ClassVar[str]

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalised frames [T, F] of a whole utterance."""
        ...

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """The same for a part with these utterances: what it needs to know of their speakers is taken from them."""
        ...

    def stream(self) -> _NormalisationStream:
        """The same for frames as they come.

        Raises:
            UserError: it needs to know frames that are yet to come.
        """
        ...


class _NormalisationStream(Protocol):
    """Normalises frames as they come."""

    def accept(self, frames: Frames) -> Frames:
        """Normalised frames [t, F] of those that came."""
        ...


@dataclass(frozen=True)
class _Unchanged:
    """Leaves frames as they are."""

    statistics: Statistics
    kind: ClassVar[str] = "none"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """The frames."""
        return frames

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Itself."""
        return self

    def accept(self, frames: Frames) -> Frames:
        """The frames."""
        return frames

    def stream(self) -> _NormalisationStream:
        """Itself."""
        return self


@dataclass(frozen=True)
class _Global:
    """By mean and deviation over all frames of the training part."""

    statistics: Statistics
    kind: ClassVar[str] = "global"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalised frames."""
        return self.statistics.normalize(frames)

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Itself."""
        return self

    def accept(self, frames: Frames) -> Frames:
        """Normalised frames: each is by itself."""
        return self.statistics.normalize(frames)

    def stream(self) -> _NormalisationStream:
        """Itself."""
        return self


@dataclass(frozen=True)
class _ByUtterance:
    """By the mean over the frames of each utterance, and the deviation over the training part.

    A short word has too few frames for a deviation of its own: spoken digits were recognised better without.
    """

    statistics: Statistics
    kind: ClassVar[str] = "utterance"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalised frames."""
        if not len(frames):
            return frames
        own: Frames = (frames - frames.mean(0, dtype=np.float64)) / self.statistics.deviation
        return own.astype(np.float32)

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Itself."""
        return self

    def stream(self) -> _NormalisationStream:
        """Refused."""
        raise _not_live(self.kind)


@dataclass(frozen=True)
class _BySpeaker:
    """By mean and deviation over all frames of an utterance's speaker in the same part.

    An utterance whose speaker is not known is one of a speaker of its own.
    """

    statistics: Statistics
    speakers: Mapping[str, Statistics] | None = None
    kind: ClassVar[str] = "speaker"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalised frames."""
        known = (self.speakers or {}).get(speaker or "")
        return (
            (known or Statistics.of([frames], frames.shape[1])).normalize(frames) if len(frames) else frames
        )

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """With the speakers of these utterances."""
        size = len(self.statistics.total)
        found: dict[str, Statistics] = {}
        for frames, speaker in zip(features, speakers, strict=True):
            if speaker is not None and len(frames):
                found[speaker] = found.get(speaker, Statistics.of([], size)) + Statistics.of([frames], size)
        return replace(self, speakers=found)

    def stream(self) -> _NormalisationStream:
        """Refused."""
        raise _not_live(self.kind)


@dataclass(frozen=True)
class RunningNormalizer:
    """By mean and deviation over what was heard so far, the frame itself among it.

    ``mean_t = (w m + x_1 + ... + x_t) / (w + t)``, and the same of the squares, where ``m`` is the mean over the
    training part, which so counts for ``w`` frames.
    """

    statistics: Statistics
    window: float = WINDOW
    kind: ClassVar[str] = "running"

    def __call__(self, frames: Frames, speaker: str | None = None) -> Frames:
        """Normalised frames."""
        return self.stream().accept(frames)

    def fit_speakers(self, features: Iterable[Frames], speakers: Sequence[str | None]) -> Normalizer:
        """Itself."""
        return self

    def stream(self) -> _NormalisationStream:
        """For frames as they come."""
        return _RunningStream(self.statistics.weighted(self.window))


class _RunningStream:
    """What was heard so far; the sums are added frame by frame, so that any blocks give the same numbers."""

    def __init__(self, prior: Statistics) -> None:
        self.heard = prior

    def accept(self, frames: Frames) -> Frames:
        """Normalised frames [t, F] of those that came."""
        if not len(frames):
            return frames
        total = _summed(self.heard.total, frames.astype(np.float64))
        squares = _summed(self.heard.squares, np.square(frames, dtype=np.float64))
        counts = self.heard.count + np.arange(1, len(frames) + 1, dtype=np.float64)
        self.heard = Statistics(float(counts[-1]), total[-1], squares[-1])
        return _normalize(frames, counts[:, None], total, squares)


def _summed(before: Array, rows: Array) -> Array:
    """Sums [t, F] up to each row, from those before [F]."""
    found: Array = np.cumsum(np.concatenate([before[None], rows]), 0)[1:]
    return found


NORMALIZERS: dict[str, Any] = {
    found.kind: found for found in (_Global, _ByUtterance, _BySpeaker, RunningNormalizer, _Unchanged)
}
"""Name -> way to normalise, made of the training part's statistics."""


def fit_normalizer(kind: str, train: Iterable[Frames], size: int) -> Normalizer:
    """A way to normalise, with the statistics of the training part's utterances.

    Args:
        kind: ``global``, ``utterance``, ``speaker``, ``running`` or ``none``.
        train: frames [T, F] of each.
        size: F.

    Raises:
        UserError: no such kind, or no frames.

    Example:
        >>> frames = np.arange(12, dtype=np.float32).reshape(6, 2)
        >>> fit_normalizer("global", [frames], 2)(frames).mean(0).tolist()
        [0.0, 0.0]
    """
    if kind not in NORMALIZERS:
        rule = f"Features are normalised by: {', '.join(NORMALIZERS)}."
        raise UserError(rule, f"It was {kind!r}.", "Give one of these with --normalise.")
    statistics = Statistics.of(train, size)
    if not statistics.count:
        rule = "The training part has at least one frame."
        raise UserError(rule, "It has none.", "Give longer sounds: a frame is 25 ms.")
    found: Normalizer = NORMALIZERS[kind](statistics)
    return found


def normalizer_state(normalisation: Any) -> dict[str, Array]:
    """The training part's statistics as arrays by name."""
    own: Statistics = normalisation.statistics
    return {
        "normalisation.count": np.array([own.count]),
        "normalisation.total": own.total,
        "normalisation.squares": own.squares,
    }


def normalizer_from_state(kind: str, arrays: Mapping[str, Array]) -> Normalizer:
    """What :func:`normalizer_state` gave.

    Raises:
        UserError: something lacks.
    """
    try:
        count, total, squares = (
            np.asarray(arrays[f"normalisation.{name}"], np.float64) for name in ("count", "total", "squares")
        )
        found: Normalizer = NORMALIZERS[kind](Statistics(float(count[0]), total, squares))
        return found
    except (KeyError, IndexError) as error:
        rule = "A model's arrays hold the statistics of its features as training wrote them."
        raise UserError(rule, f"They lack some: {error}.", "Copy the folder again, or train anew.") from error


def _not_live(kind: str) -> UserError:
    return UserError(
        "Sound that comes is normalised without knowing what follows.",
        f"This model normalises by {kind}.",
        "Train with --normalise running, global or none.",
    )
