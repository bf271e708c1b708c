"""Models of piano rolls: which keys sound in the next frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from holdfast._typing import Array
from holdfast.data.music.midi import ScorePiece
from holdfast.data.music.notes import notes_of
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.piano_roll import KEYS, LOWEST, RollPiece, RollPieces
from holdfast.data.music.pieces import read_pieces
from holdfast.errors import UserError
from holdfast.models.music import PianoRollNetwork, PianoRollOptions
from holdfast.tasks.music import piano_roll_composer
from holdfast.tasks.music.baselines import Baselines
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.dataset import Prepared, left_out, one_part, prepare, scored, told_short
from holdfast.tasks.music.request import Wish
from holdfast.tasks.music.trainable import RollTraining, figures, mean_nats


class Rolls:
    """The kind of model that reads and says rolls."""

    def __init__(self, config: MusicConfig) -> None:
        self.config = config

    def prepare(self, data: Path, valid: Path | None, test: Path | None) -> Prepared:
        """Read the files and cut them into parts."""
        return prepare(self.config.data, data, valid, test)

    def read(self, path: Path, learnt: Mapping[str, Any]) -> tuple[RollPieces, tuple[str, ...]]:
        """The pieces of a file that is to be scored; of one that carries a split, its test part.

        Raises:
            UserError: nothing in it can be scored.
        """
        found = read_pieces(path, self.config.data.steps_per_beat)
        pieces = one_part(found, "test")
        long, names = scored(pieces), [piece.name for piece in pieces if len(piece) < 2]
        if not long:
            raise UserError(
                "What is scored has pieces of two frames or more.",
                f"{path} has none{' in its test part' * ('train' in found)}.",
                "Give a file of whole pieces.",
            )
        carried = "train" in found or "valid" in found
        notes = [f"{path.name} carries a split: its test part is scored"] if carried else []
        return long, (*notes, *([told_short(names)] if names else []), *left_out(pieces))

    def network(self, learnt: Mapping[str, Any]) -> PianoRollNetwork:
        """The untrained network.

        Raises:
            UserError: what was learnt is damaged.
        """
        net, keys = self.config.network, learnt.get("keys")
        if keys != KEYS:
            rule = f"data.json says how many keys a roll has: {KEYS}."
            raise UserError(rule, f"It says {keys}.", "Copy the run's folder again, or train anew.")
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

    def training(self, module: nn.Module, prepared: Prepared) -> RollTraining:
        """Its training."""
        assert isinstance(module, PianoRollNetwork)
        return RollTraining(module, self.config, prepared)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """How often each key sounds, and how often after it did and did not."""
        return Baselines.fit(prepared.train)

    def baselines(self, arrays: Mapping[str, Array]) -> Baselines:
        """The baselines of these arrays."""
        return Baselines.from_state(arrays)

    def figures(self, module: nn.Module, part: RollPieces) -> dict[str, float]:
        """``nll_per_frame`` and ``note_accuracy``."""
        assert isinstance(module, PianoRollNetwork)
        return figures(module, part)

    def loss(self, module: nn.Module, part: RollPieces) -> float:
        """Nats of a frame."""
        assert isinstance(module, PianoRollNetwork)
        return mean_nats(module, part)

    def corpus(self, part: RollPieces) -> TrainingNotes:
        """The notes of the training pieces, in frames."""
        return TrainingNotes.of([(piece.name, _notes(piece)) for piece in part])

    def composed(
        self, module: nn.Module, learnt: Mapping[str, Any], corpus: TrainingNotes, wish: Wish
    ) -> Any:
        """A new piece, or its primer and what comes behind, as symusic's score."""
        assert isinstance(module, PianoRollNetwork)
        if wish.top_p is not None:
            rule, got = "--top-p is of tokens.", "This is a model of rolls."
            raise UserError(rule, got, "Leave it out, or give a lower --temperature.")
        return piano_roll_composer.composed(module, corpus, self.config.data.steps_per_beat, wish)

    def harmonised(self, module: nn.Module, corpus: TrainingNotes, melody: ScorePiece, wish: Wish) -> Any:
        """A melody with the other voices under it, as symusic's score."""
        assert isinstance(module, PianoRollNetwork)
        return piano_roll_composer.harmonised(module, corpus, self.config.data.steps_per_beat, melody, wish)

    def size(self, part: RollPieces) -> dict[str, Any]:
        """Pieces, and the frames of them that are scored: all but the first of each."""
        return {"pieces": len(part), "steps": sum(len(piece) - 1 for piece in part), "unit": "frame"}


def _notes(piece: RollPiece) -> NoteArrays:
    starts, ends, keys = np.array(notes_of(piece.roll), np.int64).reshape(-1, 3).T
    return NoteArrays.of(starts, keys + LOWEST, ends - starts)
