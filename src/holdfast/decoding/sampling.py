"""Sample the next token from a model's distribution, through filters such as top-k and top-p.

A filter takes ``log p`` of every token [V] and the tokens so far, and returns scores [V], which
equal the new log-probabilities up to a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.validation import invalid_setting

Filter = Callable[[Array, Sequence[int]], Array]


def temperature(value: float) -> Filter:
    """Divide ``log p`` by a temperature: below 1 sharpens the distribution, 0 leaves its mode."""
    if value == 0:
        return lambda scores, _: np.where(np.arange(len(scores)) == scores.argmax(), 0.0, -np.inf)
    return lambda scores, _: (scores.astype(np.float64) - scores.max()) / value


def top_k(k: int) -> Filter:
    """Keep only the ``k`` most probable tokens (Fan et al. 2018)."""
    return lambda scores, _: _keep(scores, np.argpartition(-scores, min(k, len(scores)) - 1)[:k])


def top_p(p: float) -> Filter:
    """Keep the fewest tokens that together reach probability ``p`` (Holtzman et al. 2020)."""

    def keep(scores: Array, _: Sequence[int]) -> Array:
        order = np.argsort(-scores, kind="stable")
        before = np.cumsum(_softmax(scores[order])) - _softmax(scores[order])
        return _keep(scores, order[before < p])

    return keep


def _keep(scores: Array, tokens: Array) -> Array:
    kept = np.full_like(scores, -np.inf)
    kept[tokens] = scores[tokens]
    return kept


def repetition_penalty(factor: float) -> Filter:
    """Multiply ``log p`` of earlier tokens (Keskar et al. 2019): above 1 they become rarer."""

    def penalize(scores: Array, so_far: Sequence[int]) -> Array:
        seen = np.unique(np.asarray(so_far, np.int64))
        penalized = scores.copy()
        penalized[seen] *= factor
        return penalized

    return penalize


def exclude_token(token: int | None) -> Filter:
    """Never choose this token; None excludes no token."""

    def exclude(scores: Array, _: Sequence[int]) -> Array:
        kept = scores.copy()
        kept[token] = -np.inf
        return kept

    return exclude if token is not None else lambda scores, _: scores


_EXAMPLES = {"temperature": 0.8, "top-k": 40, "top-p": 0.9, "repetition-penalty": 1.2}


def sampling_filters(degree: float, k: int | None, p: float | None, penalty: float) -> list[Filter]:
    """Return the filters for these settings, in this order: penalty, temperature, top-k, top-p.

    Args:
        degree: the temperature; 1 changes nothing.
        k: for :func:`top_k`; None keeps every token.
        p: for :func:`top_p`; None keeps every token.
        penalty: for :func:`repetition_penalty`; 1 changes nothing.

    Raises:
        UserError: a value out of range.

    Example:
        >>> len(sampling_filters(0.8, 40, None, 1.0))
        2
    """
    for name, value, valid, rule in (
        ("temperature", degree, 0 <= degree < np.inf, "at least 0"),
        ("top-k", k, k is None or k >= 1, "at least 1"),
        ("top-p", p, p is None or 0 < p <= 1, "above 0 and at most 1"),
        ("repetition-penalty", penalty, 0 < penalty < np.inf, "above 0"),
    ):
        if not valid:
            raise invalid_setting(name, rule, value, _EXAMPLES[name])
    found = [] if penalty == 1 else [repetition_penalty(penalty)]
    found += [] if degree == 1 else [temperature(degree)]
    found += [] if k is None else [top_k(k)]
    return found + ([] if p is None else [top_p(p)])


def sample(scores: Array, so_far: Sequence[int], filters: Sequence[Filter], rng: np.random.Generator) -> int:
    """Sample one token from ``softmax`` of the filtered scores [V].

    Example:
        >>> sample(np.log([0.2, 0.8]), [], [temperature(0)], np.random.default_rng(0))
        1
    """
    for each in filters:
        scores = each(scores, so_far)
    return int(rng.choice(len(scores), p=_softmax(scores)))


def _softmax(scores: Array) -> Array:
    weights: Array = np.exp(scores.astype(np.float64) - scores.max())
    weights /= weights.sum()
    return weights
