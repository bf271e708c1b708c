"""From files with sentence pairs to the training, validation and test split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from holdfast.data.splits import split_notes
from holdfast.data.text.parallel import ParallelFormat, SentencePairs, split_pairs
from holdfast.errors import UserError
from holdfast.tasks.dataset import SPLITS, Dataset
from holdfast.tasks.translate.config import PairsConfig, TranslateConfig
from holdfast.tasks.translate.preprocessing import PairDataset, PairPreprocessing, PairSplit
from holdfast.tasks.translate.tokenizer import unknown_share


def read_dataset(
    config: TranslateConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> PairDataset:
    """Read the pairs, split off what has no file of its own, and number the tokens.

    Raises:
        UserError: anything is wrong with a file, or a split has no pairs.
    """
    settings = config.data
    reader = parallel_format(settings)
    whole, notes = reader.read(data)
    read = {name: reader.read(path) for name, path in zip(SPLITS[1:], (valid, test), strict=True) if path}
    pairs = _split(settings, whole, {name: own for name, (own, _) in read.items()})
    preprocessing = PairPreprocessing.fit(pairs["training"], settings)
    splits = {name: preprocessing.encode(own) for name, own in pairs.items()}
    train, dropped = _short(splits["training"], settings.max_length)
    preprocessing = preprocessing.stretched(train)
    scored = {name: splits[name] for name in SPLITS[1:]}
    cut = {name: split.shortened(settings.max_length) for name, split in scored.items()}
    more = (
        *notes,
        *(note for _, own in read.values() for note in own),
        *split_notes((valid is not None, test is not None), len(cut["test"]) > 0),
        *dropped,
        *_cut_notes(scored, settings.max_length),
        *_duplicate_notes(pairs),
        *_unknown_notes(splits, preprocessing),
    )
    sizes = f"{preprocessing.source.size}/{preprocessing.target.size}"
    digest = sha256("".join([*(own.digest for own in pairs.values()), sizes]).encode())
    return Dataset.of({"training": train, **cut}, preprocessing, more, digest.hexdigest())


def parallel_format(settings: PairsConfig) -> ParallelFormat:
    """Return how files hold their pairs."""
    return ParallelFormat(settings.pair, settings.source_field, settings.target_field, settings.encoding)


def read_whole(
    path: Path, settings: PairsConfig, preprocessing: PairPreprocessing
) -> tuple[PairSplit, tuple[str, ...]]:
    """Read a whole file as one split, and what the user should know about it."""
    pairs, notes = parallel_format(settings).read(path)
    split = preprocessing.encode(pairs)
    own = {"file": split}
    more = (*_cut_notes(own, settings.max_length), *_unknown_notes(own, preprocessing))
    return split.shortened(settings.max_length), (*notes, *more)


def _split(
    settings: PairsConfig, whole: SentencePairs, own: Mapping[str, SentencePairs]
) -> dict[str, SentencePairs]:
    """Return the pairs of each split; one without a file is sampled, always with the same seed."""
    sizes = dict(zip((*SPLITS[1:], "none"), settings.parts(len(set(whole.targets)))))
    counts = {name: count for name, count in sizes.items() if name not in own and count}
    train, *sampled = split_pairs(whole, list(counts.values()), seed=0)
    splits = {"training": train, **dict(zip(counts, sampled)), **own}
    for name in ("training", *(name for name in counts if name != "none")):
        if not len(splits[name]):
            raise UserError(
                f"The {name} split must have at least 1 pair.",
                f"Of the {len(whole)} pairs none is left for it.",
                "Give more pairs, files of their own with --valid and --test, or another --split.",
            )
    return {
        "training": train,
        "validation": splits["validation"],
        "test": splits.get("test", SentencePairs((), ())),
    }


def _short(split: PairSplit, most: int) -> tuple[PairSplit, tuple[str, ...]]:
    """Leave out pairs with an empty side, or with one of more than ``most`` tokens."""
    lengths = [(len(s), len(t)) for s, t in zip(split.sources, split.targets, strict=True)]
    kept = [i for i, both in enumerate(lengths) if min(both) > 0 and max(both) <= most]
    if not kept:
        raise UserError(
            f"The training split must have pairs of at most {most} tokens on each side.",
            "There is none.",
            "Give a larger --max-length.",
        )
    left_out = len(split) - len(kept)
    note = f"training pairs longer than {most} tokens, left out: {left_out:,}"
    return split[kept], ((note,) if left_out else ())


def _cut_notes(splits: Mapping[str, PairSplit], most: int) -> Iterator[str]:
    for name, split in splits.items():
        if count := sum(len(ids) > most for ids in split.sources):
            yield f"sources of the {name} split cut after {most} tokens: {count:,}"


def _duplicate_notes(pairs: Mapping[str, SentencePairs]) -> Iterator[str]:
    train = set(pairs["training"])
    for name in SPLITS[1:]:
        if count := sum(pair in train for pair in pairs[name]):
            yield f"{name} pairs that are training pairs as well: {count:,} of {len(pairs[name]):,}"


def _unknown_notes(splits: Mapping[str, PairSplit], preprocessing: PairPreprocessing) -> Iterator[str]:
    for name, split in splits.items():
        for side, tokenizer, encoded in (
            ("source", preprocessing.source, split.sources),
            ("target", preprocessing.target, split.targets),
        ):
            if share := unknown_share(tokenizer, encoded):
                yield f"{share:.2%} of the {name} split's {side} {tokenizer.tokens.kind}s are unknown"
