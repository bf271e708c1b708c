"""Backend of piano rolls: which keys sound in the next frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from holdfast.data.music.midi import ScorePiece
from holdfast.data.music.novelty import TrainingNotes
from holdfast.data.music.piano_roll import KEYS, RollPiece, RollPieces
from holdfast.data.music.pieces import SPLITS, digest, read_pieces
from holdfast.errors import UserError
from holdfast.models.music import PianoRollNetwork, PianoRollOptions
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.music import piano_roll_composer
from holdfast.tasks.music.backend import MusicBackend
from holdfast.tasks.music.baselines import roll_baselines
from holdfast.tasks.music.config import MusicData
from holdfast.tasks.music.metrics import RollPredictions, score_rolls
from holdfast.tasks.music.preprocessing import RollPreprocessing, RollSplit
from holdfast.tasks.music.request import CompositionRequest
from holdfast.tasks.music.trainable import RollTraining, mean_nats, predict_rolls


class PianoRollBackend(MusicBackend[RollPiece, RollSplit, RollPreprocessing, RollPredictions]):
    """Models that read and compose piano rolls."""

    def read_pieces(self, path: Path) -> dict[str, RollPieces]:
        """Read the pieces of a file as rolls."""
        return read_pieces(path, self.config.data.steps_per_beat)

    def fit_preprocessing(self, pieces: RollPieces) -> RollPreprocessing:
        """Find the most frequent time signature."""
        return RollPreprocessing.fit(pieces)

    def read_preprocessing(self, values: Mapping[str, Any], where: Path) -> RollPreprocessing:
        """Read the time signature."""
        return RollPreprocessing.from_dict(values, where)

    def encode(self, preprocessing: RollPreprocessing, pieces: RollPieces) -> RollSplit:
        """Return the pieces as a split."""
        return preprocessing.encode(pieces)

    def digest(self, splits: Mapping[str, RollSplit]) -> str:
        """Return a hash of all rolls."""
        return digest(splits[name].pieces if name in splits else () for name in SPLITS)

    def notes(self, train: RollSplit) -> tuple[str, ...]:
        """Return a note where neither the file nor the user says how long a frame is."""
        steps, default = self.config.data.steps_per_beat, MusicData().steps_per_beat
        if steps != default or any(piece.signature for piece in train.pieces):
            return ()
        return (
            f"the file does not say how long a frame is: a beat is taken as {default} frames (--steps-per-beat)",
        )

    def network(self, preprocessing: RollPreprocessing) -> PianoRollNetwork:
        """Build the untrained network."""
        net = self.config.network
        options = PianoRollOptions(
            cell=net.cell,
            output=net.output,
            hidden_size=net.hidden_size,
            num_layers=net.num_layers,
            chord_size=net.chord_size,
            input_dropout=net.input_dropout,
            dropout=net.dropout,
            weight_drop=net.weight_drop,
        )
        return PianoRollNetwork(KEYS, options)

    def trainable(self, module: nn.Module, dataset: Dataset[RollSplit, RollPreprocessing]) -> RollTraining:
        """Return batches of segments of the training pieces."""
        return RollTraining(_rolls(module), self.config, dataset)

    def baselines(self, preprocessing: RollPreprocessing) -> BaselineSet[RollSplit, RollPredictions]:
        """Return how often each key sounds, and how often after it did and did not."""
        return roll_baselines()

    def predictions(self, module: nn.Module, split: RollSplit) -> RollPredictions:
        """Return the nats and the likeliest keys of every frame."""
        return predict_rolls(_rolls(module), split)

    def score(self, split: RollSplit, predictions: RollPredictions) -> dict[str, float]:
        """Return ``nll_per_frame`` and ``note_accuracy``."""
        return score_rolls(split, predictions)

    def loss(self, module: nn.Module, split: RollSplit) -> float:
        """Return nats per frame."""
        return mean_nats(_rolls(module), split)

    def compose(
        self,
        module: nn.Module,
        preprocessing: RollPreprocessing,
        training_notes: TrainingNotes,
        request: CompositionRequest,
    ) -> Any:
        """Return a new piece, or a primer and its continuation."""
        if request.top_p is not None:
            raise UserError(
                "--top-p must be used with a model of events.",
                "This is a model of piano rolls.",
                "Leave it out, or give a lower --temperature.",
            )
        steps = self.config.data.steps_per_beat
        return piano_roll_composer.compose(_rolls(module), training_notes, steps, request)

    def harmonize(
        self,
        module: nn.Module,
        training_notes: TrainingNotes,
        melody: ScorePiece,
        request: CompositionRequest,
    ) -> Any:
        """Return a melody with other voices under it."""
        steps = self.config.data.steps_per_beat
        return piano_roll_composer.harmonize(_rolls(module), training_notes, steps, melody, request)


def _rolls(module: nn.Module) -> PianoRollNetwork:
    assert isinstance(module, PianoRollNetwork)
    return module
