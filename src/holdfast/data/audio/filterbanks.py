"""Log-mel filterbanks as Kaldi computes them, for whole sounds and for streams."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.audio.sound_files import Samples
from holdfast.errors import UserError
from holdfast.optional_imports import load_extra

Frames = NDArray[np.float32]

WINDOW, _SHIFT = 0.025, 0.010
"""Window length and frame shift, in seconds."""
_FULL_SCALE = 32768.0
"""Kaldi's samples have 16 bits."""
MIN_LOG_ENERGY = 2.3
"""Smallest value in a frame: about what rounding to 16 bits leaves in a band (a variance of 1/12,
after pre-emphasis, summed over a window). Otherwise digital silence, from synthesizers and noise
gates, would be at -15.9, further from all speech than any two sounds of speech are from each other.
"""


class Filterbanks:
    """Log energies in F triangular bands of equal width on the mel scale, 100 times a second.

    Each window of 25 ms loses its mean, is pre-emphasised (``x_t - 0.97 x_{t-1}``), weighted by
    Kaldi's "povey" window (``(0.5 - 0.5 cos(2 pi n / (N - 1)))^0.85``), padded to a power of two
    and Fourier transformed. The squared magnitudes are summed with the bands' weights between 20 Hz
    and half the rate, ``mel = 1127 ln(1 + Hz / 700)``. There is no dither, so equal samples give
    equal frames; values are clipped at 2.3 from below, where 16 bits end. Only complete windows
    count: n samples give ``T = 1 + (n - window) // shift`` frames, none if n is below a window.
    Computed by kaldi-native-fbank.

    Args:
        rate: samples per second.
        bands: F.

    Raises:
        UserError: the rate or the number of bands is too low, or the window cannot resolve so many
            bands.

    Example:
        >>> filterbanks = Filterbanks(rate=8000, bands=40)
        >>> filterbanks(np.zeros(8000, np.float32)).shape
        (98, 40)
        >>> stream = filterbanks.stream()
        >>> [len(stream.accept(np.zeros(500, np.float32))) for _ in range(3)], len(stream.finish())
        ([4, 7, 6], 0)
    """

    def __init__(self, rate: int, bands: int = 80) -> None:
        if not 1000 <= rate <= 384_000:
            rule = "A sampling rate must be between 1,000 and 384,000 samples per second."
            raise UserError(rule, f"It was {rate}.", "Give for example --rate 16000.")
        self.rate, self.bands = rate, bands
        self._options = _options(rate, bands)
        self.stream()  # raises if the bands break a rule

    def __call__(self, samples: Samples) -> Frames:
        """Return the frames [T, F] of samples [n] within -1 ... 1."""
        stream = self.stream()
        found = stream.accept(samples)
        return np.concatenate([found, stream.finish()])

    def stream(self) -> _FilterbankStream:
        """Return a stream; the frames of all its blocks equal those of the whole sound."""
        import kaldi_native_fbank

        try:
            return _FilterbankStream(kaldi_native_fbank.OnlineFbank(self._options), self.rate, self.bands)
        except ValueError as error:
            raise UserError(
                f"At {self.rate:,} samples per second --bands must be at least 3, and each band must hold a frequency.",
                f"It was {self.bands}: {str(error).rstrip('.')}.",
                "Give for example --bands 40.",
            ) from error


class _FilterbankStream:
    """Filterbanks of a stream, in constant memory; see :meth:`Filterbanks.stream`."""

    def __init__(self, online: Any, rate: int, bands: int) -> None:
        self._online, self._rate, self._bands, self._given = online, rate, bands, 0

    def accept(self, samples: Samples) -> Frames:
        """Add samples [n] and return the frames [t, F] that they complete."""
        if len(samples):
            scaled = np.asarray(samples, np.float32) * np.float32(_FULL_SCALE)
            self._online.accept_waveform(self._rate, scaled)
        return self._new()

    def finish(self) -> Frames:
        """Return the frames [t, F] that the end of the sound completes."""
        self._online.input_finished()
        return self._new()

    def _new(self) -> Frames:
        ready = self._online.num_frames_ready
        found = np.empty((ready - self._given, self._bands), np.float32)
        for place, number in enumerate(range(self._given, ready)):
            found[place] = self._online.get_frame(number)
        self._online.pop(ready - self._given)
        self._given = ready
        return np.maximum(found, np.float32(MIN_LOG_ENERGY))


def _options(rate: int, bands: int) -> object:
    options = load_extra("kaldi_native_fbank", "speech").FbankOptions()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0.0
    options.frame_opts.frame_length_ms = 1000 * WINDOW
    options.frame_opts.frame_shift_ms = 1000 * _SHIFT
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = bands
    return options
