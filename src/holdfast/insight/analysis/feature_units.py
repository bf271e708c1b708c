"""Find units that track a feature of the input: selected on one half, confirmed on the other.

Letters: T steps, H units, N = 1 + :data:`_SHIFTS` versions of a feature (itself, and shifted in
time).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.results import FeatureUnit, LayerTrace

_SURE = 0.4
"""Correlation of the same sign on the held-out half from which a unit is reported."""
_MIN_STEPS = 24
"""Minimum number of steps of each half at which a feature must be defined."""
_SHIFTS, _MIN_SHIFT, _STRETCH = 99, 0.05, 1.5
"""Number of shifted versions of a feature that measure chance; the minimum shift as a share of the
steps; and the largest stretch factor, since a periodic feature such as the hour equals itself after
a shift."""
_DRIFT = 0.9
"""Correlation with the step index from which a feature counts as a mere trend."""


def correlations(values: Array, feature: Array) -> Array:
    """Return Pearson's correlation [H] of each column of [T, H] with a feature [T].

    NaN steps are skipped, and constants give 0.

    Example:
        >>> import numpy as np
        >>> correlations(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([1.0, 2.0, 3.0]))
        array([1., 0.])
    """
    known = np.isfinite(feature)
    return _standard(values[known]).T @ _standard(feature[known])


def find_feature_units(layers: Sequence[LayerTrace], features: Mapping[str, Array]) -> list[FeatureUnit]:
    """Return for each feature the unit that tracks it best, if the match exceeds chance.

    The best of thousands of units correlates highly with noise too, and slow units and slow
    features may agree by chance even on held-out steps. So selection and confirmation are repeated
    with shifted versions of the feature. A unit is reported if its confirmed correlation reaches
    :data:`_SURE` and exceeds that of every shifted version (about p = 0.01 for each feature;
    shifting is exact only for a stationary feature).

    Args:
        layers: the layers.
        features: name -> values, as :func:`searchable_features` returns them.
    """
    same: dict[bytes, dict[str, Array]] = {}
    for name, values in features.items():
        same.setdefault(np.isfinite(values).tobytes(), {})[name] = values
    found = [one for own in same.values() for one in _confirmed_units(layers, own)]
    return sorted(found, key=lambda one: -abs(one.confirmed))


def searchable_features(features: Mapping[str, Array]) -> dict[str, Array]:
    """Return the features [T, B] worth a search, with their B sequences end to end [B * T].

    A searchable feature is defined at enough steps of each half, varies in both, and does more than
    rise or fall, also within each sequence: any two trends correlate, and every unit drifts at the
    start of a sequence.
    """
    known = {name: np.asarray(values, np.float64) for name, values in features.items()}
    return {
        name: values.T.ravel()
        for name, values in known.items()
        if _changes(values.T.ravel()) and not all(_drifts(one) for one in values.T)
    }


def _drifts(sequence: Array) -> bool:
    steps = np.diff(sequence[np.isfinite(sequence)])
    return not len(steps) or steps.min() >= 0 or steps.max() <= 0


def _changes(feature: Array) -> bool:
    half = len(feature) // 2
    halves = [own[np.isfinite(own)] for own in (feature[:half], feature[half:])]
    if any(len(own) < _MIN_STEPS or np.ptp(own) == 0 for own in halves):
        return False
    whole = np.concatenate(halves)
    return abs(float(correlations(np.arange(len(whole))[:, None], whole)[0])) < _DRIFT


@dataclass
class _Best:
    """The best unit for each version of a feature on the first half, and its result on the second."""

    first: Array  # [T1, N], standardized
    second: Array  # [T2, N]
    selected: Array = field(default_factory=lambda: np.zeros(1 + _SHIFTS))
    confirmed: Array = field(default_factory=lambda: np.zeros(1 + _SHIFTS))
    unit: tuple[int, str, int] = (0, "", 0)  # of the feature itself

    def consider(self, early: Array, late: Array, layer: int, state: str) -> None:
        """Consider the units [T1, H] and [T2, H] of another layer."""
        each = early.T @ self.first
        units = np.abs(each).argmax(0)
        found = each[units, np.arange(len(units))]
        better = np.abs(found) > np.abs(self.selected)
        self.selected[better] = found[better]
        self.confirmed[better] = (late[:, units[better]] * self.second[:, better]).sum(0)
        if better[0]:
            self.unit = (layer, state, int(units[0]))

    def is_confirmed(self) -> bool:
        """Whether the feature is confirmed, and better than every shifted version."""
        agreed = np.sign(self.selected) * self.confirmed
        return bool(min(agreed[0], abs(self.selected[0])) >= _SURE and agreed[0] > agreed[1:].max())


def _confirmed_units(layers: Sequence[LayerTrace], features: Mapping[str, Array]) -> Iterator[FeatureUnit]:
    """Find the units that track features defined at the same steps."""
    known = np.isfinite(next(iter(features.values())))
    half = int(known[: len(known) // 2].sum())
    best = {}
    for name, values in features.items():
        versions = _shifted(values[known])
        best[name] = _Best(_standard(versions[:half]), _standard(versions[half:]))
    for place, layer in enumerate(layers):
        for state in ("cell", "hidden"):
            if state in layer.activations:
                values = layer.activations[state][known]
                early, late = _standard(values[:half]), _standard(values[half:])
                for one in best.values():
                    one.consider(early, late, place, state)
    for name, one in best.items():
        if one.is_confirmed():
            yield FeatureUnit(*one.unit, name, float(one.selected[0]), float(one.confirmed[0]))


def _shifted(feature: Array) -> Array:
    """Return [T, N]: a feature, and circularly shifted versions, stretched or shortened."""
    random, steps = np.random.default_rng(0), len(feature)
    by = random.uniform(_MIN_SHIFT * steps, (1 - _MIN_SHIFT) * steps, _SHIFTS)
    speed = _STRETCH ** random.uniform(-1, 1, _SHIFTS)
    places = (np.arange(steps)[:, None] * speed + by).astype(np.int64) % steps
    return np.concatenate([feature[:, None], feature[places]], 1)


def _standard(values: Array) -> Array:
    """Scale columns to mean 0 and norm 1; constant columns become 0."""
    centered = values.astype(np.float64)
    if len(centered):
        centered -= centered.mean(0)
    size = np.sqrt(np.square(centered).sum(0))
    return np.asarray(np.divide(centered, size, out=np.zeros_like(centered), where=size > 1e-6))
