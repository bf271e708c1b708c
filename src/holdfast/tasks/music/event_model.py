"""Backend of events: expressive MIDI, one token after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from holdfast._typing import Array
from holdfast.data.music.midi import ScorePiece, read_scores
from holdfast.data.music.novelty import TrainingNotes
from holdfast.data.music.pieces import SPLITS, UNSPLIT
from holdfast.errors import UserError
from holdfast.models.language import LanguageOptions, RecurrentLanguageModel
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.music import event_composer
from holdfast.tasks.music.backend import MusicBackend
from holdfast.tasks.music.baselines import EventNGrams
from holdfast.tasks.music.metrics import score_events
from holdfast.tasks.music.preprocessing import EventPreprocessing, EventSplit
from holdfast.tasks.music.request import CompositionRequest
from holdfast.tasks.music.trainable import EventTraining, event_nats

_LOSS_PIECES = 40
"""Training pieces, evenly spaced, on which the training loss is measured without dropout."""


class EventBackend(MusicBackend[ScorePiece, EventSplit, EventPreprocessing, Array]):
    """Models that read and compose events."""

    def read_pieces(self, path: Path) -> dict[str, tuple[ScorePiece, ...]]:
        """Read the pieces of a file as scores."""
        return {UNSPLIT: tuple(read_scores(path))}

    def fit_preprocessing(self, pieces: tuple[ScorePiece, ...]) -> EventPreprocessing:
        """Collect the vocabulary."""
        return EventPreprocessing.fit(pieces, self.config.data.steps_per_beat)

    def read_preprocessing(self, values: Mapping[str, Any], where: Path) -> EventPreprocessing:
        """Read the vocabulary."""
        return EventPreprocessing.from_dict(values, where)

    def encode(self, preprocessing: EventPreprocessing, pieces: tuple[ScorePiece, ...]) -> EventSplit:
        """Number the events of each piece."""
        return preprocessing.encode(pieces)

    def digest(self, splits: Mapping[str, EventSplit]) -> str:
        """Return a hash of all events."""
        found = sha256()
        for name in SPLITS:
            for piece in splits[name].pieces if name in splits else ():
                found.update(f"{name} {len(piece.ids)};".encode() + piece.ids.tobytes())
        return found.hexdigest()

    def network(self, preprocessing: EventPreprocessing) -> RecurrentLanguageModel:
        """Build the untrained network."""
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
        return RecurrentLanguageModel(preprocessing.vocabulary.size, options)

    def trainable(self, module: nn.Module, dataset: Dataset[EventSplit, EventPreprocessing]) -> EventTraining:
        """Return streams along the training pieces."""
        return EventTraining(_events(module), self.config, dataset)

    def baselines(self, preprocessing: EventPreprocessing) -> EventNGrams:
        """Return unigrams and n-grams."""
        return EventNGrams(preprocessing, self.config.data.transpose)

    def predictions(self, module: nn.Module, split: EventSplit) -> Array:
        """Return the nats of every event and end."""
        return event_nats(_events(module), split)

    def score(self, split: EventSplit, predictions: Array) -> dict[str, float]:
        """Return nats per token and per note, and the perplexity of a token."""
        return score_events(split, predictions)

    def loss(self, module: nn.Module, split: EventSplit) -> float:
        """Return nats per token, of some pieces where there are many."""
        some = replace(split, pieces=split.pieces[:: max(1, len(split) // _LOSS_PIECES)])
        return float(event_nats(_events(module), some).mean(dtype=np.float64))

    def compose(
        self,
        module: nn.Module,
        preprocessing: EventPreprocessing,
        training_notes: TrainingNotes,
        request: CompositionRequest,
    ) -> Any:
        """Return a new piece, or a primer and its continuation."""
        return event_composer.compose(_events(module), preprocessing.vocabulary, request)

    def harmonize(
        self,
        module: nn.Module,
        training_notes: TrainingNotes,
        melody: ScorePiece,
        request: CompositionRequest,
    ) -> Any:
        """Refuse: events come in the order of time, so that they cannot be sampled under a melody."""
        raise UserError(
            "A melody must be harmonized by a model of piano rolls.",
            "This is a model of events.",
            "Train with --model roll, or give the file as a primer, without --harmonize.",
        )


def _events(module: nn.Module) -> RecurrentLanguageModel:
    assert isinstance(module, RecurrentLanguageModel)
    return module
