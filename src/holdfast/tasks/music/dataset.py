"""From files to the pieces of the training, validation and test part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE
from holdfast.data.music.piano_roll import KEYS, RollPieces
from holdfast.data.music.pieces import SPLITS, UNSPLIT, digest, read_pieces
from holdfast.data.splits import split_fractions, split_notes
from holdfast.errors import UserError
from holdfast.files import listed
from holdfast.tasks.music.config import MusicData

P = TypeVar("P")
_SPLIT_SEED = 0
"""Which pieces come into which part does not depend on the training's seed."""


@dataclass(frozen=True)
class Prepared:
    """The three parts (``test`` may be None), what a network must know of them, and what the user should be told."""

    train: RollPieces
    valid: RollPieces
    test: RollPieces | None
    notes: tuple[str, ...]
    digest: str
    learnt: dict[str, Any] = field(default_factory=lambda: {"keys": KEYS})

    def fraction(self, share: float) -> Prepared:
        """The same with only the last share of the training pieces, to see what less data does."""
        kept = max(1, round(len(self.train) * share))
        return replace(self, train=self.train[len(self.train) - kept :])


def prepare(settings: MusicData, data: Path, valid: Path | None = None, test: Path | None = None) -> Prepared:
    """Read the pieces: parts as the file carries them, from files of their own, or drawn by their shares.

    Raises:
        UserError: for everything that is wrong with a file, and for a part without pieces.
    """
    found = read_pieces(data, settings.steps_per_beat)
    parts, notes = drawn(settings, data, found, (valid is not None, test is not None))
    for name, path in (("valid", valid), ("test", test)):
        if path is not None:
            parts[name] = one_part(read_pieces(path, settings.steps_per_beat), name)
    long = {name: scored(pieces) for name, pieces in parts.items()}
    for name in ("train", "valid"):
        if not long.get(name):
            raise _none_left(name, data if name == "train" else valid or data)
    if test is not None and not long["test"]:
        raise _none_left("test", test)
    if not any(piece.roll.any() for piece in long["train"]):
        raise no_notes(data)
    contents = {name: [(p.name, p.roll.tobytes()) for p in pieces] for name, pieces in long.items()}
    told = (
        *notes,
        *_told_beats(settings, long["train"]),
        *_short(parts),
        *left_out(p for part in parts.values() for p in part),
        *repeated(contents),
    )
    learnt = {"keys": KEYS, "signature": usual([piece.signature for piece in long["train"]])}
    own = digest(long.get(name, ()) for name in SPLITS)
    return Prepared(long["train"], long["valid"], long.get("test") or None, told, own, learnt)


def _told_beats(settings: MusicData, pieces: RollPieces) -> tuple[str, ...]:
    """What is told of frames whose length nobody said."""
    default = MusicData().steps_per_beat
    if settings.steps_per_beat != default or any(piece.signature for piece in pieces):
        return ()
    return (f"the file does not say how long a frame is: {default} are taken for a beat (--steps-per-beat)",)


def usual(signatures: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    """The most frequent time signature, in which is composed when nothing else is asked for; 4/4 where none is."""
    known = Counter(signature for signature in signatures if signature is not None)
    return known.most_common(1)[0][0] if known else DEFAULT_TIME_SIGNATURE


def no_notes(path: Path) -> UserError:
    """Of training pieces in which nothing sounds."""
    return UserError(
        "Training pieces have notes of a pitch.", f"Those of {path} have none.", "Give pieces that have."
    )


def one_part(found: dict[str, RollPieces], name: str) -> RollPieces:
    """What a file holds of a part: that of its split, or where it carries none, everything."""
    return found.get(name) or found.get(UNSPLIT) or ()


def scored(pieces: RollPieces) -> RollPieces:
    """Pieces in which something can be scored: a frame after the first."""
    return tuple(piece for piece in pieces if len(piece) > 1)


def drawn(
    settings: MusicData, data: Path, found: dict[str, tuple[P, ...]], own: tuple[bool, bool]
) -> tuple[dict[str, tuple[P, ...]], tuple[str, ...]]:
    """The parts of the data file: its own, or drawn from all that it has for training."""
    missing = tuple(name not in found and not has for name, has in zip(("valid", "test"), own))
    if UNSPLIT not in found and not any(missing):
        return dict(found), ()
    whole = found.get(UNSPLIT) or found.get("train", ())
    have = tuple(has or name in found for name, has in zip(("valid", "test"), own))
    _, valid, test = split_fractions(settings.split, (have[0], have[1]))
    sizes = {name: _count(share, len(whole)) for name, share in (("valid", valid), ("test", test)) if share}
    if sum(sizes.values()) >= len(whole):
        raise UserError(
            "Each part has a piece at least.",
            f"{data} holds {len(whole)} for {len(sizes) + 1} parts.",
            "Give more pieces, files of their own with --valid and --test, or another --split.",
        )
    order = iter(np.random.default_rng(_SPLIT_SEED).permutation(len(whole)).tolist())
    places = {name: sorted(next(order) for _ in range(size)) for name, size in sizes.items()}
    drawn = {name: tuple(whole[i] for i in chosen) for name, chosen in places.items()}
    taken = {i for chosen in places.values() for i in chosen}
    train = tuple(piece for i, piece in enumerate(whole) if i not in taken)
    carried = {name: pieces for name, pieces in found.items() if name in SPLITS}
    return carried | drawn | {"train": train}, split_notes((have[0], have[1]), bool(sizes.get("test")))


def _count(share: float, pieces: int) -> int:
    return max(1, round(share * pieces))


def _none_left(name: str, path: Path) -> UserError:
    return UserError(
        f"The {name} part holds pieces of two frames or more.",
        f"{path} has none for it.",
        "Give more pieces, files of their own with --valid and --test, or another --split.",
    )


def _short(parts: dict[str, RollPieces]) -> tuple[str, ...]:
    """What is told of pieces that are left out."""
    names = [piece.name for pieces in parts.values() for piece in pieces if len(piece) < 2]
    return (told_short(names),) if names else ()


def left_out(pieces: Iterable[Any]) -> tuple[str, ...]:
    """What is told of music that pieces [with ``name`` and ``left_out``] do not hold."""
    names: dict[str, list[str]] = {}
    for piece in pieces:
        for kind in piece.left_out:
            names.setdefault(kind, []).append(piece.name)
    return tuple(f"{kind} {listed(names[kind])}" for kind in sorted(names))


def told_short(names: Sequence[str]) -> str:
    """What is told of pieces in which nothing can be scored."""
    return f"pieces of fewer than two frames, left out: {len(names):,} ({listed(names)})"


def repeated(parts: Mapping[str, Sequence[tuple[str, bytes]]]) -> tuple[str, ...]:
    """What is told of pieces [name and content] that are scored and that training sees as well."""
    train = {content for _, content in parts["train"]}
    found = []
    for part, name in (("valid", "validation"), ("test", "test")):
        pieces = parts.get(part, ())
        same = [piece for piece, content in pieces if content in train]
        if same:
            told = f"{len(same):,} of {len(pieces):,} ({listed(same)})"
            found.append(f"{name} pieces that are training pieces as well: {told}")
    return tuple(found)
