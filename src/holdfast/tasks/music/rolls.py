"""Models of piano rolls: which keys sound in the next frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.data.batching import TokenBatches
from holdfast.data.midi import Song
from holdfast.data.music import LOWEST, Piece, Pieces, Roll, read_pieces, room, transposed
from holdfast.data.passages import Corpus, Notes
from holdfast.data.voices import notes_of
from holdfast.errors import UserError
from holdfast.models.music import RollModel, RollOptions
from holdfast.tasks.music import roll_composing
from holdfast.tasks.music.baselines import Baselines
from holdfast.tasks.music.composing import Wish
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.pieces import Prepared, one_part, prepare, scored, told_short
from holdfast.tasks.music.scoring import Counts

Batch = tuple[Tensor, Tensor]
"""Frames [T + 1, B, K], of which the first T are read and the last T scored, and how many of those count [B]."""
SCORED_AT_ONCE = 8000
"""Frames of a batch where nothing is trained."""


class Rolls:
    """The kind of model that reads and says rolls."""

    def __init__(self, config: MusicConfig) -> None:
        self.config = config

    def prepare(self, data: Path, valid: Path | None, test: Path | None) -> Prepared:
        """Read the files and cut them into parts."""
        return prepare(self.config.data, data, valid, test)

    def read(self, path: Path, learnt: Mapping[str, Any]) -> tuple[Pieces, tuple[str, ...]]:
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
        return long, (*notes, *([told_short(names)] if names else []))

    def network(self, learnt: Mapping[str, Any]) -> RollModel:
        """The untrained network."""
        net = self.config.network
        options = RollOptions(
            cell=net.cell,
            output=net.output,
            hidden_size=net.hidden_size,
            num_layers=net.num_layers,
            chord_size=net.chord_size,
            input_dropout=net.input_dropout,
            dropout=net.dropout,
        )
        return RollModel(int(learnt["keys"]), options)

    def training(self, module: nn.Module, prepared: Prepared) -> RollTraining:
        """Its training."""
        assert isinstance(module, RollModel)
        return RollTraining(module, self.config, prepared)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """How often each key sounds, and how often after it did and did not."""
        return Baselines.fit(prepared.train)

    def baselines(self, arrays: Mapping[str, NDArray[Any]]) -> Baselines:
        """The baselines of these arrays."""
        return Baselines.from_state(arrays)

    def figures(self, module: nn.Module, part: Pieces) -> dict[str, float]:
        """``nll_per_frame`` and ``note_accuracy``."""
        assert isinstance(module, RollModel)
        return figures(module, part)

    def loss(self, module: nn.Module, part: Pieces) -> float:
        """Nats of a frame."""
        assert isinstance(module, RollModel)
        return mean_nats(module, part)

    def corpus(self, part: Pieces) -> Corpus:
        """The notes of the training pieces, in frames."""
        return Corpus.of([(piece.name, _notes(piece)) for piece in part])

    def composed(self, module: nn.Module, learnt: Mapping[str, Any], corpus: Corpus, wish: Wish) -> Any:
        """A new piece, or its primer and what comes behind, as symusic's score."""
        assert isinstance(module, RollModel)
        if wish.top_p is not None:
            rule, got = "--top-p is of tokens.", "This is a model of rolls."
            raise UserError(rule, got, "Leave it out, or give a lower --temperature.")
        return roll_composing.composed(module, corpus, self.config.data.steps_per_beat, wish)

    def harmonised(self, module: nn.Module, corpus: Corpus, melody: Song, wish: Wish) -> Any:
        """A melody with the other voices under it, as symusic's score."""
        assert isinstance(module, RollModel)
        return roll_composing.harmonised(module, corpus, self.config.data.steps_per_beat, melody, wish)

    def size(self, part: Pieces) -> dict[str, Any]:
        """Pieces, and the frames of them that are scored: all but the first of each."""
        return {"pieces": len(part), "steps": sum(len(piece) - 1 for piece in part), "unit": "frame"}


def _notes(piece: Piece) -> Notes:
    starts, ends, keys = np.array(notes_of(piece.roll), np.int64).reshape(-1, 3).T
    return Notes.of(starts, keys + LOWEST, ends - starts)


