"""From sentences to translations: batches of similar length, a search, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from holdfast._typing import Array
from holdfast.data.batching import TokenBatches
from holdfast.data.stdin import batch_available
from holdfast.data.text.tokenizers import Ids
from holdfast.decoding.beam_search import BeamSearch, GreedySearch, Hypothesis, Sampling, Search
from holdfast.decoding.sampling import sampling_filters
from holdfast.errors import UserError
from holdfast.models.translate import StepwiseTranslator, TranslationNetwork
from holdfast.tasks.translate.config import Prediction, SearchConfig
from holdfast.tasks.translate.preprocessing import PairPreprocessing
from holdfast.tasks.translate.tokenizer import source_words
from holdfast.tasks.translate.trainable import source_batch

_BATCH_TOKENS = 3000
"""Source tokens of a batch, times the hypotheses of each sentence."""
TEXTS_AT_ONCE, _LINES_AT_ONCE = 4000, 256
"""Sentences that are sorted by length together."""


@dataclass(frozen=True)
class Translation:
    """A translation with its score, the tokens of both sides and the attention [T, S] for plots.

    ``cut``: the source was too long, and only its beginning was read.
    """

    text: str
    score: float
    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    weights: Array | None = None
    cut: bool = False


@dataclass(frozen=True)
class BatchTranslator:
    """A trained network with its preprocessing and a search."""

    module: TranslationNetwork
    preprocessing: PairPreprocessing
    search: Search
    most: int

    def all(self, sentences: Sequence[str], first: int = 0) -> list[list[Translation]]:
        """Return the translations of each sentence, best first; that of an empty one is empty.

        ``first`` is the number of the first sentence, on which sampling depends.
        """
        whole = [self.preprocessing.source.encode(s) for s in sentences]
        sources = [ids[: self.most] for ids in whole]
        there = [i for i, ids in enumerate(sources) if len(ids)]
        found: list[list[Translation]] = [[Translation("", 0.0)] for _ in sentences]
        hypotheses = self._hypotheses([sources[i] for i in there], [first + i for i in there])
        for i, candidates in zip(there, hypotheses, strict=True):
            cut = len(whole[i]) > self.most
            found[i] = [self._translation(sentences[i], sources[i], one, cut) for one in candidates]
        return found

    def texts(self, sentences: Sequence[str]) -> list[str]:
        """Return the best translation of every sentence, a few thousand at a time."""
        groups = (sentences[at : at + TEXTS_AT_ONCE] for at in range(0, len(sentences), TEXTS_AT_ONCE))
        return [candidates[0].text for group in groups for candidates in self.all(group)]

    def stream(self, sentences: Iterable[str]) -> Iterator[list[Translation]]:
        """Yield the translations of sentences as they arrive; those available go together."""
        first = 0
        for group in batch_available(sentences, _LINES_AT_ONCE):
            yield from self.all(group, first)
            first += len(group)

    @torch.no_grad()
    def _hypotheses(self, sources: list[Ids], numbers: list[int]) -> list[list[Hypothesis]]:
        if not sources:
            return []
        self.module.eval()
        device = next(self.module.parameters()).device
        found: list[list[Hypothesis]] = [[] for _ in sources]
        lengths = [len(ids) for ids in sources]
        batches = TokenBatches(lengths, max(1, _BATCH_TOKENS // self.search.size))
        for chosen in batches.of(epoch=0):
            tokens, sizes = source_batch([sources[i] for i in chosen], self.preprocessing.source.end)
            writer = StepwiseTranslator(self.module, *self.module.encode(tokens.to(device), sizes.to(device)))
            longest = [self.preprocessing.longest(sources[i], self.most) for i in chosen]
            own = [numbers[i] for i in chosen]
            for i, candidates in zip(
                chosen, self.search(writer, self.preprocessing.target.end, longest, own), strict=True
            ):
                found[i] = candidates
        return found

    def _translation(self, sentence: str, source: Ids, found: Hypothesis, cut: bool) -> Translation:
        target, weights = self.preprocessing.target, found.attention[:, : len(source) + 1]
        text = target.decode(found.tokens, self._copied(sentence, weights))
        names = [*self.preprocessing.source.names(source.tolist()), "\N{RETURN SYMBOL}"]
        tokens = tuple(target.names(list(found.tokens)))
        return Translation(text, found.score, tuple(names), tokens, weights, cut)

    def _copied(self, sentence: str, weights: Array) -> list[str]:
        """Return the most attended source word of each step (Luong et al. 2015), for words."""
        if not (self.preprocessing.source.words and self.preprocessing.target.words and len(weights)):
            return []
        words = source_words(sentence, self.preprocessing.source)
        return [words[place] for place in weights[:, :-1].argmax(1)]


def search_of(settings: SearchConfig, options: Prediction) -> Search:
    """Return the search that the options describe; the settings give what they leave open.

    Raises:
        UserError: more translations than the beam has, or an invalid filter.
    """
    if options.sample:
        return Sampling(sampling_filters(options.temperature, None, None, 1.0), options.seed)
    size, length, coverage = (
        getattr(settings, name) if getattr(options, name) is None else getattr(options, name)
        for name in ("beam", "length_penalty", "coverage_penalty")
    )
    if options.n_best > size:
        raise UserError(
            "--n-best must be at most --beam.",
            f"They are {options.n_best} and {size}.",
            f"Give --beam {options.n_best} or more.",
        )
    return GreedySearch() if size == 1 else BeamSearch(size, length, coverage)
