"""Filterbanks against the formula in float64, and streamed audio against the whole."""

from __future__ import annotations

import gc
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from holdfast.data.audio.filterbanks import MIN_LOG_ENERGY, Filterbanks
from holdfast.errors import UserError
from sounds import tone

Array = NDArray[np.float64]


def mel(hertz: Array | float) -> Array:
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def by_formula(samples: Array, rate: int, bands: int) -> Array:
    """Compute Kaldi's log-mel filterbanks in float64 (feature-window.cc, mel-computations.cc)."""
    samples = samples.astype(np.float64) * 32768
    size, shift = int(0.025 * rate), int(0.01 * rate)
    padded = 2 ** int(np.ceil(np.log2(size)))
    starts = range(0, len(samples) - size + 1, shift)
    frames = np.stack([samples[at : at + size] for at in starts])
    frames -= frames.mean(1, keepdims=True)
    frames -= 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    frames *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    power = np.abs(np.fft.rfft(frames, padded))[:, : padded // 2] ** 2
    edges = np.linspace(mel(20), mel(rate / 2), bands + 2)
    bins = mel(np.arange(padded // 2) * rate / padded)
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0, np.minimum(up, down))
    return np.maximum(np.log(np.maximum(power @ weights.T, np.finfo(np.float32).eps)), MIN_LOG_ENERGY)


@pytest.mark.parametrize(("rate", "bands"), [(8000, 40), (16000, 80), (11025, 23), (44100, 64), (8000, 3)])
def test_frames_follow_the_formula(rate: int, bands: int) -> None:
    samples = tone(0.7, rate) + np.random.default_rng(1).normal(0, 0.05, round(0.7 * rate)).astype(np.float32)
    found = Filterbanks(rate, bands)(samples)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_formula(samples, rate, bands), rtol=1e-4, atol=1e-4)


@given(st.lists(st.integers(0, 700), max_size=12), st.sampled_from([8000, 11025, 16000]))
def test_blocks_of_any_size_give_the_frames_of_the_whole(sizes: list[int], rate: int) -> None:
    filterbanks = Filterbanks(rate, 24)
    samples = np.random.default_rng(len(sizes)).normal(0, 0.1, sum(sizes)).astype(np.float32)
    stream = filterbanks.stream()
    pieces = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    found = [*(stream.accept(piece) for piece in pieces), stream.finish()]
    np.testing.assert_array_equal(np.concatenate(found), filterbanks(samples))


@given(st.integers(1000, 50_000), st.integers(0, 3000))
def test_only_whole_windows_are_frames(rate: int, samples: int) -> None:
    window, shift = int(0.025 * rate), int(0.01 * rate)
    wanted = 1 + (samples - window) // shift if samples >= window else 0
    assert len(Filterbanks(rate, 3)(np.ones(samples, np.float32))) == wanted


def test_equal_sounds_give_equal_frames_and_silence_the_floor() -> None:
    filterbanks = Filterbanks(16000, 80)
    np.testing.assert_array_equal(filterbanks(tone()), filterbanks(tone()))
    silent = filterbanks(np.zeros(1000, np.float32))
    np.testing.assert_array_equal(silent, np.float32(MIN_LOG_ENERGY))


def test_the_floor_is_about_the_noise_of_16_bit_rounding() -> None:
    rounding = np.random.default_rng(0).uniform(-0.5, 0.5, 16000) / 32768
    for rate, bands in ((8000, 40), (16000, 80)):
        assert abs(np.median(by_formula(rounding, rate, bands)) - MIN_LOG_ENERGY) < 1


def test_ten_minutes_stream_in_constant_memory() -> None:
    stream, block = Filterbanks(8000, 40).stream(), tone(0.1, 8000)
    for _ in range(500):  # warms up
        stream.accept(block)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frames = sum(len(stream.accept(block)) for _ in range(6000))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert frames == 60_000
    assert grown < 4_000, f"{grown} KiB more; the frames alone are 9,600 KiB"


@pytest.mark.parametrize(("rate", "bands"), [(8000, 128), (8000, 2), (8000, 0), (8000, -3), (16000, 10_000)])
def test_bands_without_a_frequency_are_refused(rate: int, bands: int) -> None:
    with pytest.raises(UserError, match=f"{bands}:"):
        Filterbanks(rate, bands)


@pytest.mark.parametrize("rate", [0, -8000, 999, 10**6])
def test_an_invalid_rate_is_refused(rate: int) -> None:
    with pytest.raises(UserError, match="rate must be between"):
        Filterbanks(rate)
