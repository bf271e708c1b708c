"""The search for a sequence that a decoder writes: greedy, by a beam, or drawn; each a small object, assembled once.

Letters: B sentences, K hypotheses of each, V tokens, S places of the source.
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
    """What writes: :class:`holdfast.models.translate.StepwiseTranslator`."""

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens [N]: ``log p`` [N, V] of the next ones, and what was attended to, [N, S]."""
        ...

    def select(self, rows: Tensor, sentences: Tensor) -> None:
        """Go on with some of the N rows, which belong to some of the B sentences, as many to each."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """A sequence without its end, its ``log p`` with it, its score, and what was attended to: [T, S]."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    attention: Array


class Search(Protocol):
    """A way to search; ``size`` is the number of hypotheses that it follows at once."""

    @property
    def size(self) -> int:
        """K."""
        ...

    def __call__(
        self, writer: StepwiseModel, end: int, longest: Sequence[int], numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Of each sentence the hypotheses found, the best first.

        Args:
            writer: has read B sentences.
            end: the token before the first and behind the last.
            longest: [B], tokens after which a sequence is cut off, its end not counted.
            numbers: [B], of the sentences: what is drawn depends on the seed and on these.
        """
        ...


@dataclass
class _Line:
    """One sequence that is being written."""

    number: int
    tokens: list[int] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    total: float = 0.0

    def hypothesis(self, places: int) -> Hypothesis:
        weights = np.array(self.weights).reshape(len(self.tokens), places)
        return Hypothesis(tuple(self.tokens), self.total, self.total, weights)


class _OneByOne:
    """Searches that follow one sequence of each sentence."""

    size = 1

    def _choose(self, scores: Tensor, lines: Sequence[_Line]) -> Tensor:
        """The next token [B] of each line, of ``log p`` [B, V]."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(
        self, writer: StepwiseModel, end: int, longest: Sequence[int], numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Of each sentence one hypothesis."""
        lines = [_Line(number) for number in numbers]
        alive, tokens, places = list(range(len(lines))), torch.full((len(lines),), end), 0
        while alive:
            scores, weights = writer.step(tokens)
            places = weights.size(-1)
            chosen = self._choose(scores, [lines[i] for i in alive])
            gained = scores.gather(1, chosen[:, None])[:, 0].tolist()
            kept = []
            for row, (i, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                line = lines[i]
                line.total += gained[row]
                if token != end:
                    line.tokens.append(token)
                    line.weights.append(weights[row].cpu().numpy())
                if token != end and len(line.tokens) < longest[i]:
                    kept.append(row)
            alive, rows = [alive[row] for row in kept], torch.tensor(kept, dtype=torch.long)
            tokens = chosen[rows]
            writer.select(rows, rows)
        return [[line.hypothesis(places)] for line in lines]


class GreedySearch(_OneByOne):
    """Always the likeliest token."""

    def _choose(self, scores: Tensor, lines: Sequence[_Line]) -> Tensor:
        return scores.argmax(-1)


class Sampling(_OneByOne):
    """Each token by chance, filters filters of :mod:`holdfast.decoding.sampling`.

    Args:
        filters: the filters.
        seed: with a sentence's number the seed of its draws.
    """

    def __init__(self, filters: Sequence[Filter], seed: int) -> None:
        self.filters, self.seed = filters, seed
        self.random: dict[int, np.random.Generator] = {}

    def __call__(
        self, writer: StepwiseModel, end: int, longest: Sequence[int], numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Of each sentence one hypothesis."""
        self.random = {number: np.random.default_rng((self.seed, number)) for number in numbers}
        return super().__call__(writer, end, longest, numbers)

    def _choose(self, scores: Tensor, lines: Sequence[_Line]) -> Tensor:
        table = scores.cpu().numpy()
        drawn = [
            sample(row, line.tokens, self.filters, self.random[line.number])
            for row, line in zip(table, lines, strict=True)
        ]
        return torch.tensor(drawn, device=scores.device)


@dataclass(frozen=True)
class BeamSearch:
    """The ``size`` likeliest beginnings are followed side by side; one that ends makes the beam smaller by one.

    Ended hypotheses are ranked by ``log p / ((5 + |y|) / 6)^length_penalty + coverage_penalty * sum_s log min(sum_t
    a_ts, 1)`` (Wu et al. 2016), y with its end. What is cut off at its longest is ranked as it stands.

    Attributes:
        size: K; 1 finds what :class:`GreedySearch` finds.
        length_penalty, coverage_penalty: see above.
    """

    size: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    @torch.no_grad()
    def __call__(
        self, writer: StepwiseModel, end: int, longest: Sequence[int], numbers: Sequence[int]
    ) -> list[list[Hypothesis]]:
        """Of each sentence up to K hypotheses, the best first."""
        found: list[list[Hypothesis]] = [[] for _ in longest]
        beams = _Beams(self, writer, end, longest)
        while beams.alive:
            for sentence, hypothesis in beams.step():
                found[sentence].append(hypothesis)
        return [sorted(each, key=lambda h: -h.score) for each in found]

    def score(self, log_probability: float, length: int, weights: Array) -> float:
        """The rank of a hypothesis of ``length`` tokens with its end, which attended to weights [length, S]."""
        score: float = log_probability / ((5 + length) / 6) ** self.length_penalty
        if self.coverage_penalty:
            read = np.clip(weights.sum(0), 1e-9, 1.0)
            score += self.coverage_penalty * float(np.log(read[weights.any(0)]).sum())
        return score


class _Beams:
    """The beams of all sentences that are not done: A of them, K rows each (one at the first step)."""

    def __init__(self, beam: BeamSearch, writer: StepwiseModel, end: int, longest: Sequence[int]) -> None:
        self.beam, self.writer, self.end, self.longest = beam, writer, end, longest
        self.alive = list(range(len(longest)))  # [A], the sentences' numbers
        self.room = [beam.size] * len(longest)  # [B], hypotheses still to be found
        self.tokens = torch.full((len(longest), 1), end)  # [A, K]
        self.totals = torch.zeros(len(longest), 1)  # [A, K]; -inf: no such row
        self.so_far = torch.zeros(len(longest), 1, 0, dtype=torch.long)  # [A, K, T]
        self.weights: Tensor | None = None  # [A, K, T, S]

    def step(self) -> list[tuple[int, Hypothesis]]:
        """One more token; the hypotheses that ended with it, and their sentences."""
        scores, weights = self.writer.step(self.tokens.flatten())
        count, rows = self.tokens.shape
        tokens = scores.size(-1)
        joint = (self.totals.to(scores)[:, :, None] + scores.view(count, rows, tokens)).flatten(1)
        totals, places = joint.topk(min(self.beam.size, rows * tokens), -1)
        parents, chosen = places // tokens, places % tokens
        self._extend(parents, chosen, weights.view(count, rows, -1))
        self.totals = self._within_room(totals)
        done = self._ended(chosen)
        self._keep(parents, chosen, rows)
        return done

    def _within_room(self, totals: Tensor) -> Tensor:
        """Only as many rows of a sentence as it still has to find."""
        room = torch.tensor([self.room[i] for i in self.alive], device=totals.device)
        rank = torch.arange(totals.size(1), device=totals.device)
        return totals.masked_fill(rank >= room[:, None], -math.inf)

    def _extend(self, parents: Tensor, chosen: Tensor, weights: Tensor) -> None:
        """Put the new tokens and what they attended to behind what came before."""
        sentence = torch.arange(len(parents), device=parents.device)[:, None]
        before = self.so_far.to(parents.device)[sentence, parents]
        self.so_far = torch.cat([before, chosen[:, :, None]], -1)
        newest = weights[sentence, parents][:, :, None]
        self.weights = (
            newest if self.weights is None else torch.cat([self.weights[sentence, parents], newest], 2)
        )

    def _ended(self, chosen: Tensor) -> list[tuple[int, Hypothesis]]:
        """Take out the rows that ended or are cut off."""
        assert self.weights is not None
        length = self.so_far.size(-1)
        cut = torch.tensor([length >= self.longest[i] for i in self.alive], device=chosen.device)
        over = ((chosen == self.end) | cut[:, None]) & self.totals.isfinite()
        found = []
        for a, k in over.nonzero().tolist():
            ended = int(chosen[a, k]) == self.end
            tokens = tuple(self.so_far[a, k].tolist()[: length - ended])
            weights = self.weights[a, k].cpu().numpy()
            total = float(self.totals[a, k])
            score = self.beam.score(total, len(tokens) + 1, weights)
            found.append((self.alive[a], Hypothesis(tokens, total, score, weights[: len(tokens)])))
            self.room[self.alive[a]] -= 1
        self.totals = self.totals.masked_fill(over, -math.inf)
        return found

    def _keep(self, parents: Tensor, chosen: Tensor, rows: int) -> None:
        """Go on with the sentences that have rows left."""
        assert self.weights is not None
        kept = self.totals.isfinite().any(1).nonzero()[:, 0]
        self.alive = [self.alive[a] for a in kept.tolist()]
        source = kept[:, None] * rows + parents[kept]
        self.writer.select(source.flatten(), kept)
        self.tokens, self.totals = chosen[kept], self.totals[kept]
        self.so_far, self.weights = self.so_far[kept], self.weights[kept]
