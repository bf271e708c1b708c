"""From files to the numbers of the training, validation and test pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from holdfast.data.splits import split_notes as parts_remarks
from holdfast.data.text.parallel import ParallelFormat, SentencePairs, split_pairs
from holdfast.data.text.tokenizers import Ids
from holdfast.errors import UserError
from holdfast.tasks.translate.config import PairsConfig, TranslateConfig
from holdfast.tasks.translate.tokenizer import Vocabulary, unknown_share

ROOM, STRETCH = 10, 2.0


@dataclass(frozen=True)
class Vocabularies:
    """Of the source and of the target; the same one twice where it is shared.

    A translation of n units has at most ``ROOM + stretch * n``, which is enough for every training pair; that one pair
    stretches far is no reason to write longer sentences than any of training's, or than ``ROOM + STRETCH * n``.
    """

    source: Vocabulary
    target: Vocabulary
    stretch: float = STRETCH

    @property
    def ends(self) -> tuple[int, int]:
        """The units at the ends of source and target sentences."""
        return self.source.end, self.target.end

    def state(self) -> dict[str, Any]:
        """Everything, for JSON; a shared vocabulary once."""
        shared = self.source is self.target
        own = {"stretch": self.stretch, "target": self.target.state()}
        return own | ({} if shared else {"source": self.source.state()})

    @classmethod
    def from_state(cls, state: dict[str, Any], where: Path) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: it is damaged.
        """
        if "target" not in state:
            rule = f"{where} holds the vocabularies as training wrote them."
            raise UserError(rule, "It lacks that of the target.", "Copy the folder again, or train anew.")
        target = Vocabulary.from_state(state["target"], where)
        source = Vocabulary.from_state(state["source"], where) if "source" in state else target
        return cls(source, target, float(state.get("stretch", STRETCH)))

    def longest(self, source: Ids, most: int) -> int:
        """Units after which the translation of a sentence is cut off; training's had at most ``most``."""
        stretched = int(self.stretch * len(source) + 1e-6)
        return ROOM + min(stretched, max(most, int(STRETCH * len(source))))


@dataclass(frozen=True)
class Part:
    """Pairs of sentences, and the numbers of both sides without their ends."""

    pairs: SentencePairs
    sources: list[Ids]
    targets: list[Ids]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, chosen: Iterable[int]) -> Part:
        """The pairs of these numbers."""
        numbers = list(chosen)
        sources, targets = ([side[i] for i in numbers] for side in (self.sources, self.targets))
        return Part(self.pairs[numbers], sources, targets)


@dataclass(frozen=True)
class Prepared:
    """The three parts (``test`` may be None), the vocabularies of the training part, and what to tell the user."""

    train: Part
    valid: Part
    test: Part | None
    vocabularies: Vocabularies
    notes: tuple[str, ...]
    digest: str

    def fraction(self, share: float) -> Prepared:
        """The same with only the last share of the training part, to see what less data does."""
        kept = max(1, round(len(self.train) * share))
        return replace(self, train=self.train[range(len(self.train) - kept, len(self.train))])


