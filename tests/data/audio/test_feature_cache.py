"""Frames of datasets: joined, cached, augmented; and precomputed features."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.audio.augmentation import (
    Masks,
    Noise,
    add_noise,
    apply_masks,
    change_speed,
    pink_noise,
    white_noise,
)
from holdfast.data.audio.feature_cache import feature_source, joined_samples, read_features
from holdfast.data.audio.filterbanks import Filterbanks
from holdfast.data.audio.manifest import Utterance
from holdfast.data.prefetch import prefetch
from holdfast.errors import UserError
from sounds import tone, write


def utterance(*paths: Path) -> Utterance:
    return Utterance(" ".join(path.name for path in paths), paths)


def saved(path: Path, array: object) -> Path:
    np.save(path, array)  # type: ignore[arg-type]
    return path


def test_sounds_are_joined_before_their_frames_are_computed(tmp_path: Path) -> None:
    a, b = tone(0.31, 8000), tone(0.2, 16000, 700)
    one = utterance(write(tmp_path / "a.wav", a, 8000, "FLOAT"), write(tmp_path / "b.wav", b, 16000, "FLOAT"))
    samples = joined_samples(one, 8000)
    assert len(samples) == 2480 + 1600
    np.testing.assert_array_equal(samples[:2480], a)
    found = feature_source([one], 8000, 24).get(one)
    np.testing.assert_array_equal(found, Filterbanks(8000, 24)(samples))


def test_ready_features_are_joined_as_frames(tmp_path: Path) -> None:
    arrays = [np.random.default_rng(k).normal(size=(5 + k, 13)) for k in range(2)]
    one = utterance(*(saved(tmp_path / f"{k}.npy", array) for k, array in enumerate(arrays)))
    features = feature_source([one], 16000, 40)
    assert (features.size, features.rate) == (13, None)
    assert features.get(one).dtype == np.float32
    np.testing.assert_array_equal(features.get(one), np.concatenate(arrays).astype(np.float32))


@pytest.mark.parametrize("kept", [False, True])
def test_frames_are_computed_once_until_the_file_changes(
    tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = utterance(write(tmp_path / "a.wav", tone()))
    cache = tmp_path / "cache" if kept else None
    features = feature_source([one], 16000, 24, cache)
    first = features.get(one)
    again = feature_source([one], 16000, 24, cache) if kept else features
    with monkeypatch.context() as patch:
        patch.setattr(Filterbanks, "__call__", lambda self, samples: pytest.fail("computed again"))
        np.testing.assert_array_equal(again.get(one), first)
        np.testing.assert_array_equal(next(again.all([one])), first)
    if cache is not None:
        assert len(list(cache.glob("*.npy"))) == 1 and first.dtype == np.float32
        os.utime(one.paths[0], (1, 1))
        feature_source([one], 16000, 24, cache).get(one)
        feature_source([one], 16000, 32, cache).get(one)
        features.get(one, 1.1)
        assert len(list(cache.glob("*"))) == 4  # by file time, bands and speed


def test_a_damaged_cache_file_is_reported(tmp_path: Path) -> None:
    one, cache = utterance(write(tmp_path / "a.wav", tone())), tmp_path / "cache"
    feature_source([one], 16000, 24, cache).get(one)
    [path] = cache.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"is damaged.*Delete the folder"):
        feature_source([one], 16000, 24, cache).get(one)
    with pytest.raises(UserError, match="is a file"):
        feature_source([one], 16000, 24, path)


def test_many_are_computed_in_order_with_duplicates_too(tmp_path: Path) -> None:
    those = [utterance(write(tmp_path / f"{k}.wav", tone(0.1 + 0.01 * k))) for k in range(12)] * 2
    features = feature_source(those, 16000, 24, tmp_path / "cache")
    for one, found in zip(those, features.all(those), strict=True):
        np.testing.assert_array_equal(found, Filterbanks(16000, 24)(joined_samples(one, 16000)))


def test_prefetching_is_bounded_and_keeps_errors_in_order() -> None:
    begun, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        if item == 5:
            raise UserError("Not 5.", "It was 5.", "Give 4.")
        return item * item

    results = prefetch(work, iter(range(100)), buffer_size=4)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert max(begun) <= 3 + 4
    with pytest.raises(UserError, match="Not 5"):
        list(results)
    assert max(begun) < 15
    assert list(prefetch(work, [])) == []


# -- speed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_a_higher_speed_shortens_and_raises_the_pitch(speed: float) -> None:
    played = change_speed(tone(1.0, 8000, 400), 8000, speed)
    assert abs(len(played) - 8000 / speed) <= 1
    spectrum = np.abs(np.fft.rfft(played[1000:-1000]))
    peak = np.argmax(spectrum) * 8000 / (len(played) - 2000)
    assert abs(peak - 400 * speed) < 2


def test_a_speed_of_an_utterance(tmp_path: Path) -> None:
    one = utterance(write(tmp_path / "a.wav", tone(1.0)))
    features = feature_source([one], 16000, 24)
    assert [len(features.get(one, speed)) for speed in (1.0, 0.5, 2.0)] == [98, 198, 48]


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.49, 2.1, float("nan")])
def test_an_invalid_speed_is_refused(speed: float) -> None:
    with pytest.raises(UserError, match="speed must be between"):
        change_speed(tone(), 16000, speed)


# -- noise -----------------------------------------------------------------------------------------


@given(st.integers(100, 5000), st.floats(-20, 60))
def test_noise_has_the_requested_ratio(size: int, ratio: float) -> None:
    generator = np.random.default_rng(size)
    samples = white_noise(size, generator)
    for kind in (white_noise, pink_noise):
        noise = kind(size, generator)
        added = add_noise(samples, noise, ratio).astype(np.float64) - samples
        found = 10 * np.log10(np.mean(samples.astype(np.float64) ** 2) / np.mean(added**2))
        assert abs(found - ratio) < 0.05


def test_white_noise_is_flat_and_pink_falls_with_the_frequency() -> None:
    generator = np.random.default_rng(0)
    for kind, fall in ((white_noise, 1.0), (pink_noise, 10.0)):
        powers = np.mean([np.abs(np.fft.rfft(kind(4096, generator))) ** 2 for _ in range(200)], 0)
        ratio = powers[90:110].mean() / powers[900:1100].mean()
        assert abs(ratio / fall - 1) < 0.1


def test_noise_comes_from_its_generator_and_is_not_cached(tmp_path: Path) -> None:
    one = utterance(write(tmp_path / "a.wav", tone()))
    features, noise = feature_source([one], 16000, 24), Noise.of(10.0, None, 16000)
    clean = features.get(one)
    found = [
        features.get(one, change=lambda x, seed=seed: noise(x, np.random.default_rng(seed)))  # type: ignore[misc]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1 and np.abs(found[0] - clean).max() > 0.1
    np.testing.assert_array_equal(features.get(one), clean)


def test_noise_of_a_folder_is_a_segment_of_a_file(tmp_path: Path) -> None:
    ramp = np.arange(1, 801, dtype=np.float32) / 1000
    write(tmp_path / "deep" / "n.wav", ramp, 8000, "FLOAT")
    noise = Noise.of(0.0, tmp_path, 8000)
    generator = np.random.default_rng(0)
    for size in (100, 800, 3000):
        samples = white_noise(size, generator)
        added = noise(samples, generator) - samples
        steps = np.diff(added)
        assert len(added) == size
        assert np.mean(np.abs(steps - np.median(steps)) < 1e-3 * np.abs(added).max()) > 0.97


def test_silence_stays_silent() -> None:
    silent = np.zeros(100, np.float32)
    noise = Noise.of(0.0, None, 8000)
    np.testing.assert_array_equal(noise(silent, np.random.default_rng(0)), silent)
    assert len(noise(silent[:0], np.random.default_rng(0))) == 0


@pytest.mark.parametrize("ratio", [-21.0, 101.0, float("nan"), float("inf")])
def test_an_invalid_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(UserError, match="signal-to-noise"):
        Noise.of(ratio, None, 8000)


def test_a_folder_without_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        Noise.of(10.0, tmp_path / "none", 8000)
    with pytest.raises(UserError, match="has only silent sounds or none"):
        Noise.of(10.0, tmp_path, 8000)
    write(tmp_path / "silent.wav", np.zeros(99, np.float32))
    with pytest.raises(UserError, match="has only silent sounds or none"):
        Noise.of(10.0, tmp_path, 8000)


# -- masks -----------------------------------------------------------------------------------------


@given(st.integers(1, 120), st.integers(1, 50), st.integers(0, 3), st.integers(0, 3), st.integers(0, 10**6))
def test_masks_are_blocks_of_their_size(frames: int, bands: int, times: int, heights: int, seed: int) -> None:
    features = np.random.default_rng(1).normal(size=(frames, bands)).astype(np.float32)
    before = features.copy()
    found = apply_masks(features, np.random.default_rng(seed), Masks(times, 20, heights, 8))
    np.testing.assert_array_equal(features, before)
    changed = found != features
    np.testing.assert_array_equal(found[changed], np.broadcast_to(features.mean(0), found.shape)[changed])
    whole_frames = changed.all(1) if frames > 1 else np.zeros(1, bool)
    assert whole_frames.sum() <= times * min(20, frames // 5) or heights * 8 >= bands
    partly = changed[~changed.all(1)]
    assert not len(partly) or partly.any(0).sum() <= heights * min(8, bands)


def test_masks_come_from_their_generator() -> None:
    features = np.random.default_rng(1).normal(size=(100, 40)).astype(np.float32)
    found = [apply_masks(features, np.random.default_rng(seed), Masks(2, 20, 2, 8)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


# -- precomputed features --------------------------------------------------------------------------

GOOD = np.ones((4, 3), np.float32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.ones(4, np.float32), r"shape \(4,\)"),
        (np.ones((2, 3, 4), np.float32), r"shape \(2, 3, 4\)"),
        (np.ones((4, 3), np.int16), "type int16"),
        (np.ones((4, 3), np.complex64), "type complex64"),
        (np.array([["a"]]), "type <U1"),
        (np.ones((0, 3), np.float32), r"is empty: shape \(0, 3\)"),
        (GOOD * np.array([[1], [1], [np.nan], [1]]), "Frame 2 of .* has others"),
        (GOOD * np.float64(1e300), "Frame 0"),
        (np.array([{"a": 1}], object), "is not, or is cut off"),
        (b"text", "is not, or is cut off"),
        (b"", "is not, or is cut off"),
    ],
)
def test_files_that_hold_no_frames_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as refused:
        read_features(path)
    assert "a.npy" in str(refused.value)


def test_truncated_or_missing_features_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", GOOD)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="is cut"):
        read_features(path)
    with pytest.raises(UserError, match="No such file"):
        read_features(tmp_path / "b.npy")


def test_features_of_another_size_are_refused(tmp_path: Path) -> None:
    one = utterance(saved(tmp_path / "a.npy", GOOD))
    other = utterance(saved(tmp_path / "b.npy", GOOD[:, :2]))
    features = feature_source([one, other], 8000, 40)
    with pytest.raises(UserError, match=r"3 numbers in a frame\. .*b.npy has 2"):
        list(features.all([one, other]))


def test_ready_features_have_no_speed_and_no_samples(tmp_path: Path) -> None:
    one = utterance(saved(tmp_path / "a.npy", GOOD))
    features = feature_source([one], 8000, 40)
    with pytest.raises(UserError, match="--speeds and --noise"):
        features.get(one, 1.1)
    with pytest.raises(UserError, match="--speeds and --noise"):
        features.get(one, change=lambda samples: samples)
    with pytest.raises(UserError, match=r"must be sound\. a.npy holds features"):
        joined_samples(one, 8000)


def test_the_first_file_decides_the_error(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("text")
    one = utterance(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a.wav cannot be read"):
        next(feature_source([one], 8000, 24).all([one]))
    with pytest.raises(UserError, match="2:"):
        feature_source([one], 8000, 2)
