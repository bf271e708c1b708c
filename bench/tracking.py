"""How often an inspection names a unit by chance.

An untrained LSTM reads noise, and the features are unrelated to it. Prints, for each length and
feature, the number of runs in which some unit was found to follow it. Correct is none.

    python bench/tracking.py
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.insight.analysis import feature_units, gates
from holdfast.insight.analysis.layer_capture import capture_calls, split_directions

RUNS = {60: 200, 200: 200, 1000: 60}
"""Steps -> runs."""
KEEPS = 4.0
"""Bias of the forget gates: slow units follow slow features most easily."""


def network(units: int = 128) -> torch.nn.LSTM:
    """Return two layers as torch initializes them, except the forget gates."""
    made = torch.nn.LSTM(3, units, 2)
    with torch.no_grad():
        for bias in (made.bias_ih_l0, made.bias_ih_l1):
            bias[units : 2 * units] = KEEPS
    return made


def features(steps: int, random: np.random.Generator) -> dict[str, Array]:
    """Return name -> [T]: features that are unrelated to the input."""
    at = np.arange(steps)
    begin, end = np.sort(random.integers(0, steps, 2))
    lines = np.concatenate([np.arange(length) for length in random.integers(10, 50, steps // 10)])[:steps]
    return {
        "white noise": random.normal(size=steps),
        "random walk": np.cumsum(random.normal(size=steps)),
        "daily sine": np.sin(at * 2 * np.pi / 24),
        "switch on once": 1.0 * ((at >= begin) & (at < end)),
        "position in lines": 1.0 * lines,
    }


def named(steps: int, seed: int) -> list[str]:
    """Return the features that a unit is found to follow."""
    torch.manual_seed(seed)
    model, x = network(), torch.randn(steps, 1, 3)
    known = features(steps, np.random.default_rng(seed))
    layers = [
        gates.trace_layer(one)
        for call in capture_calls(model, lambda: model(x))
        for one in split_directions(call)
    ]
    wanted = feature_units.searchable_features({name: values[:, None] for name, values in known.items()})
    return [found.feature for found in feature_units.find_feature_units(layers, wanted)]


def main() -> None:
    """Print a line for each length, and one for all."""
    total: Counter[str] = Counter()
    names = features(60, np.random.default_rng(0))
    for steps, runs in RUNS.items():
        found = Counter(name for seed in range(100, 100 + runs) for name in named(steps, seed))
        total += found
        print(f"{steps:,} steps, {runs} runs:", ", ".join(f"{name} {found[name]}" for name in names))
    print(f"of {sum(RUNS.values())}:", ", ".join(f"{name} {total[name]}" for name in names))


if __name__ == "__main__":
    main()