def prepare(
    config: TranslateConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> Prepared:
    """Read the pairs, cut them into parts (those without a file of their own), and number their units.

    Raises:
        UserError: for everything that is wrong with a file, and for a part without pairs.
    """
    settings = config.data
    layout = layout_of(settings)
    whole, notes = layout.read(data)
    read = {name: layout.read(path) for name, path in (("validation", valid), ("test", test)) if path}
    parts = _parts(settings, whole, {name: pairs for name, (pairs, _) in read.items()})
    vocabularies = _fit_vocabularies(settings, parts["training"])
    numbered = {name: number(pairs, vocabularies) for name, pairs in parts.items()}
    train, dropped = _short(numbered["training"], settings.max_length)
    vocabularies = replace(vocabularies, stretch=_stretch(train))
    others = {
        n: shortened(p, settings.max_length) if len(p) else None
        for n, p in numbered.items()
        if n != "training"
    }
    more = [note for _, own in read.values() for note in own]
    from_where = parts_remarks((valid is not None, test is not None), len(parts["test"]) > 0)
    scored = {name: part for name, part in numbered.items() if name != "training"}
    remarks = (*dropped, *_cut(scored, settings.max_length), *_duplicates(parts))
    told = (*notes, *more, *from_where, *remarks, *_unknown(numbered, vocabularies))
    assert others["validation"] is not None
    return Prepared(
        train, others["validation"], others["test"], vocabularies, told, _digest(parts, vocabularies)
    )


def layout_of(settings: PairsConfig) -> ParallelFormat:
    """How the files hold their pairs."""
    return ParallelFormat(settings.pair, settings.source_field, settings.target_field, settings.encoding)


def of_file(path: Path, settings: PairsConfig, vocabularies: Vocabularies) -> tuple[Part, tuple[str, ...]]:
    """The pairs of a whole file, and what to tell of them."""
    pairs, notes = layout_of(settings).read(path)
    part = number(pairs, vocabularies)
    told = (*notes, *_cut({"file": part}, settings.max_length), *_unknown({"file": part}, vocabularies))
    return shortened(part, settings.max_length), told


def _parts(
    settings: PairsConfig, whole: SentencePairs, own: dict[str, SentencePairs]
) -> dict[str, SentencePairs]:
    """The pairs of each part; what has no file is cut from the data (by a seed of its own, always the same)."""
    asked = dict(zip(("validation", "test", "none"), settings.parts(len(set(whole.targets)))))
    counts = {name: count for name, count in asked.items() if name not in own and count}
    train, *drawn = split_pairs(whole, list(counts.values()), seed=0)
    parts = {"training": train, **dict(zip(counts, drawn)), **own}
    for name in ("training", *(name for name in counts if name != "none")):
        if not len(parts[name]):
            raise UserError(
                f"The {name} part holds pairs.",
                f"Of the {len(whole)} pairs none is left for it.",
                "Give more pairs, files of their own with --valid and --test, or another --split.",
            )
    return {
        "training": train,
        "validation": parts["validation"],
        "test": parts.get("test", SentencePairs((), ())),
    }


def _fit_vocabularies(settings: PairsConfig, train: SentencePairs) -> Vocabularies:
    """The units of the training pairs."""

    def fit(*sides: Sequence[str]) -> Vocabulary:
        sentences = (sentence for side in sides for sentence in side)
        return Vocabulary.fit(sentences, settings.token, settings.vocabulary, settings.lower)

    if settings.shared:
        both = fit(train.sources, train.targets)
        return Vocabularies(both, both)
    return Vocabularies(fit(train.sources), fit(train.targets))


def number(pairs: SentencePairs, vocabularies: Vocabularies) -> Part:
    """The units of both sides."""
    sources = [vocabularies.source.encode(sentence) for sentence in pairs.sources]
    return Part(pairs, sources, [vocabularies.target.encode(sentence) for sentence in pairs.targets])


def shortened(part: Part, most: int) -> Part:
    """Sentences cut behind so many units."""
    return Part(part.pairs, [ids[:most] for ids in part.sources], [ids[:most] for ids in part.targets])


def _short(part: Part, most: int) -> tuple[Part, tuple[str, ...]]:
    """Only pairs of at most so many units on each side (empty ones are none either)."""
    lengths = [(len(s), len(t)) for s, t in zip(part.sources, part.targets, strict=True)]
    kept = [i for i, both in enumerate(lengths) if min(both) > 0 and max(both) <= most]
    if not kept:
        raise UserError(
            f"The training part holds pairs of at most {most} units on each side.",
            "There is none.",
            "Give a larger --max-length.",
        )
    left_out = len(part) - len(kept)
    told = f"training pairs longer than {most} units, left out: {left_out:,}"
    return part[kept], ((told,) if left_out else ())


def _stretch(train: Part) -> float:
    pairs = zip(train.sources, train.targets, strict=True)
    return max(STRETCH, *((len(target) - ROOM) / len(source) for source, target in pairs))


def _cut(parts: dict[str, Part], most: int) -> tuple[str, ...]:
    """Sources that are read up to so many units only."""
    counts = {name: sum(len(ids) > most for ids in part.sources) for name, part in parts.items()}
    return tuple(
        f"sources of the {name} part cut behind {most} units: {n:,}" for name, n in counts.items() if n
    )


def _duplicates(parts: dict[str, SentencePairs]) -> tuple[str, ...]:
    train = set(parts["training"])
    found = []
    for name in ("validation", "test"):
        count = sum(pair in train for pair in parts[name])
        if count:
            found.append(f"{name} pairs that are training pairs as well: {count:,} of {len(parts[name]):,}")
    return tuple(found)


def _unknown(parts: dict[str, Part], vocabularies: Vocabularies) -> tuple[str, ...]:
    found = []
    for name, part in parts.items():
        sides = (
            ("source", vocabularies.source, part.sources),
            ("target", vocabularies.target, part.targets),
        )
        for side, vocabulary, encoded in sides:
            share = unknown_share(vocabulary, encoded)
            if share:
                found.append(f"{share:.2%} of the {name} part's {side} {vocabulary.units.kind}s are unknown")
    return tuple(found)


def _digest(parts: dict[str, SentencePairs], vocabularies: Vocabularies) -> str:
    sizes = f"{vocabularies.source.size}/{vocabularies.target.size}"
    return sha256("".join([*(pairs.digest for pairs in parts.values()), sizes]).encode()).hexdigest()
