"""Units that follow something of the input: chosen on the first half of the steps, confirmed on the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from holdfast.insight.inside.findings import Array, Part, Tracked

SURE = 0.4
"""Correlation, on the half that the choice did not see and with the same sign, from which a unit is named."""
FEWEST = 24
"""Steps of each half on which a feature must be known."""


def correlations(values: Array, feature: Array) -> Array:
    """Pearson's correlation [H] of each column of [T, H] with a feature [T]; NaN steps left out, 0 where constant.

    Example:
        >>> import numpy as np
        >>> correlations(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([1.0, 2.0, 3.0]))
        array([1., 0.])
    """
    known = np.isfinite(feature)
    a = values[known].astype(np.float64)
    b = feature[known].astype(np.float64)
    if not len(b):
        return np.zeros(values.shape[1])
    a, b = a - a.mean(0), b - b.mean()
    size = np.sqrt(np.square(a).sum(0) * np.square(b).sum())
    return np.asarray(np.divide(a.T @ b, size, out=np.zeros(values.shape[1]), where=size > 1e-12))


def tracked(parts: Sequence[Part], features: Mapping[str, Array]) -> list[Tracked]:
    """For each feature the unit that follows it best, in any layer and state, where the second half confirms it.

    Choosing among thousands of units finds a high correlation in noise too; the half of the steps that the choice did
    not see does not lie.
    """
    found = [_best(parts, name, np.asarray(values)) for name, values in features.items()]
    sure = [one for one in found if one is not None and abs(one.confirmed) >= SURE]
    return sorted(sure, key=lambda one: -abs(one.confirmed))


def _best(parts: Sequence[Part], name: str, feature: Array) -> Tracked | None:
    half = len(feature) // 2
    if min(_known(feature[:half]), _known(feature[half:])) < FEWEST:
        return None
    choices = []
    for place, part in enumerate(parts):
        for state in ("cell", "hidden"):
            if state in part.activations:
                found = correlations(part.activations[state][:half], feature[:half])
                unit = int(np.argmax(np.abs(found)))
                choices.append((abs(found[unit]), place, state, unit, float(found[unit])))
    _, place, state, unit, correlation = max(choices)
    seen = parts[place].activations[state][half:, unit : unit + 1]
    confirmed = float(correlations(seen, feature[half:])[0])
    if confirmed * correlation <= 0:
        return None
    return Tracked(place, state, unit, name, correlation, confirmed)


def _known(feature: Array) -> int:
    """Steps on which a feature is known; 0 where it never changes."""
    values = feature[np.isfinite(feature)]
    return len(values) if len(values) and np.ptp(values) > 0 else 0
