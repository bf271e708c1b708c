"""Encoded splits of music and the fitted preprocessing: piano rolls, or events as numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from holdfast._json import JsonMapping, JsonObject
from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE
from holdfast.data.music.midi import ScorePiece, first_time_signature
from holdfast.data.music.notes import notes_of
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.piano_roll import KEYS, LOWEST, RollPiece
from holdfast.data.music.remi import EventVocabulary
from holdfast.errors import damaged
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.music.config import MusicData
from holdfast.tasks.music.request import notes_in

Ids = NDArray[np.int64]
_Signature = tuple[int, int]
_SHORTEST = 2
"""Frames of the shortest piece in which a frame can be scored."""


@dataclass(frozen=True)
class EventPiece:
    """A piece as events.

    Attributes:
        name: name of its file.
        ids: event numbers [n].
        note_count: number of notes, drums included.
        notes: the notes without drums, in steps.
        left_out: what the events leave out of the file.
    """

    name: str
    ids: Ids
    note_count: int
    notes: NoteArrays
    left_out: tuple[str, ...] = ()


T = TypeVar("T", RollPiece, EventPiece)


@dataclass(frozen=True)
class _Pieces(ABC, Generic[T]):
    """Pieces of a split.

    Attributes:
        pieces: those in which something can be scored.
        short: names of pieces that are too short to be scored.
    """

    step_kind: ClassVar[str]
    """What a time step is."""

    pieces: tuple[T, ...]
    short: tuple[str, ...] = field(default=(), kw_only=True)

    def __len__(self) -> int:
        return len(self.pieces)

    def fraction(self, share: float) -> Self:
        """Return the last pieces, a share of all and at least 1."""
        return replace(self, pieces=self.pieces[-max(1, round(len(self) * share)) :])

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of time steps that are scored."""

    @abstractmethod
    def contents(self) -> list[bytes]:
        """Return the content of each piece; equal pieces have equal contents."""

    @abstractmethod
    def notes(self) -> list[NoteArrays]:
        """Return the notes of each piece, without drums."""

    def training_notes(self) -> TrainingNotes:
        """Return the notes of all pieces, in which copied passages are found."""
        named = zip(self.pieces, self.notes(), strict=True)
        return TrainingNotes.of([(piece.name, notes) for piece, notes in named])


class RollSplit(_Pieces[RollPiece]):
    """Pieces as piano rolls, of 2 frames or more each."""

    step_kind = "frame"

    @property
    def steps(self) -> int:
        """Number of frames, without the first of each piece."""
        return sum(len(piece) - 1 for piece in self.pieces)

    def contents(self) -> list[bytes]:
        """Return the roll of each piece."""
        return [piece.roll.tobytes() for piece in self.pieces]

    def notes(self) -> list[NoteArrays]:
        """Return the notes of each piece, in frames."""
        tables = [np.array(notes_of(p.roll), np.int64).reshape(-1, 3).T for p in self.pieces]
        return [NoteArrays.of(starts, keys + LOWEST, ends - starts) for starts, ends, keys in tables]


@dataclass(frozen=True)
class EventSplit(_Pieces[EventPiece]):
    """Pieces as events; the event ``end`` comes before the first piece and after each."""

    step_kind = "token"

    end: int

    @property
    def steps(self) -> int:
        """Number of events, with the end of each piece."""
        return sum(len(piece.ids) + 1 for piece in self.pieces)

    @property
    def note_count(self) -> int:
        """Number of notes, drums included."""
        return sum(piece.note_count for piece in self.pieces)

    def joined(self) -> Ids:
        """Return all events in one sequence, with the end after each piece."""
        return np.concatenate([np.append(piece.ids, self.end) for piece in self.pieces])

    def contents(self) -> list[bytes]:
        """Return the events of each piece."""
        return [piece.ids.tobytes() for piece in self.pieces]

    def notes(self) -> list[NoteArrays]:
        """Return the notes of each piece, in steps."""
        return [piece.notes for piece in self.pieces]


