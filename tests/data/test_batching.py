"""Batches by length: every sequence once, within the bounds, and as many batches in every epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.batching import TokenBatches, rounded
from holdfast.errors import UserError

lengths_of = st.lists(st.integers(1, 300), min_size=1, max_size=80)


@given(lengths_of, st.integers(1, 500), st.none() | st.integers(1, 20), st.integers(0, 3))
def test_every_epoch_holds_each_sequence_once_within_the_bounds(
    lengths: list[int], tokens: int, size: int | None, seed: int
) -> None:
    order = TokenBatches(lengths, tokens, size, seed)
    for epoch in (1, 2, 7):
        batches = order.of(epoch)
        assert len(batches) == len(order)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens
            assert size is None or len(batch) <= size


@given(st.lists(st.integers(1, 100_000), min_size=1))
def test_lengths_are_rounded_up_by_less_than_a_quarter(lengths: list[int]) -> None:
    found = rounded(np.array(lengths))
    for length, up in zip(lengths, found.tolist(), strict=True):
        assert length <= up < 1.25 * length or up == length
        quarters = [k * 2**p for p in range(18) for k in (4, 5, 6, 7)]
        assert up <= 4 or up in quarters


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 200)

    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in TokenBatches(lengths, 256, 16, seed).of(epoch)]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)
    mixtures = [sorted(map(sorted, order(1, epoch))) for epoch in (1, 2)]
    assert mixtures[0] != mixtures[1]  # the batches change too, not only their order


def test_little_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 3000)
    padded = sum(len(batch) * lengths[batch].max() for batch in TokenBatches(lengths, 4096).of(1))
    assert padded < 1.2 * lengths.sum()


def test_bounds_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="--tokens must be at least 1"):
        TokenBatches([1], 0)
    with pytest.raises(UserError, match="--batch-size must be at least 1"):
        TokenBatches([1], 1, 0)


def test_no_sequences_give_no_batch() -> None:
    assert len(TokenBatches([], 10)) == 0 and TokenBatches([], 10).of(1) == []
