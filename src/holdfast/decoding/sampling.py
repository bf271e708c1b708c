"""How the next token is drawn from a model's probabilities: sampling_filters, assembled once, and one draw.

A filter takes ``log p`` of every token [V] and the tokens so far, and gives scores [V] that mean the same up to a
constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

Filter = Callable[[Array, Sequence[int]], Array]


def temperature(degree: float) -> Filter:
    """``log p / degree``: below 1 the likely become likelier; 0 takes the likeliest always."""
    if degree == 0:
        return lambda scores, _: np.where(np.arange(len(scores)) == scores.argmax(), 0.0, -np.inf)
    return lambda scores, _: (scores.astype(np.float64) - scores.max()) / degree


def top_k(count: int) -> Filter:
    """Only the ``count`` likeliest tokens (Fan et al. 2018)."""

    def keep(scores: Array, _: Sequence[int]) -> Array:
        kept = np.full_like(scores, -np.inf)
        best = np.argpartition(-scores, min(count, len(scores)) - 1)[:count]
        kept[best] = scores[best]
        return kept

    return keep


def top_p(share: float) -> Filter:
    """Only the likeliest tokens that together have at least this probability (Holtzman et al. 2020)."""

    def keep(scores: Array, _: Sequence[int]) -> Array:
        order = np.argsort(-scores, kind="stable")
        before = np.cumsum(_softmax(scores[order])) - _softmax(scores[order])
        kept = np.full_like(scores, -np.inf)
        best = order[before < share]
        kept[best] = scores[best]
        return kept

    return keep


def repetition_penalty(factor: float) -> Filter:
    """``log p`` of tokens that have come before times ``factor`` (Keskar et al. 2019): above 1 they become rarer."""

    def push(scores: Array, so_far: Sequence[int]) -> Array:
        seen = np.unique(np.asarray(so_far, np.int64))
        pushed = scores.copy()
        pushed[seen] *= factor
        return pushed

    return push


def exclude_token(token: int | None) -> Filter:
    """Never this token."""

    def drop(scores: Array, _: Sequence[int]) -> Array:
        kept = scores.copy()
        kept[token] = -np.inf
        return kept

    return drop if token is not None else lambda scores, _: scores


def sampling_filters(degree: float, most: int | None, share: float | None, penalty: float) -> list[Filter]:
    """The filters that were asked for, in their order: penalty, temperature, top-k, top-p.

    Raises:
        UserError: a value outside its rule.
    """
    for name, value, fine, rule in (
        ("temperature", degree, 0 <= degree < np.inf, "at least 0"),
        ("top-k", most, most is None or most >= 1, "at least 1"),
        ("top-p", share, share is None or 0 < share <= 1, "in (0, 1]"),
        ("repetition-penalty", penalty, 0 < penalty < np.inf, "above 0"),
    ):
        if not fine:
            raise UserError(
                f"--{name} is {rule}.", f"It was {value}.", f"Give for example --{name} {EXAMPLES[name]}."
            )
    found = [] if penalty == 1 else [repetition_penalty(penalty)]
    found += [] if degree == 1 else [temperature(degree)]
    found += [] if most is None else [top_k(most)]
    return found + ([] if share is None else [top_p(share)])


EXAMPLES = {"temperature": 0.8, "top-k": 40, "top-p": 0.9, "repetition-penalty": 1.2}


def sample(
    scores: Array, so_far: Sequence[int], through: Sequence[Filter], random: np.random.Generator
) -> int:
    """A token by the probabilities that the filters leave."""
    for one in through:
        scores = one(scores, so_far)
    return int(random.choice(len(scores), p=_softmax(scores)))


def _softmax(scores: Array) -> Array:
    weights: Array = np.exp(scores.astype(np.float64) - scores.max())
    weights /= weights.sum()
    return weights
