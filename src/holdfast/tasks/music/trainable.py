"""Training and scoring models of piano rolls: stretches of pieces side by side, and what counts of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from holdfast.data.batching import TokenBatches
from holdfast.data.music.piano_roll import Roll, RollPieces
from holdfast.data.music.pieces import transposed, transposition_range
from holdfast.models.music import Context, PianoRollNetwork
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.dataset import Prepared
from holdfast.tasks.music.metrics import Counts

Batch = tuple[Tensor, Tensor]
"""Frames [T + 1, B, K], of which the first T are read and the last T scored, and how many of those count [B]."""
SCORED_AT_ONCE = 8000
"""Frames of a batch where nothing is trained."""


class RollTraining:
    """What the training loop asks for: batches of stretches of like length, their loss, and the validation's.

    The batches of an epoch, and by how much each stretch is transposed in it, depend on the seed and the epoch alone.
    """

    monitor = "valid_loss"

    def __init__(self, module: PianoRollNetwork, config: MusicConfig, prepared: Prepared) -> None:
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
        [5, 4, 5]
    """
    count = -(-(len(roll) - 1) // steps)
    borders = np.linspace(0, len(roll) - 1, count + 1).round().astype(int)
    return [roll[a : b + 1] for a, b in pairwise(borders)]


def moved(roll: Roll, most: int, random: np.random.Generator) -> Roll:
    """The roll transposed by up to ``most`` semitones, as far as the keyboard reaches."""
    low, high = transposition_range(roll, most)
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


def nats(module: PianoRollNetwork, batch: Batch) -> Tensor:
    """``-log p`` of every frame that counts [N]."""
    context, _ = module(batch[0][:-1])
    there = counted(batch)
    return module.output.nll(context[there], batch[0][1:][there])


def _in_evaluation(module: PianoRollNetwork, pieces: RollPieces) -> Iterator[tuple[Context, Tensor]]:
    """Contexts [N] and the frames that follow them [N, K], of whole pieces, some at a time."""
    module.eval()
    device = next(module.parameters()).device
    buckets = TokenBatches([len(piece) - 1 for piece in pieces], SCORED_AT_ONCE)
    for chosen in buckets.of(epoch=0):
        own = batch([pieces[i].roll for i in chosen.tolist()])
        frames, there = own[0].to(device), counted(own).to(device)
        yield module(frames[:-1])[0][there], frames[1:][there]


@torch.no_grad()
def mean_nats(module: PianoRollNetwork, pieces: RollPieces) -> float:
    """Nats of a frame: summed over the keys, averaged over all frames but the first of each piece."""
    training, total, count = module.training, 0.0, 0
    for context, frames in _in_evaluation(module, pieces):
        found = module.output.nll(context, frames)
        total, count = total + float(found.double().sum()), count + len(found)
    module.train(training)
    return total / count


@torch.no_grad()
def figures(module: PianoRollNetwork, pieces: RollPieces) -> dict[str, float]:
    """``nll_per_frame``, and ``note_accuracy`` of the likeliest frame by the rule of the output's ``sample``."""
    counts = Counts()
    for context, frames in _in_evaluation(module, pieces):
        counts.add(module.output.sample(context, temperature=0.0).frames, frames > 0)
    return {"nll_per_frame": mean_nats(module, pieces), "note_accuracy": counts.accuracy}
