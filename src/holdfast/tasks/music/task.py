"""The composer: fit, evaluate, compose, save and load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from holdfast._deprecated import renamed_settings
from holdfast._typing import Array
from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE
from holdfast.data.music.novelty import TrainingNotes
from holdfast.errors import UserError
from holdfast.files import load_json, save_json
from holdfast.tasks.legacy import LEARNT, TaskModel
from holdfast.tasks.music.backend import kind_of
from holdfast.tasks.music.config import MusicConfig, Prediction
from holdfast.tasks.music.request import one_song, wish_of
from holdfast.tasks.music.result import Composition
from holdfast.training.trainable import Trainable


class Composer(TaskModel):
    """An LSTM, GRU or RNN that says what comes next in a piece of music: it scores pieces, and composes.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``output="independent", cell="gru", hidden_size=128`` (see :class:`MusicConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

    Example:
        >>> import json, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "chords.json"
        >>> tune = [[60, 64, 67], [60, 65, 69], [59, 62, 67], [60, 64, 67]] * 4
        >>> _ = path.write_text(json.dumps([tune] * 10))
        >>> model = Composer(hidden_size=16, chord_size=16, transpose=0, epochs=10, batch_size=2, learning_rate=0.02)
        >>> figures = model.fit(path).metrics
        >>> figures["model"]["nll_per_frame"] < figures["baselines"]["markov"]["nll_per_frame"]
        True
    """

    task = "music"
    settings = MusicConfig

    def __init__(self, config: MusicConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.kind = kind_of(self.config)
        self.learnt: dict[str, Any] = {}
        self.digest = ""
        self.corpus: TrainingNotes | None = None

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Any:
        """Read the files and cut them into parts; does not depend on the cell, the network's size or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return self.kind.prepare(Path(data), *others)

    def fit_baselines(self, prepared: Any) -> Any:
        """What the network has to beat, counted in the training pieces."""
        return self.kind.fit_baselines(prepared)

    def _learn(self, prepared: Any) -> None:
        self.learnt, self.digest = prepared.learnt, prepared.digest
        self.corpus = self.kind.corpus(prepared.train)

    def _save_learnt(self, folder: Path) -> None:
        save_json(folder / LEARNT, {"digest": self.digest, "learnt": self.learnt})

    def _load_learnt(self, path: Path) -> None:
        found = load_json(path)
        learnt = found.get("learnt")
        if not isinstance(learnt, dict):
            raise UserError(
                f"{path} holds what the network knows of the data, as training wrote it.",
                "It lacks that.",
                "Copy the folder again, or train anew.",
            )
        self.learnt, self.digest = learnt, str(found.get("digest", ""))

    def _is_learnt(self, folder: Path, prepared: Any) -> bool:
        return bool(load_json(folder / LEARNT).get("digest") == prepared.digest)

    def _network(self, prepared: Any) -> tuple[torch.nn.Module, Trainable]:
        module = self.kind.network(prepared.learnt)
        return module, self.kind.training(module, prepared)

    def _empty(self) -> torch.nn.Module:
        return self.kind.network(self.learnt)

    def _arrays(self) -> dict[str, Array]:
        """The baselines, and the notes of the training pieces, by which copies are known."""
        assert self.corpus is not None
        return super()._arrays() | self.corpus.state()

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        self.baselines, self.corpus = self.kind.baselines(arrays), TrainingNotes.from_state(arrays)

    def _judge(self, prepared: Any, training: Any) -> dict[str, Any]:
        name = "test" if prepared.test else "validation"
        return self._scores(prepared.test or prepared.valid, name) | {
            "train_loss": self.kind.loss(training.module, prepared.train),
            "valid_loss": self.kind.loss(training.module, prepared.valid),
            "training_size": len(prepared.train),
            "training_steps": self.kind.size(prepared.train)["steps"],
        }

    # -- figures -------------------------------------------------------------------------------------------------

    def _figures(self, part: Any) -> dict[str, float]:
        return self.kind.figures(self._trained(), part)

    def _baseline_figures(self, part: Any) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = self.baselines.figures(part)
        return found

    def _size(self, part: Any) -> dict[str, Any]:
        return self.kind.size(part)

    # -- use -----------------------------------------------------------------------------------------------------

    def compose(self, primer: Path | str | None = None, **asked: Any) -> Composition:
        """A new piece; with ``harmonize`` the other voices under a melody.

        Args:
            primer: MIDI file that is gone on with.
            asked: ``bars``, ``seconds``, ``temperature``, ``key``, ``tempo``, ``seed`` and the others of
                :class:`Prediction`; its files are not written.

        Raises:
            UserError: a value outside its rule, or what is wrong with a file.
        """
        wanted = Prediction(**renamed_settings(asked, warn=True))
        wanted.check_primer(primer)
        module, corpus, steps = self._trained(), self.corpus, self.config.data.steps_per_beat
        assert corpus is not None
        if wanted.harmonize is not None:
            melody = one_song(wanted.harmonize)
            wish = wish_of(wanted, melody).under
            score = self.kind.harmonised(module, corpus, melody, wish)
        else:
            signature: Any = tuple(self.learnt.get("signature", DEFAULT_TIME_SIGNATURE))
            wish = wish_of(wanted, None if primer is None else one_song(Path(primer)), signature)
            score = self.kind.composed(module, self.learnt, corpus, wish)
        return Composition(wish.head(score), wish, corpus, steps)

    def predict(self, primer: Path | str | None = None, **asked: Any) -> Composition:
        """What the model makes of a primer, as other tasks' models have it: the same as :meth:`compose`."""
        return self.compose(primer, **asked)

    def fitted(self) -> Any:
        """The network, once there is one.

        Raises:
            UserError: there is none yet.
        """
        return self._trained()

    def part(self, path: Path) -> Any:
        """The pieces of a file, as they are scored."""
        return self._read(path)

    def _read(self, path: Path) -> Any:
        part, self.notes = self.kind.read(path, self.learnt)
        return part
