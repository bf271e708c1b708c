"""From files to the pieces of the training, validation and test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from holdfast.data.music.piano_roll import RollPiece
from holdfast.data.music.pieces import SPLITS, UNSPLIT
from holdfast.data.splits import split_fractions, split_notes
from holdfast.errors import UserError
from holdfast.files import listed
from holdfast.tasks.dataset import Dataset, P
from holdfast.tasks.music.backend import M, MusicBackend, S, Y
from holdfast.tasks.music.config import MusicData
from holdfast.tasks.music.preprocessing import EventPiece, MusicSplit

T = TypeVar("T")
_SPLIT_SEED = 0
"""Seed of the split: it does not depend on the training's seed."""
_NAMES = {"train": "training", "valid": "validation", "test": "test"}
_FIX = "Give more pieces, files of their own with --valid and --test, or another --split."


def read_dataset(
    backend: MusicBackend[T, S, P, Y, M], data: Path, valid: Path | None = None, test: Path | None = None
) -> Dataset[S, P]:
    """Read the pieces, split off what has no file or split of its own, fit and encode.

    Raises:
        UserError: anything is wrong with a file, or a split has no piece.
    """
    own = (valid is not None, test is not None)
    pieces, notes = _split(backend.config.data, data, backend.read_pieces(data), own)
    for name, path in (("valid", valid), ("test", test)):
        if path is not None:
            pieces[name] = _pieces_of(backend.read_pieces(path), name)
    preprocessing = backend.fit_preprocessing(pieces.get("train", ()))
    splits = {name: backend.encode(preprocessing, some) for name, some in pieces.items()}
    for name, path in (("train", data), ("valid", valid or data), ("test", test)):
        if path is not None and not (name in splits and len(splits[name])):
            rule = f"The {_NAMES[name]} split must have a piece of 2 frames or more."
            raise UserError(rule, f"{path} has none for it.", _FIX)
    train, test_split = splits["train"], splits.get("test")
    if not any(map(len, train.notes())):
        rule = "Training pieces must have notes of a pitch."
        raise UserError(rule, f"Those of {data} have none.", "Give pieces with notes.")
    notes = (*notes, *backend.data_notes(train), *_left_out(list(splits.values())), *_repeated(splits))
    scored = test_split if test_split is not None and len(test_split) else None
    return Dataset(train, splits["valid"], scored, preprocessing, notes, backend.digest(splits))


def read_whole(
    path: Path, backend: MusicBackend[T, S, P, Y, M], preprocessing: P
) -> tuple[S, tuple[str, ...]]:
    """Read a file as one split, with notes; of a file with splits, its test split.

    Raises:
        UserError: anything is wrong with the file, or nothing in it can be scored.
    """
    found = backend.read_pieces(path)
    split = backend.encode(preprocessing, _pieces_of(found, "test"))
    has_splits = "train" in found or "valid" in found
    if not len(split):
        raise UserError(
            "A file that is scored must have a piece of 2 frames or more.",
            f"{path} has none{' in its test split' * has_splits}.",
            "Give a file of whole pieces.",
        )
    notes = (f"{path.name} has splits: its test split is scored",) * has_splits
    return split, (*notes, *_left_out([split]))


def _pieces_of(found: Mapping[str, tuple[T, ...]], name: str) -> tuple[T, ...]:
    """Return the pieces of a split, or all pieces where the file has no splits."""
    return found.get(name) or found.get(UNSPLIT) or ()


def _split(
    settings: MusicData, data: Path, found: Mapping[str, tuple[T, ...]], own: tuple[bool, bool]
) -> tuple[dict[str, tuple[T, ...]], tuple[str, ...]]:
    """Return the splits that the data file has, the others sampled from its pieces, and notes."""
    has_valid, has_test = (has or name in found for name, has in zip(("valid", "test"), own, strict=True))
    if UNSPLIT not in found and has_valid and has_test:
        return dict(found), ()
    whole = found.get(UNSPLIT) or found.get("train", ())
    _, valid, test = split_fractions(settings.split, (has_valid, has_test))
    shares = {"valid": valid, "test": test}
    sizes = {name: max(1, round(share * len(whole))) for name, share in shares.items() if share}
    if sum(sizes.values()) >= len(whole):
        got = f"{data} has {len(whole)} for {len(sizes) + 1} splits."
        raise UserError("Each split must have at least 1 piece.", got, _FIX)
    order = iter(np.random.default_rng(_SPLIT_SEED).permutation(len(whole)).tolist())
    places = {name: sorted(next(order) for _ in range(size)) for name, size in sizes.items()}
    sampled = {name: tuple(whole[i] for i in chosen) for name, chosen in places.items()}
    train = tuple(whole[i] for i in sorted(order))
    kept = {name: pieces for name, pieces in found.items() if name in SPLITS}
    return kept | sampled | {"train": train}, split_notes((has_valid, has_test), bool(sizes.get("test")))


# -- notes -----------------------------------------------------------------------------------------


def _left_out(splits: Sequence[MusicSplit]) -> tuple[str, ...]:
    """Return notes on pieces, and on music in pieces, that the splits leave out."""
    short = [name for split in splits for name in split.short]
    found = [f"pieces of fewer than 2 frames, left out: {len(short):,} ({listed(short)})"] if short else []
    lacks = [(kind, piece.name) for split in splits for piece in split.pieces for kind in piece.left_out]
    kinds = sorted({kind for kind, _ in lacks})
    return (*found, *(f"{kind} {listed([name for own, name in lacks if own == kind])}" for kind in kinds))


def _repeated(splits: Mapping[str, MusicSplit]) -> tuple[str, ...]:
    """Return notes on scored pieces that are training pieces as well."""
    train, found = set(splits["train"].contents()), []
    for split in ("valid", "test"):
        pieces: Sequence[RollPiece | EventPiece] = splits[split].pieces if split in splits else ()
        contents = splits[split].contents() if pieces else []
        same = [piece.name for piece, content in zip(pieces, contents, strict=True) if content in train]
        if same:
            count = f"{len(same):,} of {len(pieces):,} ({listed(same)})"
            found.append(f"{_NAMES[split]} pieces that are training pieces as well: {count}")
    return tuple(found)
