"""Front end: from sound to the normalized frames that the network reads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.audio.feature_cache import ReadyFeatures, SoundFeatures, feature_source
from holdfast.data.audio.filterbanks import Filterbanks
from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.normalization import (
    Normalizer,
    fit_normalizer,
    normalizer_from_state,
    normalizer_state,
)
from holdfast.data.audio.validation import most_common_rate
from holdfast.errors import UserError, damaged
from holdfast.tasks.speech.config import SoundConfig


class Recordings(NamedTuple):
    """Utterances, raw frames [T, F], the front end that read them, and the seconds it took."""

    utterances: list[Utterance]
    frames: list[Array]
    frontend: Frontend
    seconds: float


@dataclass(frozen=True)
class Frontend:
    """Source of frames with its normalization.

    Attributes:
        features: computes or reads the frames.
        kind: kind of normalization.
        normalizer: None before it is fitted.
    """

    features: SoundFeatures | ReadyFeatures
    kind: str
    normalizer: Normalizer | None = None

    @classmethod
    def of(cls, utterances: Sequence[Utterance], settings: SoundConfig) -> Self:
        """Return the front end for training utterances, at the settings' rate or that of most."""
        cache = None if settings.cache is None else Path(settings.cache)
        rate = settings.rate
        if rate is None and not utterances[0].ready:
            rate = most_common_rate(utterances)
        features = feature_source(utterances, rate or 0, settings.bands, cache)
        return cls(features, settings.normalize)

    def uncached(self) -> Self:
        """Return the same front end without a cache of frames."""
        return replace(self, features=self.features.uncached())

    @property
    def rate(self) -> int | None:
        """Samples per second; None for precomputed features."""
        return self.features.rate

    @property
    def size(self) -> int:
        """Number of features in a frame, F."""
        return self.features.size

    def read(self, utterances: list[Utterance]) -> Recordings:
        """Compute the frames of utterances."""
        began = time.perf_counter()
        return Recordings(utterances, list(self.features.all(utterances)), self, time.perf_counter() - began)

    def fitted(self, frames: Iterable[Array]) -> Self:
        """Return it with the normalization of the training split."""
        return replace(self, normalizer=fit_normalizer(self.kind, frames, self.size))

    def for_speakers(self, utterances: Sequence[Utterance], frames: Sequence[Array]) -> Self:
        """Return it with the statistics of the speakers of these utterances, where they matter."""
        assert self.normalizer is not None
        speakers = [one.speaker for one in utterances]
        return replace(self, normalizer=self.normalizer.fit_speakers(frames, speakers))

    def normalized(self, one: Utterance, frames: Array) -> Array:
        """Return the frames of an utterance as the network reads them."""
        assert self.normalizer is not None
        return self.normalizer(frames, one.speaker)

    def check(self, one: Utterance) -> None:
        """Refuse features where the network reads sound, and sound where it reads features."""
        if one.ready == (self.rate is None):
            return
        raise UserError(
            "A model must get what it was trained on: sounds, or precomputed features.",
            f"{one.name} holds {'features' if one.ready else 'sound'}.",
            "Give the other kind, or train again.",
        )

    def stream(self) -> _FrameStream:
        """Return the same front end for samples as they come.

        Raises:
            UserError: the frames are not computed from sound, or their normalization needs future
                frames.
        """
        assert self.normalizer is not None
        if not isinstance(self.features, SoundFeatures):
            raise UserError(
                "A model for live sound must be trained on sound.",
                "This model was trained on precomputed features.",
                "Train one on sound files.",
            )
        return _FrameStream(self.features.filterbanks, self.normalizer)

    def to_dict(self) -> JsonObject:
        """Return the settings for JSON; :meth:`arrays` has the normalization."""
        return {"rate": self.rate, "features": self.size}

    @classmethod
    def from_dict(cls, values: JsonMapping, settings: SoundConfig, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`, without its normalization.

        Raises:
            UserError: it is damaged.
        """
        rate, size = values.get("rate"), values.get("features")
        if not isinstance(size, int) or not isinstance(rate, int | None):
            raise damaged(where, f"It has the rate {rate} and {size} features.")
        features = ReadyFeatures(size) if rate is None else SoundFeatures(Filterbanks(rate, size))
        return cls(features, settings.normalize)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the normalization."""
        assert self.normalizer is not None
        return normalizer_state(self.normalizer)

    def with_arrays(self, arrays: Mapping[str, Array]) -> Self:
        """Return it with the normalization of some arrays."""
        return replace(self, normalizer=normalizer_from_state(self.kind, arrays))


class _FrameStream:
    """Convert samples into normalized frames, block by block."""

    def __init__(self, filterbanks: Filterbanks, normalizer: Normalizer) -> None:
        self.filterbanks, self.normalizer = filterbanks.stream(), normalizer.stream()
        self.rate = filterbanks.rate

    def accept(self, samples: Array) -> Array:
        """Return the frames [t, F] that these samples complete."""
        return self.normalizer.accept(self.filterbanks.accept(samples))

    def finish(self) -> Array:
        """Return the frames that only the end completes."""
        return self.normalizer.accept(self.filterbanks.finish())
