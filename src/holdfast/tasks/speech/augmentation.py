"""Training utterances as they are heard in one epoch: at another speed, with noise, with blanked stretches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.augmentation import Masks, Noise, apply_masks
from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.normalization import Normalizer
from holdfast.errors import UserError
from holdfast.tasks.speech.config import AugmentConfig
from holdfast.tasks.speech.frontend import Sounds


@dataclass(frozen=True)
class Augmenter:
    """Changes utterances by chance; ``normalise`` is that of the training part, which knows its speakers."""

    sounds: Sounds
    normalise: Normalizer
    speeds: tuple[float, ...]
    noise: Noise | None
    masks: Masks

    @classmethod
    def of(cls, settings: AugmentConfig, sounds: Sounds, normalise: Normalizer) -> Self:
        """As the settings say.

        Raises:
            UserError: speeds or noise of ready features, or no noise in its folder.
        """
        if sounds.rate is None and (settings.speeds != (1.0,) or settings.noise is not None):
            raise UserError(
                "Speed and noise are changed in sound.",
                "The manifest names ready features.",
                "Leave out --speeds and --noise; masks are for features too.",
            )
        noise = None
        if settings.noise is not None:
            folder = None if settings.noise_folder is None else Path(settings.noise_folder)
            noise = Noise.of(settings.noise, folder, sounds.rate or 0)
        masks = Masks(settings.time_masks, settings.time_width, settings.band_masks, settings.band_width)
        return cls(sounds, normalise, settings.speeds, noise, masks)

    def __call__(self, one: Utterance, frames: Array, seed: tuple[int, ...]) -> Array:
        """An utterance's frames in one epoch; ``frames`` are those it has unchanged."""
        generator = np.random.default_rng(seed)
        speed = float(generator.choice(self.speeds))
        if speed != 1 or self.noise is not None:
            change = None if self.noise is None else partial(self.noise, generator=generator)
            frames = self.normalise(self.sounds.features.get(one, speed, change), one.speaker)
        return apply_masks(frames, generator, self.masks) if self.masks.times or self.masks.bands else frames
