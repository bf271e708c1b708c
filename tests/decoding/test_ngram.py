"""Kneser-Ney smoothing against its definition in plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from holdfast.decoding import ngram
from holdfast.decoding.ngram import NGramBaselines, NGramModel
from holdfast.errors import UserError

VOCAB_SIZE = 5
RANDOM = np.random.default_rng(0)
TRAIN, TEST = RANDOM.integers(0, 4, 60), RANDOM.integers(0, VOCAB_SIZE, 30)
Gram = tuple[int, ...]


def counted(n: int) -> Counter[Gram]:
    return Counter(tuple(TRAIN[i : i + n].tolist()) for i in range(len(TRAIN) - n + 1))


def before(n: int) -> Counter[Gram]:
    """The number of different tokens before each n-gram."""
    return Counter(gram[1:] for gram in counted(n + 1))


def probability(token: int, context: Gram, longest: bool = True) -> float:
    n = len(context) + 1
    counts = counted(n) if longest else before(n)
    values = list(counts.values())
    ones, twos = values.count(1), values.count(2)
    discount = ones / (ones + 2 * twos) if ones else 0.5
    lower = probability(token, context[1:], longest=False) if context else 1 / VOCAB_SIZE
    total = sum(count for gram, count in counts.items() if gram[:-1] == context)
    kinds = sum(1 for gram in counts if gram[:-1] == context)
    if not total:
        return lower
    return max(counts[(*context, token)] - discount, 0) / total + discount * kinds / total * lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_against_the_definition(order: int) -> None:
    found = np.exp(-NGramModel.fit(TRAIN, VOCAB_SIZE, order).nll(TEST, order))
    for i in range(order - 1, len(TEST)):
        context = tuple(TEST[i - order + 1 : i].tolist())
        assert found[i] == pytest.approx(probability(int(TEST[i]), context), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("piece", [1, 2, 7])
def test_block_size_changes_no_score(order: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    grams = NGramModel.fit(TRAIN, VOCAB_SIZE, order)
    whole = grams.nll(TEST, order)
    monkeypatch.setattr(ngram, "BLOCK", piece)
    np.testing.assert_array_equal(grams.nll(TEST, order), whole)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("known", [0, 1, 2, 9])
def test_probabilities_sum_to_one(order: int, known: int) -> None:
    grams = NGramModel.fit(TRAIN, VOCAB_SIZE, order)
    each = [
        np.exp(-grams.nll(np.array([token]), order, before=TEST[:known]))[0] for token in range(VOCAB_SIZE)
    ]
    assert sum(each) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("context", range(4))
def test_probabilities_after_a_context_seen_only_first_sum_to_one(context: int) -> None:
    ids = np.array([3, 4, 0, 3, 0, 1, 3, 1, 0, 2, 1, 0, 2, 0, 1, 1, 2])
    for order in (2, 3):
        grams, before = NGramModel.fit(ids, 5, order), np.array([context])
        each = [np.exp(-grams.nll(np.array([token]), order, before=before))[0] for token in range(5)]
        assert sum(each) == pytest.approx(1.0, rel=1e-12)


def test_the_order_is_chosen_on_the_validation_split_and_saved() -> None:
    pattern = np.tile([0, 1, 2, 0, 1, 3], 50)
    found = NGramBaselines.fit(pattern[:240], pattern[240:], VOCAB_SIZE, 6, None)
    losses = {
        n: values.mean()
        for n, values in NGramModel.fit(pattern[:240], VOCAB_SIZE, 6).nll_by_order(pattern[240:])
    }
    assert found.order == min(losses, key=lambda n: losses[n]) > 3
    again = NGramBaselines.from_state(found.state())
    for (name, one), (other, two) in zip(found.each(TEST), again.each(TEST), strict=True):
        assert name == other
        np.testing.assert_array_equal(one, two)
    assert [name for name, _ in found.each(TEST)] == ["unigram", f"kneser_ney_{found.order}gram"]


def test_a_given_order_is_used() -> None:
    assert NGramBaselines.fit(TRAIN, TEST, VOCAB_SIZE, 6, 2).order == 2


def test_damaged_counts_are_refused() -> None:
    state = NGramBaselines.fit(TRAIN, TEST, VOCAB_SIZE, 3, 3).state()
    del state["keys.1"]
    with pytest.raises(UserError, match=r"It lacks .keys\.1"):
        NGramBaselines.from_state(state)
