"""Normalization against numpy's means and deviations, and streaming against the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from holdfast.data.audio.normalization import (
    MIN_DEVIATION,
    NORMALIZERS,
    RunningNormalizer,
    fit_normalizer,
    normalizer_from_state,
    normalizer_state,
)
from holdfast.errors import UserError

Array = NDArray[np.float32]
F = 5


def utterances(*lengths: int, seed: int = 0) -> list[Array]:
    generator = np.random.default_rng(seed)
    scale, shift = generator.uniform(0.5, 4, F), generator.normal(0, 10, F)
    return [(generator.normal(size=(n, F)) * scale + shift).astype(np.float32) for n in lengths]


def by_numpy(frames: Array, of: Array, spread_of: Array | None = None) -> Array:
    wide, spread = of.astype(np.float64), (of if spread_of is None else spread_of).astype(np.float64)
    return ((frames - wide.mean(0)) / spread.std(0)).astype(np.float32)


def test_each_kind_subtracts_its_own_means() -> None:
    train, part = utterances(30, 50), utterances(20, 40, 10, 7, seed=1)
    speakers = ["jo", "al", "jo", None]
    of = {
        "global": [np.concatenate(train)] * 4,
        "utterance": part,
        "speaker": [np.concatenate([part[0], part[2]]), part[1], np.concatenate([part[0], part[2]]), part[3]],
    }
    for kind, whole in of.items():
        normalise = fit_normalizer(kind, train, F).fit_speakers(part, speakers)
        for frames, speaker, own in zip(part, speakers, whole, strict=True):
            wanted = by_numpy(frames, own, np.concatenate(train) if kind == "utterance" else None)
            np.testing.assert_allclose(normalise(frames, speaker), wanted, rtol=1e-4, atol=1e-4)
    assert fit_normalizer("none", train, F)(part[0]) is part[0]


def test_running_is_the_mean_of_the_past_and_of_the_training_split() -> None:
    train, [frames] = utterances(200), utterances(60, seed=1)
    found = RunningNormalizer(fit_normalizer("running", train, F).statistics, window=10)(frames)  # type: ignore[attr-defined]
    wide, prior = frames.astype(np.float64), train[0].astype(np.float64)
    for t in (0, 1, 30, 59):
        weights = np.concatenate([np.full(200, 10 / 200), np.ones(t + 1)])
        past = np.concatenate([prior, wide[: t + 1]])
        mean = np.average(past, axis=0, weights=weights)
        deviation = np.sqrt(np.average((past - mean) ** 2, axis=0, weights=weights))
        np.testing.assert_allclose(found[t], (wide[t] - mean) / deviation, rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 40), max_size=8), st.sampled_from(["running", "global", "none"]))
def test_streaming_equals_the_whole_sequence(sizes: list[int], kind: str) -> None:
    normalise = fit_normalizer(kind, utterances(50), F)
    [frames] = utterances(sum(sizes), seed=2)
    stream = normalise.stream()
    found = [stream.accept(piece) for piece in np.split(frames, np.cumsum(sizes))]
    np.testing.assert_array_equal(np.concatenate(found), normalise(frames))
    assert normalise(frames).dtype == np.float32


@pytest.mark.parametrize("kind", ["utterance", "speaker"])
def test_kinds_that_need_the_whole_sequence_cannot_stream(kind: str) -> None:
    with pytest.raises(UserError, match=f"normalizes by {kind}"):
        fit_normalizer(kind, utterances(5), F).stream()


@pytest.mark.parametrize("kind", NORMALIZERS)
def test_constant_bands_and_empty_utterances_stay_finite(kind: str) -> None:
    still = np.full((9, F), -15.9, np.float32)
    normalise = fit_normalizer(kind, [still], F)
    found = normalise(still, "jo")
    assert np.isfinite(found).all()
    assert kind == "none" or np.abs(found).max() < 1e-5 / MIN_DEVIATION
    assert normalise(still[:0], "jo").shape == (0, F)
    assert normalise.fit_speakers([still[:0]], ["jo"])(still, "jo").shape == (9, F)


@pytest.mark.parametrize("kind", NORMALIZERS)
def test_a_saved_normalization_is_restored(kind: str) -> None:
    normalise = fit_normalizer(kind, utterances(30, 20), F)
    [frames] = utterances(12, seed=3)
    np.testing.assert_array_equal(
        normalizer_from_state(kind, normalizer_state(normalise))(frames), normalise(frames)
    )


def test_mistakes_are_reported() -> None:
    with pytest.raises(UserError, match=r"must be one of global, .* It was 'globel'\. Did you mean 'global'"):
        fit_normalizer("globel", utterances(5), F)
    with pytest.raises(UserError, match="at least one frame"):
        fit_normalizer("global", utterances(0), F)
    with pytest.raises(UserError, match="lacks the statistics of the features"):
        normalizer_from_state("global", {})
