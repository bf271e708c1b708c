"""How a sound becomes the frames that the network reads: the front end, and the normalisation that was learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

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
from holdfast.errors import UserError
from holdfast.tasks.speech.config import SoundConfig


@dataclass(frozen=True)
class Sounds:
    """A front end with its normalisation (None before it is learnt)."""

    features: SoundFeatures | ReadyFeatures
    kind: str
    normalisation: Normalizer | None = None

    @classmethod
    def of(cls, utterances: Sequence[Utterance], settings: SoundConfig) -> Self:
        """For some training utterances, at the settings' rate or that of most files."""
        cache = None if settings.cache is None else Path(settings.cache)
        rate = settings.rate
        if rate is None and not utterances[0].ready:
            rate = most_common_rate(utterances)
        features = feature_source(utterances, rate or 0, settings.bands, cache)
        return cls(features, settings.normalize)

    def forgetful(self) -> Self:
        """The same for use, in which no frames are kept."""
        return replace(self, features=self.features.uncached())

    @property
    def rate(self) -> int | None:
        """Samples a second; None where features are ready."""
        return self.features.rate

    @property
    def size(self) -> int:
        """F, the numbers of a frame."""
        return self.features.size

    def fitted(self, frames: Iterable[Array]) -> Self:
        """With the normalisation of the training part."""
        return replace(self, normalisation=fit_normalizer(self.kind, frames, self.size))

    def normalised(self, utterances: Sequence[Utterance], frames: Sequence[Array]) -> list[Array]:
        """The frames of some utterances as the network reads them."""
        own = self.among(utterances, frames)
        return [own(each, one.speaker) for one, each in zip(utterances, frames)]

    def among(self, utterances: Sequence[Utterance], frames: Sequence[Array]) -> Normalizer:
        """The normalisation of a part with these utterances."""
        assert self.normalisation is not None
        return self.normalisation.fit_speakers(frames, [one.speaker for one in utterances])

    def check(self, one: Utterance) -> None:
        """Refuse features where the network hears sounds, and the other way round."""
        if one.ready == (self.rate is None):
            return
        raise UserError(
            "A model hears what it was trained on: sounds, or ready features.",
            f"{one.name} holds {'features' if one.ready else 'sound'}.",
            "Give the others, or train anew.",
        )

    def stream(self) -> _SoundStream:
        """Frames as the network reads them, of samples as they come.

        Raises:
            UserError: the frames are not computed from sound, or normalised by what is known only at the end.
        """
        assert self.normalisation is not None
        if not isinstance(self.features, SoundFeatures):
            raise UserError(
                "Live sound becomes frames as it did in training.",
                "This model was trained on ready features.",
                "Train one on sound files.",
            )
        return _SoundStream(self.features.filterbanks, self.normalisation)

    def description(self) -> dict[str, Any]:
        """What the front end is, for JSON; the normalisation's arrays are kept elsewhere."""
        return {"rate": self.rate, "features": self.size}

    @classmethod
    def described(cls, described: Mapping[str, Any], settings: SoundConfig, where: Path) -> Self:
        """What :meth:`description` gave.

        Raises:
            UserError: it is damaged.
        """
        rate, size = described.get("rate"), described.get("features")
        if not isinstance(size, int) or not isinstance(rate, int | None):
            rule = f"{where} holds the front end as training wrote it."
            raise UserError(
                rule, f"rate is {rate}, features {size}.", "Copy the folder again, or train anew."
            )
        features = ReadyFeatures(size) if rate is None else SoundFeatures(Filterbanks(rate, size))
        return cls(features, settings.normalize)

    def arrays(self) -> dict[str, Array]:
        """The normalisation's arrays by name."""
        assert self.normalisation is not None
        return normalizer_state(self.normalisation)

    def normalised_by(self, arrays: Mapping[str, Array]) -> Self:
        """With a normalisation's arrays."""
        return replace(self, normalisation=normalizer_from_state(self.kind, arrays))


class _SoundStream:
    """Samples in, normalised frames out."""

    def __init__(self, filterbanks: Filterbanks, normalisation: Normalizer) -> None:
        self.filterbanks, self.normalisation = filterbanks.stream(), normalisation.stream()
        self.rate = filterbanks.rate

    def accept(self, samples: Array) -> Array:
        """The frames [t, F] that became whole."""
        return self.normalisation.accept(self.filterbanks.accept(samples))

    def finish(self) -> Array:
        """Those that only the end makes whole."""
        return self.normalisation.accept(self.filterbanks.finish())
