"""Synthetic inspections for the tests of pages, plots and the terminal view."""

from __future__ import annotations

import math

import numpy as np

from holdfast.insight.analysis.results import (
    AblatedComponent,
    Ablation,
    Attribution,
    FeatureUnit,
    GradientFlow,
    Inspection,
    LayerTrace,
    MemoryCurve,
    Steps,
    ordered,
)

ACTIVATIONS = {
    "lstm": (("input", "forget", "output"), ("candidate", "cell", "hidden")),
    "gru": (("reset", "update"), ("candidate", "hidden")),
    "rnn": ((), ("hidden",)),
}
TEXT = (
    'SPEAKER ONE:\n"Go on," said the other;\tand so it went.\n\n'
    "SPEAKER TWO:\nWhat do you <b>mean</b> & why $5 or 6%?\n\n"
)


def characters(count: int) -> Steps:
    """Return a text of so many characters, with features that a unit may follow."""
    text = (TEXT * (count // len(TEXT) + 1))[:count]
    position, quoted = np.zeros(count), np.zeros(count)
    for t in range(1, count):
        position[t] = 0 if text[t - 1] == "\n" else position[t - 1] + 1
        quoted[t] = quoted[t - 1] != (text[t - 1] == '"')
    return Steps(list(text), "character", features={"position in line": position, "inside quotes": quoted})


def hours(count: int, rows: int = 2) -> Steps:
    """Return a series of so many hours."""
    time = np.arange(count)
    values = np.stack([np.sin(time * (k + 1) * 2 * math.pi / 24) for k in range(rows)])
    labels = [f"{t // 24 + 1:02d} May {t % 24:02d}:00" for t in time]
    names = [f"series {k + 1}" for k in range(rows)]
    return Steps(labels, "hour", values, names, {"hour of day": np.cos(time * 2 * math.pi / 24)})


def layer_trace(name: str, cell: str, steps: Steps, units: int, seed: int = 0) -> LayerTrace:
    """Return a layer whose units keep for 1 to 100 steps; the slowest follow the features."""
    rng = np.random.default_rng(seed)
    count = len(steps)
    gates, others = ACTIVATIONS[cell]
    keep = 0.5 ** (1 / np.geomspace(1, 100, units)[rng.permutation(units)])
    values = {
        name: 1 / (1 + np.exp(-rng.normal(0, 2, units) - rng.normal(0, 1, (count, units)))) for name in gates
    }
    state = np.zeros((count, units))
    pushes = rng.normal(0, 0.7, (count, units))
    for t in range(count):
        state[t] = keep * (state[t - 1] if t else 0) + pushes[t] * (1 - keep) ** 0.5
    slow = np.argsort(keep)[::-1]
    for unit, feature in zip(slow, steps.features.values()):
        state[:, unit] = feature / (np.abs(feature).max() or 1) * 2 - 1 + rng.normal(0, 0.1, count)
    values |= {name: np.tanh(state) if name != "cell" else state for name in others}
    half_lives = None if cell == "rnn" else math.log(2) / -np.log(keep)
    return LayerTrace(name, cell, values, gates, half_lives, ordered(keep))


def inspection(
    steps: Steps | None = None, cell: str = "lstm", units: int = 12, layers: int = 2, lags: int = 40
) -> Inspection:
    """Return an inspection with every result, of a network with so many layers."""
    steps = steps or characters(120)
    traces = [layer_trace(f"layer {k + 1}", cell, steps, units, k) for k in range(layers)]
    state = "cell" if cell == "lstm" else "hidden"
    tracked = [
        FeatureUnit(0, state, int(traces[0].order[-1 - k]), name, 0.91 - k / 10, 0.87 - k / 10)
        for k, name in enumerate(steps.features)
    ]
    rng, distance = np.random.default_rng(5), np.arange(lags)
    flows = [
        GradientFlow(
            p.name, 0.9**distance, 0.97**distance, 0.97, "healthy", f"In {p.name} the gradient is healthy."
        )
        for p in traces
    ]
    integrated = rng.normal(0, 1, len(steps)) * np.linspace(0, 1, len(steps)) ** 4
    cuts = [AblatedComponent("layer", k, p.name, 3.1 - k) for k, p in enumerate(traces)]
    cuts += [AblatedComponent("gate", 0, gate, 2.5 - k / 2) for k, gate in enumerate(traces[0].gates)]
    cuts += [
        AblatedComponent("unit", 0, "unit 3", 1.62),
        AblatedComponent("unit", layers - 1, "unit 1", 1.37),
    ]
    return Inspection(
        title="A made-up network on a made-up text",
        steps=steps,
        layers=traces,
        feature_units=tracked,
        memory=MemoryCurve(
            distance, 0.93**distance, np.array([1, 4, 16]), 0.93 ** np.array([1, 4, 16]), 9.6, math.inf, 0.004
        ),
        gradients=flows,
        attribution=Attribution(
            "log-probability of 'e' as what comes next",
            integrated,
            integrated + rng.normal(0, 0.05, len(steps)),
            0.83,
            0.012,
        ),
        ablation=Ablation(1.44, "nats per character", cuts),
        summary=["Half of what the network heard is gone after 9.6 steps.", "Unit 3 follows the quotes."],
        notes=["The text was cut after some characters."],
    )
