"""Augmentation of training utterances: another speed, added noise, masked frames and bands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.augmentation import Masks, Noise, apply_masks
from holdfast.data.audio.manifest import Utterance
from holdfast.errors import UserError
from holdfast.tasks.speech.config import AugmentConfig
from holdfast.tasks.speech.frontend import Frontend


@dataclass(frozen=True)
class Augmenter:
    """Changes utterances at random; ``frontend`` has the statistics of the training speakers."""

    frontend: Frontend
    speeds: tuple[float, ...]
    noise: Noise | None
    masks: Masks

    @classmethod
    def of(cls, settings: AugmentConfig, frontend: Frontend) -> Self:
        """Build it from the settings.

        Raises:
            UserError: speeds or noise are set for precomputed features, or the noise folder has no
                sounds.
        """
        if frontend.rate is None and (settings.speeds != (1.0,) or settings.noise is not None):
            raise UserError(
                "--speeds and --noise must be used with sounds.",
                "The manifest names precomputed features.",
                "Leave out --speeds and --noise; use masks, which work on features too.",
            )
        noise = None
        if settings.noise is not None:
            folder = None if settings.noise_folder is None else Path(settings.noise_folder)
            noise = Noise.of(settings.noise, folder, frontend.rate or 0)
        masks = Masks(settings.time_masks, settings.time_width, settings.band_masks, settings.band_width)
        return cls(frontend, settings.speeds, noise, masks)

    def __call__(self, one: Utterance, frames: Array, seed: tuple[int, ...]) -> Array:
        """Return an utterance's frames in one epoch; ``frames`` are its unchanged ones."""
        generator = np.random.default_rng(seed)
        speed = float(generator.choice(self.speeds))
        if speed != 1 or self.noise is not None:
            change = None if self.noise is None else partial(self.noise, generator=generator)
            frames = self.frontend.normalized(one, self.frontend.features.get(one, speed, change))
        return apply_masks(frames, generator, self.masks) if self.masks.times or self.masks.bands else frames
