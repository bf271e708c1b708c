"""Greedy search, sampling and beam search for the output of a decoder that runs step by step.

Letters: B sentences, K hypotheses of each, N rows of the decoder, V tokens, S source positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.decoding.sampling import Filter, sample


class StepwiseModel(Protocol):
    """A decoder that reads one token of every row at a time."""

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens [N]; return ``log p`` [N, V] of the next ones and the attention [N, S]."""
        ...

    def select(self, rows: Tensor, sentences: Tensor) -> None:
        """Continue with these rows, which belong to these sentences, equally many to each."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """An output sequence.

    Attributes:
        tokens: [T], without the end token.
        log_probability: ``log p`` in nats, the end token included.
        score: the rank among the hypotheses of a sentence: higher is better.
        attention: weights [T, S].
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    attention: Array


class Search(Protocol):
    """A search strategy; ``size`` is K, the number of hypotheses that it follows at once."""

    @property
    def size(self) -> int:
        """K."""
        ...

    def __call__(
        self, model: StepwiseModel, end: int, max_lengths: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses of each sentence, best first.

        Args:
            model: has read B sentences.
            end: the token that begins and ends every sequence.
            max_lengths: [B], the tokens after which a sequence is cut off, without its end token.
            seeds: [B], one number for each sentence; sampling depends on it and on the strategy's
                seed.
        """
        ...


@dataclass
class _Sequence:
    """One unfinished output sequence."""

    seed: int
    tokens: list[int] = field(default_factory=list)
    attention: list[Array] = field(default_factory=list)
    log_probability: float = 0.0

    def hypothesis(self, positions: int) -> Hypothesis:
        attention = np.array(self.attention).reshape(len(self.tokens), positions)
        return Hypothesis(tuple(self.tokens), self.log_probability, self.log_probability, attention)


class _SingleHypothesisSearch:
    """Base of the searches that follow one hypothesis for each sentence."""

    size = 1

    def _choose(self, scores: Tensor, sequences: Sequence[_Sequence]) -> Tensor:
        """Return the next token [B] of each sequence from ``log p`` [B, V]."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(
        self, model: StepwiseModel, end: int, max_lengths: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Return one hypothesis for each sentence; see :class:`Search`."""
        sequences = [_Sequence(seed) for seed in seeds]
        alive, tokens, positions = list(range(len(sequences))), torch.full((len(sequences),), end), 0
        while alive:
            scores, attention = model.step(tokens)
            positions = attention.size(-1)
            chosen = self._choose(scores, [sequences[i] for i in alive])
            log_p = scores.gather(1, chosen[:, None])[:, 0].tolist()
            kept = []
            for row, (i, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                sequence = sequences[i]
                sequence.log_probability += log_p[row]
                if token != end:
                    sequence.tokens.append(token)
                    sequence.attention.append(attention[row].cpu().numpy())
                if token != end and len(sequence.tokens) < max_lengths[i]:
                    kept.append(row)
            alive, rows = [alive[row] for row in kept], torch.tensor(kept, dtype=torch.long)
            tokens = chosen[rows]
            model.select(rows, rows)
        return [[sequence.hypothesis(positions)] for sequence in sequences]


class GreedySearch(_SingleHypothesisSearch):
    """Choose the most probable token at every step."""

    def _choose(self, scores: Tensor, sequences: Sequence[_Sequence]) -> Tensor:
        return scores.argmax(-1)


class Sampling(_SingleHypothesisSearch):
    """Sample every token from the model's distribution.

    Args:
        filters: applied in this order; see :mod:`holdfast.decoding.sampling`.
        seed: together with a sentence's own number, the seed of its random numbers.
    """

    def __init__(self, filters: Sequence[Filter], seed: int) -> None:
        self.filters, self.seed = filters, seed
        self._rngs: dict[int, np.random.Generator] = {}

    def __call__(
        self, model: StepwiseModel, end: int, max_lengths: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Return one hypothesis for each sentence; see :class:`Search`."""
        self._rngs = {seed: np.random.default_rng((self.seed, seed)) for seed in seeds}
        return super().__call__(model, end, max_lengths, seeds)

    def _choose(self, scores: Tensor, sequences: Sequence[_Sequence]) -> Tensor:
        sampled = [
            sample(row, sequence.tokens, self.filters, self._rngs[sequence.seed])
            for row, sequence in zip(scores.cpu().numpy(), sequences, strict=True)
        ]
        return torch.tensor(sampled, device=scores.device)


@dataclass(frozen=True)
class BeamSearch:
    """Follow the most probable prefixes of each sentence; the beam shrinks as hypotheses end.

    Finished hypotheses are ranked by ``log p / ((5 + |y|) / 6)^length_penalty + coverage_penalty *
    sum_s log min(sum_t a_ts, 1)`` (Wu et al. 2016), where y includes the end token. A hypothesis
    that is cut off at its maximum length is ranked in the same way.

    Attributes:
        size: K; 1 returns the result of :class:`GreedySearch`.
        length_penalty, coverage_penalty: the two weights in the formula.
    """

    size: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    @torch.no_grad()
    def __call__(
        self, model: StepwiseModel, end: int, max_lengths: Sequence[int], seeds: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Return up to K hypotheses for each sentence, best first; see :class:`Search`."""
        finished: list[list[Hypothesis]] = [[] for _ in max_lengths]
        beams = _Beams(self, model, end, max_lengths)
        while beams.alive:
            for sentence, hypothesis in beams.step():
                finished[sentence].append(hypothesis)
        return [sorted(each, key=lambda h: -h.score) for each in finished]

    def score(self, log_probability: float, length: int, attention: Array) -> float:
        """Return the score of ``length`` tokens, the end included; attention [length, S]."""
        score: float = log_probability / ((5 + length) / 6) ** self.length_penalty
        if self.coverage_penalty:
            coverage = np.clip(attention.sum(0), 1e-9, 1.0)
            score += self.coverage_penalty * float(np.log(coverage[attention.any(0)]).sum())
        return score


class _Beams:
    """The beams of the A unfinished sentences, with K rows each (one row at the first step)."""

    def __init__(self, beam: BeamSearch, model: StepwiseModel, end: int, max_lengths: Sequence[int]) -> None:
        self.beam, self.model, self.end, self.max_lengths = beam, model, end, max_lengths
        self.alive = list(range(len(max_lengths)))  # [A], indices of the sentences
        self.room = [beam.size] * len(max_lengths)  # [B], hypotheses still to finish
        self.tokens = torch.full((len(max_lengths), 1), end)  # [A, K]
        self.totals = torch.zeros(len(max_lengths), 1)  # [A, K] log p; -inf: an unused row
        self.so_far = torch.zeros(len(max_lengths), 1, 0, dtype=torch.long)  # [A, K, T]
        self.attention: Tensor | None = None  # [A, K, T, S]

    def step(self) -> list[tuple[int, Hypothesis]]:
        """Read one more token; return the hypotheses that end with it, and their sentences."""
        scores, attention = self.model.step(self.tokens.flatten())
        count, rows = self.tokens.shape
        vocab_size = scores.size(-1)
        joint = (self.totals.to(scores)[:, :, None] + scores.view(count, rows, vocab_size)).flatten(1)
        totals, places = joint.topk(min(self.beam.size, rows * vocab_size), -1)
        parents, chosen = places // vocab_size, places % vocab_size
        self._extend(parents, chosen, attention.view(count, rows, -1))
        self.totals = self._within_room(totals)
        finished = self._take_finished(chosen)
        self._keep(parents, chosen, rows)
        return finished

    def _within_room(self, totals: Tensor) -> Tensor:
        """Disable the rows beyond the number of hypotheses that a sentence still needs."""
        room = torch.tensor([self.room[i] for i in self.alive], device=totals.device)
        rank = torch.arange(totals.size(1), device=totals.device)
        return totals.masked_fill(rank >= room[:, None], -math.inf)

    def _extend(self, parents: Tensor, chosen: Tensor, attention: Tensor) -> None:
        """Append the new tokens and their attention to the rows that they extend."""
        sentence = torch.arange(len(parents), device=parents.device)[:, None]
        before = self.so_far.to(parents.device)[sentence, parents]
        self.so_far = torch.cat([before, chosen[:, :, None]], -1)
        newest = attention[sentence, parents][:, :, None]
        self.attention = (
            newest if self.attention is None else torch.cat([self.attention[sentence, parents], newest], 2)
        )

    def _take_finished(self, chosen: Tensor) -> list[tuple[int, Hypothesis]]:
        """Remove and return the rows that ended or reached their maximum length."""
        assert self.attention is not None
        length = self.so_far.size(-1)
        cut = torch.tensor([length >= self.max_lengths[i] for i in self.alive], device=chosen.device)
        over = ((chosen == self.end) | cut[:, None]) & self.totals.isfinite()
        finished = []
        for a, k in over.nonzero().tolist():
            ended = int(chosen[a, k]) == self.end
            tokens = tuple(self.so_far[a, k].tolist()[: length - ended])
            attention = self.attention[a, k].cpu().numpy()
            total = float(self.totals[a, k])
            score = self.beam.score(total, len(tokens) + 1, attention)
            finished.append((self.alive[a], Hypothesis(tokens, total, score, attention[: len(tokens)])))
            self.room[self.alive[a]] -= 1
        self.totals = self.totals.masked_fill(over, -math.inf)
        return finished

    def _keep(self, parents: Tensor, chosen: Tensor, rows: int) -> None:
        """Continue with the sentences that have rows left."""
        assert self.attention is not None
        kept = self.totals.isfinite().any(1).nonzero()[:, 0]
        self.alive = [self.alive[a] for a in kept.tolist()]
        source = kept[:, None] * rows + parents[kept]
        self.model.select(source.flatten(), kept)
        self.tokens, self.totals = chosen[kept], self.totals[kept]
        self.so_far, self.attention = self.so_far[kept], self.attention[kept]
