"""From sentence pairs to token numbers: the tokenizers, and the splits they encode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from holdfast._json import JsonMapping, JsonObject
from holdfast.data.text.parallel import SentencePairs
from holdfast.data.text.tokenizers import Ids
from holdfast.errors import damaged
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.translate.config import PairsConfig
from holdfast.tasks.translate.tokenizer import SentenceTokenizer

_ROOM, _STRETCH = 10, 2.0


@dataclass(frozen=True)
class PairSplit:
    """Sentence pairs, and the token numbers of both sides without their end tokens."""

    pairs: SentencePairs
    sources: list[Ids]
    targets: list[Ids]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, chosen: Iterable[int]) -> PairSplit:
        """Return the pairs of these numbers."""
        numbers = list(chosen)
        sources, targets = ([side[i] for i in numbers] for side in (self.sources, self.targets))
        return PairSplit(self.pairs[numbers], sources, targets)

    def fraction(self, share: float) -> PairSplit:
        """Return the last pairs, a share of all and at least 1."""
        kept = max(1, round(len(self) * share))
        return self[range(len(self) - kept, len(self))]

    def shortened(self, most: int) -> PairSplit:
        """Return the same pairs with both sides cut to ``most`` tokens."""
        sources, targets = ([ids[:most] for ids in side] for side in (self.sources, self.targets))
        return PairSplit(self.pairs, sources, targets)


@dataclass(frozen=True)
class PairPreprocessing:
    """The tokenizers of the source and the target language; one twice where it is shared.

    A translation of a source with n tokens has at most ``_ROOM + stretch * n`` tokens, which is
    enough for every training pair. One pair with a long target must not let every translation grow:
    none is longer than the longest training target, or than ``_ROOM + _STRETCH * n``.
    """

    source: SentenceTokenizer
    target: SentenceTokenizer
    stretch: float = _STRETCH

    @classmethod
    def fit(cls, pairs: SentencePairs, config: PairsConfig) -> Self:
        """Collect the vocabularies of the training pairs."""

        def tokenizer(*sides: Sequence[str]) -> SentenceTokenizer:
            sentences = (sentence for side in sides for sentence in side)
            return SentenceTokenizer.fit(sentences, config.token, config.vocabulary, config.lower)

        if config.shared:
            both = tokenizer(pairs.sources, pairs.targets)
            return cls(both, both)
        return cls(tokenizer(pairs.sources), tokenizer(pairs.targets))

    def stretched(self, train: PairSplit) -> Self:
        """Return the same with the stretch of the training pairs."""
        pairs = zip(train.sources, train.targets, strict=True)
        most = max(_STRETCH, *((len(target) - _ROOM) / len(source) for source, target in pairs))
        return replace(self, stretch=most)

    def encode(self, pairs: SentencePairs) -> PairSplit:
        """Number the tokens of both sides."""
        sources = [self.source.encode(sentence) for sentence in pairs.sources]
        return PairSplit(pairs, sources, [self.target.encode(sentence) for sentence in pairs.targets])

    @property
    def ends(self) -> tuple[int, int]:
        """The end tokens of source and target sentences."""
        return self.source.end, self.target.end

    def longest(self, source: Ids, most: int) -> int:
        """Return the most tokens of a translation; training targets had at most ``most``."""
        stretched = int(self.stretch * len(source) + 1e-6)
        return _ROOM + min(stretched, max(most, int(_STRETCH * len(source))))

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold; a shared vocabulary once."""
        own = {"stretch": self.stretch, "target": self.target.to_dict()}
        return own | ({} if self.source is self.target else {"source": self.source.to_dict()})

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        if "target" not in values:
            raise damaged(where, "It lacks the vocabulary of the target.")
        target = SentenceTokenizer.from_dict(values["target"], where)
        source = SentenceTokenizer.from_dict(values["source"], where) if "source" in values else target
        return cls(source, target, float(values.get("stretch", _STRETCH)))


PairDataset = Dataset[PairSplit, PairPreprocessing]