class RollTraining:
    """What the training loop asks for: batches of stretches of like length, their loss, and the validation's.

    The batches of an epoch, and by how much each stretch is transposed in it, depend on the seed and the epoch alone.
    """

    monitor = "valid_loss"

    def __init__(self, module: RollModel, config: MusicConfig, prepared: Prepared) -> None:
        self.module, self.valid = module, prepared.valid
        self.seed, self.most = config.training.seed, config.data.transpose
        self.stretches = [
            stretch for piece in prepared.train for stretch in cut(piece.roll, config.training.steps)
        ]
        lengths = [len(stretch) - 1 for stretch in self.stretches]
        size = config.training.batch_size
        self.buckets = TokenBatches(lengths, max(lengths) * size, size, self.seed)
        self.steps_per_epoch = len(self.buckets)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Every stretch once in an epoch."""
        random = np.random.default_rng((self.seed, epoch, 1))
        for chosen in self.buckets.of(epoch):
            yield batch([moved(self.stretches[i], self.most, random) for i in chosen.tolist()])

    def loss(self, batch: Batch) -> Tensor:
        """Nats of a frame."""
        return nats(self.module, batch).mean()

    def validate(self) -> dict[str, float]:
        """Nats of a frame of the validation part."""
        return {self.monitor: mean_nats(self.module, self.valid)}


def cut(roll: Roll, steps: int) -> list[Roll]:
    """Stretches of at most ``steps`` scored frames, of like length, each with the frame before them.

    Example:
        >>> [len(stretch) for stretch in cut(np.zeros((12, 88), bool), 5)]
        [5, 5, 4]
    """
    count = -(-(len(roll) - 1) // steps)
    borders = np.linspace(0, len(roll) - 1, count + 1).round().astype(int)
    return [roll[a : b + 1] for a, b in pairwise(borders)]


def moved(roll: Roll, most: int, random: np.random.Generator) -> Roll:
    """The roll transposed by up to ``most`` semitones, as far as the keyboard reaches."""
    low, high = room(roll, most)
    return transposed(roll, int(random.integers(low, high + 1)))


def batch(rolls: list[Roll]) -> Batch:
    """Rolls side by side, the shorter ones filled up with silence that counts for nothing."""
    lengths = [len(roll) for roll in rolls]
    table = np.zeros((max(lengths), len(rolls), rolls[0].shape[1]), np.float32)
    for column, roll in enumerate(rolls):
        table[: len(roll), column] = roll
    return torch.from_numpy(table), torch.tensor(lengths) - 1


def counted(batch: Batch) -> Tensor:
    """Which frames of a batch count: [T, B]."""
    frames, lengths = batch
    return torch.arange(len(frames) - 1, device=frames.device)[:, None] < lengths


def nats(module: RollModel, batch: Batch) -> Tensor:
    """``-log p`` of every frame that counts [N]."""
    context, _ = module(batch[0][:-1])
    there = counted(batch)
    return module.output.nats(context[there], batch[0][1:][there])


def _in_evaluation(module: RollModel, pieces: Pieces) -> Iterator[tuple[Tensor, Tensor]]:
    """Contexts [N, H] and the frames that follow them [N, K], of whole pieces, some at a time."""
    module.eval()
    device = next(module.parameters()).device
    buckets = TokenBatches([len(piece) - 1 for piece in pieces], SCORED_AT_ONCE)
    for chosen in buckets.of(epoch=0):
        own = batch([pieces[i].roll for i in chosen.tolist()])
        frames, there = own[0].to(device), counted(own).to(device)
        yield module(frames[:-1])[0][there], frames[1:][there]


@torch.no_grad()
def mean_nats(module: RollModel, pieces: Pieces) -> float:
    """Nats of a frame: summed over the keys, averaged over all frames but the first of each piece."""
    training, total, count = module.training, 0.0, 0
    for context, frames in _in_evaluation(module, pieces):
        found = module.output.nats(context, frames)
        total, count = total + float(found.double().sum()), count + len(found)
    module.train(training)
    return total / count


@torch.no_grad()
def figures(module: RollModel, pieces: Pieces) -> dict[str, float]:
    """``nll_per_frame``, and ``note_accuracy`` of the likeliest frame by the rule of the output's ``sample``."""
    counts = Counts()
    for context, frames in _in_evaluation(module, pieces):
        counts.add(module.output.sample(context, temperature=0.0).frames, frames > 0)
    return {"nll_per_frame": mean_nats(module, pieces), "note_accuracy": counts.accuracy}


@torch.no_grad()
def composed(
    module: RollModel, primer: Piece, length: int, temperature: float = 1.0, seed: int | None = None
) -> Piece:
    """A piece that goes on after a primer for ``length`` frames; the primer is not in it."""
    module.eval()
    random = torch.Generator()
    random.manual_seed(seed) if seed is not None else random.seed()
    frames = torch.from_numpy(primer.roll.astype(np.float32))[:, None]
    found: list[Tensor] = []
    state = None
    for _ in range(length):
        context, state = module(frames, state)
        frames = module.output.sample(context[-1], temperature, None, random).frames.float()[None]
        found.append(frames[0])
    return Piece(primer.name, torch.cat(found).bool().numpy())
