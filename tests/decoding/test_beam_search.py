"""Search strategies against brute force over all sequences of a small model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from holdfast.decoding.beam_search import BeamSearch, GreedySearch, Hypothesis, Sampling
from holdfast.decoding.sampling import temperature

V, S, END = 4, 3, 0


class Table:
    """A model with a table for each sentence: log p and attention depend on the last two tokens."""

    def __init__(self, seed: int, sentences: int) -> None:
        random = torch.Generator().manual_seed(seed)
        scores = torch.randn(sentences, V, V, V, generator=random, dtype=torch.float64)
        self.table = (2 * scores).log_softmax(-1)
        self.attention = torch.randn(sentences, V, V, S, generator=random, dtype=torch.float64).softmax(-1)
        self.attention[0, :, :, -1] = 0.0  # the first sentence is shorter
        self.sentences = torch.arange(sentences)
        self.before = torch.full((sentences,), END)
        self.steps = 0

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.steps += 1
        rows = self.sentences.repeat_interleave(len(tokens) // max(1, len(self.sentences)))
        at = rows, self.before, tokens
        self.before = tokens
        return self.table[at], self.attention[at]

    def select(self, rows: Tensor, sentences: Tensor) -> None:
        self.before, self.sentences = self.before[rows], self.sentences[sentences]

    def log_probability(self, sentence: int, tokens: Sequence[int], ended: bool) -> float:
        """``log p`` of a sequence, with its end if it has one."""
        written = [END, END, *tokens, *([END] if ended else [])]
        return sum(float(self.table[sentence, a, b, c]) for a, b, c in zip(written, written[1:], written[2:]))

    def read(self, sentence: int, tokens: Sequence[int], ended: bool) -> list[float]:
        """The total attention to each source position, the end included."""
        written = [END, END, *tokens]
        steps = [self.attention[sentence, a, b] for a, b in itertools.pairwise(written)]
        return torch.stack(steps[: len(tokens) + ended]).sum(0).tolist()


def every(longest: int) -> list[tuple[tuple[int, ...], bool]]:
    """All sequences, and whether they end with the end token or are cut off."""
    found = [(tokens, True) for n in range(longest) for tokens in itertools.product(range(1, V), repeat=n)]
    return found + [(tokens, False) for tokens in itertools.product(range(1, V), repeat=longest)]


def rank(table: Table, sentence: int, tokens: Sequence[int], ended: bool, beam: BeamSearch) -> float:
    """Wu et al. 2016, in plain Python."""
    score = (
        table.log_probability(sentence, tokens, ended) / ((5 + len(tokens) + 1) / 6) ** beam.length_penalty
    )
    read = [x for x in table.read(sentence, tokens, ended) if x > 0]
    return score + beam.coverage_penalty * sum(math.log(min(x, 1.0)) for x in read)


def close(found: Hypothesis, score: float) -> bool:
    return math.isclose(found.score, score, abs_tol=1e-9)


@given(
    seed=st.integers(0, 10**6),
    longest=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    length=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    coverage=st.sampled_from([0.0, 0.3]),
)
def test_an_unlimited_beam_finds_every_sequence_in_order(
    seed: int, longest: list[int], length: float, coverage: float
) -> None:
    beam = BeamSearch(200, length, coverage)
    table = Table(seed, len(longest))
    found = beam(Table(seed, len(longest)), END, longest, range(len(longest)))
    for sentence, most in enumerate(longest):
        ranked = sorted((rank(table, sentence, *one, beam) for one in every(most)), reverse=True)
        assert len(found[sentence]) == len(ranked)
        assert len({one.tokens for one in found[sentence]}) == len(ranked)
        assert all(itertools.starmap(close, zip(found[sentence], ranked, strict=True)))


@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 6),
    longest=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_a_batch_equals_one_beam_in_plain_python(seed: int, size: int, longest: list[int]) -> None:
    found = BeamSearch(size, 1.0)(Table(seed, len(longest)), END, longest, range(len(longest)))
    table = Table(seed, len(longest))
    for sentence, most in enumerate(longest):
        expected = plain_beam(table, sentence, size, most)
        assert [one.tokens for one in found[sentence]] == [tokens for tokens, _ in expected]
        assert all(close(one, score) for one, (_, score) in zip(found[sentence], expected, strict=True))
        for one in found[sentence]:
            ended = len(one.tokens) < most
            assert math.isclose(
                one.log_probability, table.log_probability(sentence, one.tokens, ended), abs_tol=1e-9
            )
            assert one.attention.shape == (len(one.tokens), S)


def plain_beam(table: Table, sentence: int, size: int, most: int) -> list[tuple[tuple[int, ...], float]]:
    """The beam of one sentence, with lists."""
    alive: list[tuple[int, ...]] = [()]
    done: list[tuple[tuple[int, ...], float]] = []
    while alive:
        longer = [(*tokens, token) for tokens in alive for token in range(V)]
        longer.sort(key=lambda u: -table.log_probability(sentence, u, False))
        alive = []
        for tokens in longer[: size - len(done)]:
            if tokens[-1] == END or len(tokens) == most:
                own = tokens[:-1] if tokens[-1] == END else tokens
                done.append((own, rank(table, sentence, own, tokens[-1] == END, BeamSearch(size, 1.0))))
            else:
                alive.append(tokens)
    return sorted(done, key=lambda pair: -pair[1])


@given(seed=st.integers(0, 10**6), longest=st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_a_beam_of_one_is_greedy(seed: int, longest: list[int]) -> None:
    beam = BeamSearch(1, 0.0)(Table(seed, len(longest)), END, longest, range(len(longest)))
    greedy = GreedySearch()(Table(seed, len(longest)), END, longest, range(len(longest)))
    for (one,), (other,) in zip(beam, greedy, strict=True):
        assert one.tokens == other.tokens and math.isclose(one.log_probability, other.log_probability)
        assert np.allclose(one.attention, other.attention)


def test_greedy_takes_the_most_probable_token_at_each_step() -> None:
    table = Table(3, 1)
    (found,) = GreedySearch()(Table(3, 1), END, [6], range(len([6])))[0]
    written = [END, END]
    while len(written) < 8 and (token := int(table.table[0, written[-2], written[-1]].argmax())) != END:
        written.append(token)
    assert found.tokens == tuple(written[2:])
    assert found.attention.tolist() == [
        table.attention[0, a, b].tolist() for a, b in itertools.pairwise(written[:-1])
    ]


def test_samples_have_the_probabilities_of_the_model() -> None:
    sentences = 4000
    model = Table(5, 1)
    model.table, model.attention = (t.expand(sentences, *t.shape[1:]) for t in (model.table, model.attention))
    model.sentences, model.before = torch.arange(sentences), torch.full((sentences,), END)
    found = Sampling([], 0)(model, END, [1] * sentences, range(len([1] * sentences)))
    shares = np.bincount([one.tokens[0] if one.tokens else 0 for (one,) in found], minlength=V) / sentences
    assert np.allclose(shares, model.table[0, END, END].exp().numpy(), atol=0.03)


def test_a_sample_depends_only_on_the_two_seeds() -> None:
    def sampled(seed: int, numbers: list[int]) -> list[tuple[int, ...]]:
        model = Table(1, 1)
        model.table, model.attention = (t.expand(8, *t.shape[1:]) for t in (model.table, model.attention))
        model.sentences, model.before = torch.arange(8), torch.full((8,), END)
        return [one.tokens for (one,) in Sampling([], seed)(model, END, [9] * 8, numbers)]

    one = sampled(0, list(range(8)))
    assert sampled(0, list(range(7, -1, -1))) == one[::-1]
    assert len(set(one)) > 4 and sampled(1, list(range(8))) != one


def test_temperature_zero_is_greedy() -> None:
    sampled = Sampling([temperature(0.0)], 0)(Table(1, 3), END, [5, 2, 4], range(len([5, 2, 4])))
    greedy = GreedySearch()(Table(1, 3), END, [5, 2, 4], range(len([5, 2, 4])))
    assert [one.tokens for (one,) in sampled] == [one.tokens for (one,) in greedy]


@pytest.mark.parametrize("search", [GreedySearch(), BeamSearch(3), Sampling([], 0)])
def test_finished_sentences_take_no_further_steps(search: GreedySearch | BeamSearch | Sampling) -> None:
    model = Table(0, 2)
    model.table[:, :, :, END] = 50.0  # ends at once
    search(model, END, [9, 9], range(len([9, 9])))
    assert model.steps <= 2
