"""The composer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from holdfast._deprecated import renamed_settings
from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.music.novelty import TrainingNotes
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.music.backend import backend_of
from holdfast.tasks.music.config import MusicConfig, Prediction
from holdfast.tasks.music.dataset import read_dataset, read_whole
from holdfast.tasks.music.metrics import SCOREBOARD, MusicPredictions
from holdfast.tasks.music.preprocessing import MusicDataset, MusicPreprocessing, MusicSplit
from holdfast.tasks.music.request import CompositionRequest, read_piece
from holdfast.tasks.music.result import Composition
from holdfast.tasks.task import Task
from holdfast.training.trainable import Trainable


class Composer(Task[MusicConfig, MusicSplit, MusicPreprocessing, MusicPredictions, nn.Module]):
    """An LSTM, GRU or RNN of music: it predicts the next frame or event, scores and composes.

    Give its settings by name, such as ``output="independent", cell="gru", hidden_size=128`` (see
    :class:`MusicConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

    Example:
        >>> import json, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "chords.json"
        >>> tune = [[60, 64, 67], [60, 65, 69], [59, 62, 67], [60, 64, 67]] * 4
        >>> _ = path.write_text(json.dumps([tune] * 10))
        >>> model = Composer(hidden_size=16, chord_size=16, transpose=0, epochs=10, batch_size=2, learning_rate=0.02)
        >>> metrics = model.fit(path).metrics
        >>> metrics["model"]["nll_per_frame"] < metrics["baselines"]["markov"]["nll_per_frame"]
        True
    """

    task = "music"
    config_class = MusicConfig
    scoreboard = SCOREBOARD
    renamed = {"unit": "step_kind"}  # noqa: RUF012
    size = "{steps:,} {step_kind}s of {pieces:,} pieces"
    title = "Music"
    data_settings = ("split", "steps_per_beat", "model")
    sentence = "The network needs {own:.4g} nats for each {step_kind}; {bar}"
    training_notes: TrainingNotes

    def __init__(self, config: MusicConfig | None = None, **fields: object) -> None:
        super().__init__(config, **fields)
        self.backend = backend_of(self.config)

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> MusicDataset:
        """Read the pieces and encode them."""
        return read_dataset(self.backend, data, valid, test)

    def read_split(self, path: Path) -> tuple[MusicSplit, tuple[str, ...]]:
        """Read the pieces of a file or folder as one split."""
        return read_whole(path, self.backend, self.fitted()[1])

    def read_preprocessing(self, values: JsonMapping, where: Path) -> MusicPreprocessing:
        """Rebuild the preprocessing."""
        return self.backend.preprocessing.from_dict(values, where)

    def baseline_set(self, preprocessing: MusicPreprocessing) -> BaselineSet[MusicSplit, MusicPredictions]:
        """Return the baselines of rolls or of events."""
        return self.backend.baselines(preprocessing)

    def network(self, preprocessing: MusicPreprocessing) -> nn.Module:
        """Build the untrained network."""
        return self.backend.network(preprocessing)

    def trainable(self, module: nn.Module, dataset: MusicDataset) -> Trainable:
        """Return batches of segments of the pieces, or streams along them."""
        return self.backend.trainable(module, dataset)

    def untrained(self, dataset: MusicDataset) -> tuple[nn.Module, Trainable]:
        """Return the untrained network and its trainable; keep the notes of the training pieces."""
        self.training_notes = dataset.train.training_notes()
        return super().untrained(dataset)

    def arrays(self) -> dict[str, Array]:
        """Return the notes of the training pieces."""
        return self.training_notes.state()

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take the notes of the training pieces."""
        self.training_notes = TrainingNotes.from_state(arrays)

    # -- results -----------------------------------------------------------------------------------

    def predictions(self, split: MusicSplit) -> MusicPredictions:
        """Return the nats of every frame with its likeliest keys, or the nats of every event."""
        return self.backend.predictions(self.fitted_module(), split)

    def score(self, split: MusicSplit, predictions: MusicPredictions) -> dict[str, float]:
        """Return the metrics of frames or of events."""
        return self.backend.score(split, predictions)

    def measure(self, split: MusicSplit) -> JsonObject:
        """Return the number of pieces and of scored time steps, and what a time step is."""
        return {"pieces": len(split), "steps": split.steps, "step_kind": split.step_kind}

    def losses(self, dataset: MusicDataset) -> dict[str, float]:
        """Return the losses in nats per time step, and the number of training steps."""
        module = self.fitted_module()
        return {
            "train_loss": self.backend.loss(module, dataset.train),
            "valid_loss": self.backend.loss(module, dataset.valid),
            "training_steps": dataset.train.steps,
        }

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that compose a piece, and that continue a primer."""
        piece = ["--midi", "piece.mid", "--plot", "piece.png", "--wav", "piece.wav"]
        return [
            ["holdfast", "predict", run, "--bars", "16", *piece],
            ["holdfast", "predict", run, "PRIMER.mid", "--primer-bars", "4", *piece],
        ]

    # -- use ---------------------------------------------------------------------------------------

    def compose(self, primer: Path | str | None = None, **asked: object) -> Composition:
        """Compose a piece, continue a primer, or harmonize a melody.

        Args:
            primer: MIDI file to continue.
            asked: ``bars``, ``seconds``, ``temperature``, ``key``, ``tempo``, ``seed`` and the
                other fields of :class:`Prediction`; the files that it names are not written.

        Raises:
            UserError: a value is outside its rule, or anything is wrong with a file.
        """
        wanted = Prediction(**renamed_settings(asked, warn=True))
        wanted.check_primer(primer)
        (module, preprocessing), notes = self.fitted(), self.training_notes
        if wanted.harmonize is not None:
            request = CompositionRequest.of(wanted, read_piece(wanted.harmonize))
            score = self.backend.harmonize(module, notes, request)
        else:
            piece = None if primer is None else read_piece(Path(primer))
            request = CompositionRequest.of(wanted, piece, preprocessing.signature)
            score = self.backend.compose(module, preprocessing, notes, request)
        return Composition(request.with_meta(score), request, notes, self.config.data.steps_per_beat)

    predict = compose
    """:meth:`compose` under the name that other tasks use."""
