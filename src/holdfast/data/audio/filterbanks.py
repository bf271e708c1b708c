"""Log-mel filterbanks as Kaldi computes them, of whole sounds and of sound as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.data.audio.sound_files import Samples
from holdfast.errors import UserError, missing_library

Frames = NDArray[np.float32]

WINDOW, SHIFT = 0.025, 0.010
"""Length of a frame's window and step from frame to frame, in seconds."""
_FULL_SCALE = 32768.0
"""Kaldi's samples are those of 16 bits."""
MIN_LOG_ENERGY = 2.3
"""Least number of a frame: about what rounding to 16 bits leaves in a band (a variance of 1/12, after pre-emphasis, in
the sum over a window). Digital silence, which synthesisers and gates make, would else be at -15.9, further from all
speech than any sounds of speech are from each other."""


class Filterbanks:
    """Logarithms of the energy in F triangular bands that are equally wide on the mel scale, 100 times a second.

    Each window of 25 ms loses its mean, is pre-emphasised (``x_t - 0.97 x_{t-1}``), weighted by Kaldi's "povey" window
    (``(0.5 - 0.5 cos(2 pi n / (N - 1)))^0.85``), padded to a power of two and Fourier transformed; the squared
    magnitudes are summed with the bands' weights between 20 Hz and half the rate, ``mel = 1127 ln(1 + Hz / 700)``.
    There is no dither, so equal samples give equal frames; instead no number is below 2.3, where 16 bits end. Only
    whole windows count: n samples give ``T = 1 + (n - window) // shift`` frames, none where n is below a window.
    Computed by kaldi-native-fbank.

    Args:
        rate: samples a second.
        bands: F.

    Raises:
        UserError: a rate or bands below their least, or more bands than the window can tell apart.

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
            rule = "A rate is between 1,000 and 384,000 samples a second."
            raise UserError(rule, f"It was {rate}.", "Give for example --rate 16000.")
        self.rate, self.bands = rate, bands
        self._options = _options(rate, bands)
        self.stream()  # tells what is wrong with the bands

    def __call__(self, samples: Samples) -> Frames:
        """Frames [T, F] of samples [n] within -1 ... 1."""
        stream = self.stream()
        found = stream.accept(samples)
        return np.concatenate([found, stream.finish()])

    def stream(self) -> _FilterbankStream:
        """The same for sound as it comes: the frames of all blocks together equal those of the whole."""
        import kaldi_native_fbank

        try:
            return _FilterbankStream(kaldi_native_fbank.OnlineFbank(self._options), self.rate, self.bands)
        except ValueError as error:
            raise UserError(
                f"At {self.rate:,} samples a second there are at least 3 bands, and each holds a frequency.",
                f"{self.bands} were asked for: {str(error).rstrip('.')}.",
                "Give for example --bands 40.",
            ) from error


class _FilterbankStream:
    """Frames of sound as it comes, in constant memory; made by :meth:`Filterbanks.stream`."""

    def __init__(self, online: Any, rate: int, bands: int) -> None:
        self._online, self._rate, self._bands, self._given = online, rate, bands, 0

    def accept(self, samples: Samples) -> Frames:
        """The frames [t, F] that became whole by these samples [n], which follow the earlier ones."""
        if len(samples):
            scaled = np.asarray(samples, np.float32) * np.float32(_FULL_SCALE)
            self._online.accept_waveform(self._rate, scaled)
        return self._new()

    def finish(self) -> Frames:
        """The frames [t, F] that only the sound's end makes whole."""
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


def _options(rate: int, bands: int) -> Any:
    try:
        import kaldi_native_fbank
    except ModuleNotFoundError as error:
        raise missing_library(error, "speech") from error
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = rate
    options.frame_opts.dither = 0.0
    options.frame_opts.frame_length_ms = 1000 * WINDOW
    options.frame_opts.frame_shift_ms = 1000 * SHIFT
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = bands
    return options
