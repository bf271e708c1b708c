"""Units that follow a feature: planted ones are found, and chance is not reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from holdfast._typing import Array
from holdfast.insight.analysis.feature_units import correlations, find_feature_units, searchable_features
from holdfast.insight.analysis.features import changing, of_characters, of_words
from holdfast.insight.analysis.gates import trace_layer
from holdfast.insight.analysis.layer_capture import capture_calls, split_directions
from holdfast.insight.analysis.results import FeatureUnit, LayerTrace


def named(layers: list[LayerTrace], features: Mapping[str, Array]) -> list[FeatureUnit]:
    """Return the units that are found in one sequence."""
    return find_feature_units(
        layers, searchable_features({name: values[:, None] for name, values in features.items()})
    )


def test_correlations_are_numpys() -> None:
    random = np.random.default_rng(0)
    values, feature = random.normal(size=(50, 4)), random.normal(size=50)
    feature[7] = np.nan
    known = np.isfinite(feature)
    expected = [np.corrcoef(values[known, k], feature[known])[0, 1] for k in range(4)]
    np.testing.assert_allclose(correlations(values, feature), expected)


def parts_with(planted: Any, steps: int = 400, units: int = 300) -> list[LayerTrace]:
    noise = np.random.default_rng(1).normal(size=(steps, units))
    if planted is not None:
        noise[:, 17] += 3 * planted
    return [LayerTrace("layer 1", "gru", {"hidden": noise}, (), None, np.arange(units))]


def test_a_planted_unit_is_found_and_named_and_noise_is_not() -> None:
    feature = (np.arange(400) % 37).astype(float)
    feature = (feature - feature.mean()) / feature.std()
    (found,) = named(parts_with(-feature), {"position in the line": feature})
    assert (found.unit, found.state, found.feature) == (17, "hidden", "position in the line")
    assert found.confirmed < -0.8 and found.selected < -0.8
    assert named(parts_with(None), {"position in the line": feature}) == []
    assert named(parts_with(feature), {"constant": np.ones(400)}) == []


def test_a_unit_that_follows_only_in_the_first_half_is_not_named() -> None:
    feature = np.random.default_rng(3).normal(size=400)
    planted = np.where(np.arange(400) < 200, feature, 0)
    assert named(parts_with(planted), {"noise": feature}) == []


def forgetful_parts(steps: int, seed: int) -> list[LayerTrace]:
    """An untrained LSTM with long memory, on white noise: its units are slow and follow nothing."""
    torch.manual_seed(seed)
    model, x = nn.LSTM(3, 128, 2), torch.randn(steps, 1, 3)
    with torch.no_grad():
        for bias in (model.bias_ih_l0, model.bias_ih_l1):
            bias[128:256] = 4
    return [
        trace_layer(one) for call in capture_calls(model, lambda: model(x)) for one in split_directions(call)
    ]


@pytest.mark.parametrize("steps", [60, 1000])
def test_slow_units_in_noise_follow_neither_a_trend_nor_a_walk_nor_noise(steps: int) -> None:
    times = dict.fromkeys(("trend", "noisy trend", "random walk", "white noise"), 0)
    for seed in range(20):
        random, trend = np.random.default_rng(seed), np.arange(float(steps))
        features = {
            "trend": trend,
            "noisy trend": trend + 3 * random.normal(size=steps),
            "random walk": random.normal(size=steps).cumsum(),
            "white noise": random.normal(size=steps),
        }
        for one in named(forgetful_parts(steps, seed), features):
            times[one.feature] += 1
    assert max(times.values()) <= 1, times
    assert times["trend"] == 0


def test_a_unit_that_counts_in_lines_of_a_text_or_follows_the_day_is_found() -> None:
    random = np.random.default_rng(0)
    lines = "".join("x" * int(n) + "\n" for n in random.integers(10, 50, 40))[:1000]
    line = of_characters(lines)["position in the line"]
    times = np.arange(len(lines))
    day = np.sin(2 * np.pi * times / 24)  # repeats after a day, so a shift in time changes nothing
    layers = forgetful_parts(len(lines), 0)
    hidden = layers[1].activations["hidden"].copy()
    hidden[:, 5] = np.tanh(line / 20) + 0.2 * random.normal(size=len(line))
    hidden[:, 9] = np.sin(2 * np.pi * (times - 1) / 24) + 0.5 * random.normal(size=len(line))
    hidden[:, 10] = np.sin(2 * np.pi * (times - 7) / 24)
    layers[1] = replace(layers[1], activations={"hidden": hidden})
    found = {one.feature: one for one in named(layers, {"position in the line": line, "hour": day})}
    assert (found["position in the line"].layer, found["position in the line"].unit) == (1, 5)
    assert (found["hour"].layer, found["hour"].unit) == (1, 9)


def test_features_of_a_play() -> None:
    text = 'ROMEO:\nHi "you" all\n\nNurse:\nNo.\n'
    found = changing(of_characters(text))
    name = found["speaker's name"]
    assert name[: len("ROMEO:\n")].all() and not name[7:21].any() and name[text.index("Nurse")]
    quotes = found["inside quotes"]
    assert "".join(c for c, q in zip(text, quotes, strict=True) if q) == '"you"'
    assert found["position in the paragraph"][text.index("Nurse")] == 1
    assert found["position in the word"][text.index("you") + 2] == 4
    assert "digit" not in found
    words = of_words(["So", ",", "he", "(", "too", ")", "left", ".", "He"])
    assert words["position in the sentence"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 1]
    assert words["inside brackets"].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


@given(st.text(max_size=60))
def test_features_are_as_long_as_the_text(text: str) -> None:
    assert all(len(v) == len(text) and v.min() < v.max() for v in changing(of_characters(text)).values())
    assert all(len(v) == len(text) for v in of_words(list(text)).values())


def test_ramps_in_many_sequences_are_not_searched_for() -> None:
    ramps = np.tile(np.arange(30.0)[:, None], 16)
    assert not searchable_features({"position": ramps, "left": -ramps})
    lines = np.tile(np.arange(120.0)[:, None] % 40, 2)
    assert [*searchable_features({"line": lines, "once": 1.0 * (lines > 200)})] == ["line"]
