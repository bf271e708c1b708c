"""The two kinds of models of music, and what each must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

from holdfast.data.music.midi import ScorePiece
from holdfast.data.music.novelty import TrainingNotes
from holdfast.data.music.piano_roll import RollPiece
from holdfast.errors import UserError
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.dataset import Dataset, P
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.metrics import MusicPredictions
from holdfast.tasks.music.preprocessing import MusicPreprocessing, MusicSplit
from holdfast.tasks.music.request import CompositionRequest
from holdfast.training.trainable import Trainable

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score

T = TypeVar("T")
S = TypeVar("S", bound=MusicSplit)
Y = TypeVar("Y")
M = TypeVar("M", bound=nn.Module)


class MusicBackend(ABC, Generic[T, S, P, Y, M]):
    """Encoding of pieces, the network that reads them, training, baselines and composing.

    ``T`` is a piece as it is read, ``S`` an encoded split, ``P`` the preprocessing, ``Y`` the
    predictions for a split, ``M`` the network.

    Args:
        config: every setting.
    """

    preprocessing: type[P]

    def __init__(self, config: MusicConfig) -> None:
        self.config = config

    # -- data --------------------------------------------------------------------------------------

    @abstractmethod
    def read_pieces(self, path: Path) -> Mapping[str, tuple[T, ...]]:
        """Read the pieces of a file by split: ``train``, ``valid`` and ``test``, or ``whole``."""

    @abstractmethod
    def fit_preprocessing(self, pieces: tuple[T, ...]) -> P:
        """Fit the preprocessing on the training pieces."""

    @abstractmethod
    def encode(self, preprocessing: P, pieces: tuple[T, ...], /) -> S:
        """Encode pieces as a split."""

    @abstractmethod
    def digest(self, splits: Mapping[str, S]) -> str:
        """Return a hash of all splits; equal data have equal hashes."""

    def data_notes(self, train: S) -> tuple[str, ...]:
        """Return what the user should know about the training split."""
        return ()

    # -- network -----------------------------------------------------------------------------------

    @abstractmethod
    def network(self, preprocessing: P) -> M:
        """Build the untrained network."""

    @abstractmethod
    def trainable(self, module: M, dataset: Dataset[S, P]) -> Trainable:
        """Return batches, loss and validation; the monitored metric is ``valid_loss``."""

    @abstractmethod
    def baselines(self, preprocessing: P) -> BaselineSet[S, Y]:
        """Return the baselines, not fitted."""

    @abstractmethod
    def predictions(self, module: M, split: S) -> Y:
        """Return the network's predictions for a split."""

    @abstractmethod
    def score(self, split: S, predictions: Y, /) -> dict[str, float]:
        """Return the metrics of predictions."""

    @abstractmethod
    def loss(self, module: M, split: S) -> float:
        """Return the loss that training minimizes, without dropout."""

    # -- composing ---------------------------------------------------------------------------------

    @abstractmethod
    def compose(
        self, module: M, preprocessing: P, training_notes: TrainingNotes, request: CompositionRequest
    ) -> Score:
        """Return a new piece, or a primer and its continuation, as symusic's score."""

    def harmonize(self, module: M, training_notes: TrainingNotes, request: CompositionRequest) -> Score:
        """Return the primer, a melody, with other voices under it, as symusic's score.

        Raises:
            UserError: this kind of model cannot harmonize, or the primer is not a melody.
        """
        raise UserError(
            "A melody must be harmonized by a model of piano rolls.",
            "This is a model of events.",
            "Train with --model roll, or give the file as a primer, without --harmonize.",
        )


_BACKENDS = {
    "roll": "holdfast.tasks.music.piano_roll_model:PianoRollBackend",
    "events": "holdfast.tasks.music.event_model:EventBackend",
}
"""Value of ``--model`` -> its backend, as ``module:name``."""

_AnyBackend = MusicBackend[
    RollPiece | ScorePiece, MusicSplit, MusicPreprocessing, MusicPredictions, nn.Module
]


def backend_of(config: MusicConfig) -> _AnyBackend:
    """Return the backend of the kind of model that the settings name."""
    module, _, name = _BACKENDS[config.network.model].partition(":")
    backend: _AnyBackend = getattr(import_module(module), name)(config)
    return backend
