"""Units that follow something of the input: chosen on the first half of the steps, confirmed on the second.

Letters: T steps, H units, F features, N = 1 + :data:`MOVED` courses of a feature (itself, and moved in time).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.results import FeatureUnit, LayerTrace

SURE = 0.4
"""Correlation, on the half that the choice did not see and with the same sign, from which a unit is named."""
FEWEST = 24
"""Steps of each half on which a feature must be known."""
MOVED, NEAR, STRETCHED = 99, 0.05, 1.5
"""How often a feature is moved in time to see what chance finds; by this share of the steps or more, either way; and
stretched or shortened by up to this factor, since one that repeats, such as the hour, is itself again after a move."""
_DRIFT = 0.9
"""Correlation with the number of the step from which a feature does little else than rise or fall."""


def correlations(values: Array, feature: Array) -> Array:
    """Pearson's correlation [H] of each column of [T, H] with a feature [T]; NaN steps left out, 0 where constant.

    Example:
        >>> import numpy as np
        >>> correlations(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([1.0, 2.0, 3.0]))
        array([1., 0.])
    """
    known = np.isfinite(feature)
    return _standard(values[known]).T @ _standard(feature[known])


def find_feature_units(layers: Sequence[LayerTrace], features: Mapping[str, Array]) -> list[FeatureUnit]:
    """For each feature the unit that follows it best, in any layer and state, where that is no chance.

    Choosing among thousands of units finds a high correlation in noise too, and the half of the steps that the choice
    did not see may agree where both are slow. So the same is done, choice and confirmation, with the feature moved to
    other times: a unit is named where it is confirmed by :data:`SURE` and by more than is ever found so (p = 0.01 for
    each feature, about: moving is exact only where a feature's course is alike throughout).

    Args:
        parts: the layers.
        features: of which :func:`changing_enough` left these.
    """
    same: dict[bytes, dict[str, Array]] = {}
    for name, values in features.items():
        same.setdefault(np.isfinite(values).tobytes(), {})[name] = values
    found = [one for own in same.values() for one in _confirmed_units(layers, own)]
    return sorted(found, key=lambda one: -abs(one.confirmed))


def searchable_features(features: Mapping[str, Array]) -> dict[str, Array]:
    """Those [T, B] that may be looked for, their B sequences laid end to end [B * T].

    They are known on enough steps of each half, change in both, and do more than rise or fall, also within each
    sequence: anything that drifts follows what drifts, and every unit does when a sequence begins.
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
    if any(len(own) < FEWEST or np.ptp(own) == 0 for own in halves):
        return False
    whole = np.concatenate(halves)
    return abs(float(correlations(np.arange(len(whole))[:, None], whole)[0])) < _DRIFT


@dataclass
class _Best:
    """The best unit for each course of a feature: by the first half, with what the second says of it."""

    first: Array  # [T1, N], standardised
    second: Array  # [T2, N]
    selected: Array = field(default_factory=lambda: np.zeros(1 + MOVED))
    confirmed: Array = field(default_factory=lambda: np.zeros(1 + MOVED))
    unit: tuple[int, str, int] = (0, "", 0)  # of the feature itself

    def look(self, early: Array, late: Array, layer: int, state: str) -> None:
        """Choose among the units [T1, H] and [T2, H] of a part, too."""
        each = early.T @ self.first
        units = np.abs(each).argmax(0)
        found = each[units, np.arange(len(units))]
        better = np.abs(found) > np.abs(self.selected)
        self.selected[better] = found[better]
        self.confirmed[better] = (late[:, units[better]] * self.second[:, better]).sum(0)
        if better[0]:
            self.unit = (layer, state, int(units[0]))

    def sure(self) -> bool:
        """Whether the feature itself is confirmed, and better than when it is moved."""
        agreed = np.sign(self.selected) * self.confirmed
        return bool(min(agreed[0], abs(self.selected[0])) >= SURE and agreed[0] > agreed[1:].max())


def _confirmed_units(layers: Sequence[LayerTrace], features: Mapping[str, Array]) -> Iterator[FeatureUnit]:
    """Of features that are known on the same steps, those that a unit follows."""
    known = np.isfinite(next(iter(features.values())))
    half = int(known[: len(known) // 2].sum())
    best = {}
    for name, values in features.items():
        courses = _courses(values[known])
        best[name] = _Best(_standard(courses[:half]), _standard(courses[half:]))
    for place, layer in enumerate(layers):
        for state in ("cell", "hidden"):
            if state in layer.activations:
                values = layer.activations[state][known]
                early, late = _standard(values[:half]), _standard(values[half:])
                for one in best.values():
                    one.look(early, late, place, state)
    for name, one in best.items():
        if one.sure():
            yield FeatureUnit(*one.unit, name, float(one.selected[0]), float(one.confirmed[0]))


def _courses(feature: Array) -> Array:
    """[T, N]: a feature, and the same moved in a circle and stretched or shortened."""
    random, steps = np.random.default_rng(0), len(feature)
    by = random.uniform(NEAR * steps, (1 - NEAR) * steps, MOVED)
    speed = STRETCHED ** random.uniform(-1, 1, MOVED)
    places = (np.arange(steps)[:, None] * speed + by).astype(np.int64) % steps
    return np.concatenate([feature[:, None], feature[places]], 1)


def _standard(values: Array) -> Array:
    """Columns with mean 0 and norm 1; those that are constant are 0."""
    centred = values.astype(np.float64)
    if len(centred):
        centred -= centred.mean(0)
    size = np.sqrt(np.square(centred).sum(0))
    return np.asarray(np.divide(centred, size, out=np.zeros_like(centred), where=size > 1e-6))