@dataclass(frozen=True)
class RollPreprocessing:
    """Preprocessing of piano rolls.

    Attributes:
        signature: the most frequent time signature, in which new pieces are composed.
    """

    signature: _Signature

    @classmethod
    def fit(cls, pieces: Sequence[RollPiece], settings: MusicData) -> Self:
        """Find the most frequent time signature."""
        return cls(_most_frequent(piece.signature for piece in pieces if len(piece) >= _SHORTEST))

    def encode(self, pieces: Sequence[RollPiece]) -> RollSplit:
        """Leave out pieces in which no frame can be scored."""
        short = tuple(piece.name for piece in pieces if len(piece) < _SHORTEST)
        return RollSplit(tuple(piece for piece in pieces if len(piece) >= _SHORTEST), short=short)

    def to_dict(self) -> JsonObject:
        """Return the number of keys and the time signature."""
        return {"learnt": {"keys": KEYS, "signature": self.signature}}

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        fitted = _fitted(values, where)
        if fitted.get("keys") != KEYS:
            raise damaged(where, f"Its number of keys is {fitted.get('keys')}, not {KEYS}.")
        return cls(_signature(fitted))


@dataclass(frozen=True)
class EventPreprocessing:
    """Preprocessing of events.

    Attributes:
        vocabulary: events of the training pieces.
        signature: the most frequent time signature, in which new pieces are composed.
    """

    vocabulary: EventVocabulary
    signature: _Signature

    @classmethod
    def fit(cls, pieces: Sequence[ScorePiece], settings: MusicData) -> Self:
        """Collect the vocabulary, and find the most frequent time signature."""
        vocabulary = EventVocabulary.fit([piece.score for piece in pieces], settings.steps_per_beat)
        return cls(vocabulary, _most_frequent(map(first_time_signature, pieces)))

    def encode(self, pieces: Sequence[ScorePiece]) -> EventSplit:
        """Number the events of each piece."""
        return EventSplit(tuple(map(self._encoded, pieces)), self.vocabulary.begin)

    def _encoded(self, piece: ScorePiece) -> EventPiece:
        ids = self.vocabulary.encode(piece.score)
        count = int(self.vocabulary.is_note()[ids].sum())
        notes = notes_in(piece.score, self.vocabulary.steps)
        return EventPiece(piece.name, ids, count, notes, self.vocabulary.changes(piece.score))

    def transposed(self, split: EventSplit, semitones: Sequence[int]) -> EventSplit:
        """Transpose each piece by its semitones; one that would leave the keyboard stays."""
        tables = {by: self.vocabulary.transposition(by) for by in set(semitones)}

        def move(piece: EventPiece, by: int) -> EventPiece:
            low, high = self.vocabulary.room(piece.ids, abs(by))
            return replace(piece, ids=tables[by][piece.ids]) if low <= by <= high else piece

        return replace(split, pieces=tuple(map(move, split.pieces, semitones)))

    def to_dict(self) -> JsonObject:
        """Return the vocabulary and the time signature."""
        return {"learnt": self.vocabulary.state() | {"signature": self.signature}}

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        fitted = _fitted(values, where)
        return cls(EventVocabulary.from_state(fitted), _signature(fitted))


MusicSplit = RollSplit | EventSplit
MusicPreprocessing = RollPreprocessing | EventPreprocessing
RollDataset = Dataset[RollSplit, RollPreprocessing]
EventDataset = Dataset[EventSplit, EventPreprocessing]
MusicDataset = Dataset[MusicSplit, MusicPreprocessing]


def _most_frequent(signatures: Iterable[_Signature | None]) -> _Signature:
    known = Counter(signature for signature in signatures if signature is not None)
    return known.most_common(1)[0][0] if known else DEFAULT_TIME_SIGNATURE


def _fitted(values: JsonMapping, where: Path) -> JsonMapping:
    fitted = values.get("learnt")
    if not isinstance(fitted, dict):
        raise damaged(where, "It lacks the preprocessing.")
    return fitted


def _signature(fitted: JsonMapping) -> _Signature:
    beats, value = fitted.get("signature", DEFAULT_TIME_SIGNATURE)
    return beats, value
