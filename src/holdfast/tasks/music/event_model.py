"""Models of events: expressive MIDI, one token after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from holdfast._typing import Array
from holdfast.data.music.midi import ScorePiece, first_time_signature, read_scores
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.pieces import UNSPLIT
from holdfast.data.music.remi import EventVocabulary
from holdfast.decoding.ngram import MAX_TOKENS, NGramBaselines
from holdfast.errors import UserError
from holdfast.models.language import LanguageOptions, RecurrentLanguageModel
from holdfast.models.truncated_bptt import StreamTraining, texts_nll
from holdfast.tasks.music import event_composer
from holdfast.tasks.music.config import MusicConfig, MusicTraining
from holdfast.tasks.music.dataset import drawn, left_out, no_notes, repeated, usual
from holdfast.tasks.music.request import Wish, notes_in

Ids = NDArray[np.int64]
_LONGEST_GRAM = 6
"""Longest n-grams that are tried."""
_SCORED_OF_TRAINING = 40
"""Training pieces, evenly spread, on which the training loss is taken again without dropout."""


@dataclass(frozen=True)
class Line:
    """The events [n] of a piece, how many of them are notes, these without drums, and what it lacks."""

    name: str
    ids: Ids
    count: int
    notes: NoteArrays
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """Some pieces, and the event that stands behind each, and before the first."""

    lines: tuple[Line, ...]
    end: int

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def tokens(self) -> int:
        """Events, with the end of each piece."""
        return sum(len(line.ids) + 1 for line in self.lines)

    @property
    def notes(self) -> int:
        """Notes, with those of drums."""
        return sum(line.count for line in self.lines)

    def joined(self) -> Ids:
        """All events one after the other, with the end behind each piece."""
        return np.concatenate([np.append(line.ids, self.end) for line in self.lines])


@dataclass(frozen=True)
class _PreparedEvents:
    """The three parts (``test`` may be None), the vocabulary, and what the user should be told."""

    train: Part
    valid: Part
    test: Part | None
    vocabulary: EventVocabulary
    notes: tuple[str, ...]
    digest: str
    signature: tuple[int, int]

    @property
    def learnt(self) -> dict[str, Any]:
        """The vocabulary, and the most frequent time signature, for JSON."""
        return self.vocabulary.state() | {"signature": self.signature}

    def fraction(self, share: float) -> _PreparedEvents:
        """The same with only the last share of the training pieces."""
        kept = max(1, round(len(self.train) * share))
        return replace(self, train=replace(self.train, lines=self.train.lines[-kept:]))


@dataclass(frozen=True)
class Along:
    """How the streams are read (:class:`holdfast.models.truncated_bptt.StreamSettings`)."""

    training: MusicTraining
    reset: float = 0.01
    activation: float = 0.0
    change: float = 0.0

    @property
    def seed(self) -> int:
        """As everything else's."""
        return self.training.seed

    @property
    def steps(self) -> int:
        """Tokens after which back-propagation is cut."""
        return self.training.steps

    def streams(self, length: int) -> int:
        """Streams that so many tokens are read in."""
        return min(self.training.batch_size, length // (2 * self.steps))


class Events:
    """The kind of model that reads and says events."""

    def __init__(self, config: MusicConfig) -> None:
        self.config = config

    def prepare(self, data: Path, valid: Path | None, test: Path | None) -> _PreparedEvents:
        """Read the files, cut them into parts by pieces, and number the events of the training pieces."""
        settings = self.config.data
        own = (valid is not None, test is not None)
        songs, notes = drawn(settings, data, {UNSPLIT: tuple(read_scores(data))}, own)
        for name, path in (("valid", valid), ("test", test)):
            if path is not None:
                songs[name] = tuple(read_scores(path))
        if not any(
            len(track.notes) and not track.is_drum for song in songs["train"] for track in song.score.tracks
        ):
            raise no_notes(data)
        vocabulary = EventVocabulary.fit([song.score for song in songs["train"]], settings.steps_per_beat)
        parts = {name: encoded(vocabulary, some) for name, some in songs.items()}
        lines = [line for part in parts.values() for line in part.lines]
        contents = {name: [(x.name, x.ids.tobytes()) for x in part.lines] for name, part in parts.items()}
        told = (*notes, *left_out(lines), *repeated(contents))
        test_part = parts.get("test") or None
        signature = usual([first_time_signature(song) for song in songs["train"]])
        return _PreparedEvents(
            parts["train"], parts["valid"], test_part, vocabulary, told, digest(parts), signature
        )

    def read(self, path: Path, learnt: Mapping[str, Any]) -> tuple[Part, tuple[str, ...]]:
        """The pieces of a file that is to be scored."""
        part = encoded(EventVocabulary.from_state(learnt), read_scores(path))
        return part, left_out(part.lines)

    def network(self, learnt: Mapping[str, Any]) -> RecurrentLanguageModel:
        """The untrained network."""
        net = self.config.network
        options = LanguageOptions(
            cell=net.cell,
            embedding_size=net.embedding_size,
            hidden_size=net.hidden_size,
            num_layers=net.num_layers,
            tied=False,
            input_dropout=net.input_dropout,
            hidden_dropout=net.dropout,
            output_dropout=net.dropout,
            weight_drop=net.weight_drop,
        )
        return RecurrentLanguageModel(EventVocabulary.from_state(learnt).size, options)

    def training(self, module: nn.Module, prepared: _PreparedEvents) -> EventTraining:
        """Its training."""
        assert isinstance(module, RecurrentLanguageModel)
        return EventTraining(module, self.config, prepared)

    def fit_baselines(self, prepared: _PreparedEvents) -> _EventBaselines:
        """N-grams of the training pieces, in as many transpositions as are counted."""
        vocabulary, most, train = prepared.vocabulary, self.config.data.transpose, prepared.train
        copies = max(1, min(2 * most + 1, MAX_TOKENS // train.tokens))
        moves = sorted(range(-most, most + 1), key=abs)[:copies]
        ids = np.concatenate([moved(vocabulary, train, [by] * len(train)).joined() for by in moves[::-1]])
        valid = prepared.valid.joined()
        return _EventBaselines(NGramBaselines.fit(ids, valid, vocabulary.size, _LONGEST_GRAM, None))

    def baselines(self, arrays: Mapping[str, Array]) -> _EventBaselines:
        """The baselines of these arrays."""
        return _EventBaselines(NGramBaselines.from_state(arrays))

    def figures(self, module: nn.Module, part: Part) -> dict[str, float]:
        """Nats of a token and of a note, and the perplexity of a token."""
        assert isinstance(module, RecurrentLanguageModel)
        return figures(total_nats(module, part), part)

    def loss(self, module: nn.Module, part: Part) -> float:
        """Nats of a token, of some of the pieces where they are many."""
        assert isinstance(module, RecurrentLanguageModel)
        some = replace(part, lines=part.lines[:: max(1, len(part) // _SCORED_OF_TRAINING)])
        return total_nats(module, some) / some.tokens

    def corpus(self, part: Part) -> TrainingNotes:
        """The notes of the training pieces, in steps."""
        return TrainingNotes.of([(line.name, line.notes) for line in part.lines])

    def composed(
        self, module: nn.Module, learnt: Mapping[str, Any], corpus: TrainingNotes, wish: Wish
    ) -> Any:
        """A new piece, or its primer and what comes behind, as symusic's score."""
        assert isinstance(module, RecurrentLanguageModel)
        return event_composer.composed(module, EventVocabulary.from_state(learnt), wish)

    def harmonised(self, module: nn.Module, corpus: TrainingNotes, melody: ScorePiece, wish: Wish) -> Any:
        """Refused: tokens come in the order of time, and cannot be drawn under a melody."""
        raise UserError(
            "A melody is harmonised by a model of rolls.",
            "This one is a model of events.",
            "Train with --model roll, or give the file as a primer, without --harmonize.",
        )

    def size(self, part: Part) -> dict[str, Any]:
        """Pieces and their tokens, with the end of each."""
        return {"pieces": len(part), "steps": part.tokens, "unit": "token"}


class EventTraining(StreamTraining):
    """Streams along all training pieces, in another order and other transpositions in each epoch."""

    def __init__(
        self, module: RecurrentLanguageModel, config: MusicConfig, prepared: _PreparedEvents
    ) -> None:
        self.pieces, self.valid_pieces = prepared.train, prepared.valid
        self.vocabulary, self.most = prepared.vocabulary, config.data.transpose
        super().__init__(
            module, Along(config.training), self.pieces.joined(), prepared.valid.joined(), self.pieces.end
        )

    def text(self, epoch: int) -> Ids:
        """The pieces of an epoch, one after the other."""
        random = np.random.default_rng((self.settings.seed, epoch, 1))
        lines = [self.pieces.lines[place] for place in random.permutation(len(self.pieces))]
        room = [self.vocabulary.room(line.ids, self.most) for line in lines]
        by = [int(random.integers(low, high + 1)) for low, high in room]
        return moved(self.vocabulary, replace(self.pieces, lines=tuple(lines)), by).joined()

    def validate(self) -> dict[str, float]:
        """Nats of a token of the validation part, each piece read from its beginning."""
        return {self.monitor: total_nats(self.module, self.valid_pieces) / self.valid_pieces.tokens}


@dataclass(frozen=True)
class _EventBaselines:
    """N-grams of events."""

    grams: NGramBaselines

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be told."""
        return self.grams.notes

    def figures(self, part: Part) -> dict[str, dict[str, float]]:
        """Name -> the metrics of the network."""
        ids = part.joined()
        return {name: figures(float(found.sum()), part) for name, found in self.grams.each(ids)}

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        return self.grams.state()


def encoded(vocabulary: EventVocabulary, songs: Sequence[ScorePiece]) -> Part:
    """The events of some pieces."""
    is_note = vocabulary.is_note()

    def line(song: ScorePiece) -> Line:
        ids = vocabulary.encode(song.score)
        notes = notes_in(song.score, vocabulary.steps)
        return Line(song.name, ids, int(is_note[ids].sum()), notes, vocabulary.changes(song.score))

    return Part(tuple(map(line, songs)), vocabulary.begin)


def moved(vocabulary: EventVocabulary, part: Part, semitones: Sequence[int]) -> Part:
    """Each piece transposed by its number of semitones; as it is where it has no room."""
    tables = {by: vocabulary.transposition(by) for by in set(semitones)}

    def move(line: Line, by: int) -> Line:
        low, high = vocabulary.room(line.ids, abs(by))
        return replace(line, ids=tables[by][line.ids]) if low <= by <= high else line

    return replace(part, lines=tuple(map(move, part.lines, semitones)))


def total_nats(module: RecurrentLanguageModel, part: Part) -> float:
    """``-log p`` of all events of some pieces and of their ends, each piece read from its beginning."""
    found = texts_nll(module, [line.ids for line in part.lines], part.end)
    return sum(float(nats.sum(dtype=np.float64)) for nats in found)


def figures(nats: float, part: Part) -> dict[str, float]:
    """The metrics of some pieces whose events need so many nats altogether."""
    each = nats / part.tokens
    return {
        "nll_per_token": each,
        "nll_per_note": nats / max(1, part.notes),
        "perplexity": exp(min(each, 700.0)),
    }


def digest(parts: Mapping[str, Part]) -> str:
    """A hash of all events."""
    found = sha256()
    for name in ("train", "valid", "test"):
        for line in parts[name].lines if name in parts else ():
            found.update(f"{name} {len(line.ids)};".encode() + line.ids.tobytes())
    return found.hexdigest()
