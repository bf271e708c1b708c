"""Augmentation of speech: speed perturbation, added noise, and SpecAugment masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from holdfast.data.audio.filterbanks import Frames
from holdfast.data.audio.sound_files import SOUND_SUFFIXES, Samples, read_sound, resample
from holdfast.errors import UserError

SLOWEST, FASTEST = 0.5, 2.0
"""Speeds at which speech stays intelligible."""
_RANGE = 20.0
"""Width of the range of signal-to-noise ratios that are sampled, in dB."""
_MOST_NOISE = 1800.0
"""Seconds of noise that are kept of a folder."""
_MAX_MASKED = 0.2
"""Largest fraction of an utterance that one time mask covers."""


def change_speed(samples: Samples, rate: int, speed: float) -> Samples:
    """Change the speed of samples [n], and the pitch with it: [n / speed] (Ko et al. 2015).

    Raises:
        UserError: the speed is outside 0.5 ... 2.
    """
    if not SLOWEST <= speed <= FASTEST:
        rule = f"A speed must be between {SLOWEST} and {FASTEST}."
        raise UserError(rule, f"It was {speed}.", "Give for example 0.9, 1.0 and 1.1.")
    return samples if speed == 1 else resample(samples, rate * speed, rate)


@dataclass(frozen=True)
class Noise:
    """Noise at a ratio sampled from ``least`` to ``least + 20`` dB: white, pink, or from files.

    Attributes:
        least: the lowest ratio, in dB.
        files: sounds to sample from; empty: white and pink noise.
        left_out: number of files that were not read because the others already last half an hour.

    Example:
        >>> noise = Noise.of(10.0, None, rate=8000)
        >>> noise(np.ones(800, np.float32), np.random.default_rng(0)).shape
        (800,)
    """

    least: float
    files: tuple[Samples, ...] = ()
    left_out: int = 0

    @classmethod
    def of(cls, least: float, folder: Path | None, rate: int) -> Self:
        """Return noise from the sounds in a folder tree, or white and pink noise.

        Raises:
            UserError: the ratio is outside -20 ... 100 dB, or the folder is missing or has no sound
                that is not silent.
        """
        if not -20 <= least <= 100:
            rule = "A signal-to-noise ratio must be between -20 and 100 dB."
            raise UserError(rule, f"It was {least}.", "Give for example --noise 10.")
        if folder is None:
            return cls(least)
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUND_SUFFIXES)
        files: list[Samples] = []
        read, seconds = 0, 0.0
        while read < len(paths) and seconds < _MOST_NOISE:
            samples, _ = read_sound(paths[read], rate)
            read += 1
            seconds += len(samples) / rate
            files += [samples] if samples.any() else []
        if not files:
            got = "has only silent sounds or none" if folder.is_dir() else "is not a folder"
            rule = "Noise must come from a folder of sounds."
            raise UserError(
                rule, f"{folder} {got}.", "Give another folder, or leave it out for white and pink noise."
            )
        return cls(least, tuple(files), len(paths) - read)

    def __call__(self, samples: Samples, generator: np.random.Generator) -> Samples:
        """Return the samples [n] with noise; silence is unchanged."""
        ratio = generator.uniform(self.least, self.least + _RANGE)
        return add_noise(samples, self._sample(len(samples), generator), ratio)

    def _sample(self, size: int, generator: np.random.Generator) -> Samples:
        if not self.files:
            return white_noise(size, generator) if generator.random() < 0.5 else pink_noise(size, generator)
        noise = self.files[generator.integers(len(self.files))]
        noise = np.tile(noise, -(-size // len(noise)))
        start = generator.integers(len(noise) - size + 1)
        return noise[start : start + size]


def add_noise(samples: Samples, noise: Samples, ratio: float) -> Samples:
    """Return ``x + a n``, both [n], with ``10 log10(mean(x^2) / mean((a n)^2))`` = ratio in dB."""
    powers = [float(np.mean(np.square(x, dtype=np.float64))) if len(x) else 0.0 for x in (samples, noise)]
    if 0 in powers:
        return samples
    scale = np.float32(np.sqrt(powers[0] / powers[1] / 10 ** (ratio / 10)))
    found: Samples = samples + scale * noise
    return found


def white_noise(size: int, generator: np.random.Generator) -> Samples:
    """Sample noise [n] with equal power at all frequencies."""
    return generator.standard_normal(size, np.float32)


def pink_noise(size: int, generator: np.random.Generator) -> Samples:
    """Sample noise [n] whose power falls as 1 / frequency."""
    spectrum = np.fft.rfft(white_noise(size, generator))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.fft.irfft(spectrum, size).astype(np.float32) if size else np.zeros(0, np.float32)


@dataclass(frozen=True)
class Masks:
    """The sizes of time and frequency masks (SpecAugment: Park et al. 2019).

    Attributes:
        times: number of time masks.
        width: maximum width of a time mask, in frames; also at most a fifth of the utterance.
        bands: number of frequency masks.
        height: maximum height of a frequency mask, in bands.
    """

    times: int = 0
    width: int = 20
    bands: int = 0
    height: int = 8


def apply_masks(features: Frames, generator: np.random.Generator, masks: Masks) -> Frames:
    """Return a copy of features [T, F] in which sampled masks hold each band's mean."""
    found, means = features.copy(), features.mean(0) if len(features) else features.sum(0)
    frames, bands = features.shape
    for _ in range(masks.times):
        start, stop = _interval(frames, min(masks.width, int(_MAX_MASKED * frames)), generator)
        found[start:stop] = means
    for _ in range(masks.bands):
        start, stop = _interval(bands, min(masks.height, bands), generator)
        found[:, start:stop] = means[start:stop]
    return found


def _interval(size: int, max_width: int, generator: np.random.Generator) -> tuple[int, int]:
    width = int(generator.integers(max_width + 1))
    start = int(generator.integers(size - width + 1))
    return start, start + width
