"""Training and evaluation: piano rolls in batches of segments, events in streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from holdfast._typing import Array
from holdfast.data.batching import TokenBatches
from holdfast.data.music.piano_roll import Roll
from holdfast.data.music.pieces import transposed, transposition_range
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.music import Context, PianoRollNetwork
from holdfast.models.truncated_bptt import StreamTraining, texts_nll
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.metrics import RollPredictions
from holdfast.tasks.music.preprocessing import (
    EventDataset,
    EventSplit,
    Ids,
    RollDataset,
    RollSplit,
)

Batch = tuple[Tensor, Tensor]
"""Frames [T + 1, B, K], the first T read and the last T scored, and how many count [B]."""
_EVALUATED_AT_ONCE = 8000
"""Frames of a batch in evaluation."""


class RollTraining:
    """Trainable of piano rolls: batches of segments of similar lengths, each transposed at random.

    The batches and transpositions of an epoch depend on the seed and the epoch only.
    """

    monitor = "valid_loss"

    def __init__(self, module: PianoRollNetwork, config: MusicConfig, dataset: RollDataset) -> None:
        self.module, self.valid = module, dataset.valid
        self.seed, self.most = config.training.seed, config.data.transpose
        self.segments = [
            segment
            for piece in dataset.train.pieces
            for segment in segments(piece.roll, config.training.steps)
        ]
        lengths = [len(segment) - 1 for segment in self.segments]
        size = config.training.batch_size
        self.buckets = TokenBatches(lengths, max(lengths) * size, size, self.seed)
        self.steps_per_epoch = len(self.buckets)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every segment once."""
        random = np.random.default_rng((self.seed, epoch, 1))
        for chosen in self.buckets.of(epoch):
            yield batch([randomly_transposed(self.segments[i], self.most, random) for i in chosen.tolist()])

    def loss(self, batch: Batch) -> Tensor:
        """Return nats per frame."""
        return frame_nats(self.module, batch).mean()

    def validate(self) -> dict[str, float]:
        """Return nats per frame of the validation split."""
        return {self.monitor: mean_nats(self.module, self.valid)}


def segments(roll: Roll, steps: int) -> list[Roll]:
    """Cut a roll into similar segments of at most ``steps`` scored frames and the one before.

    Example:
        >>> [len(segment) for segment in segments(np.zeros((12, 88), bool), 5)]
        [5, 4, 5]
    """
    count = -(-(len(roll) - 1) // steps)
    borders = np.linspace(0, len(roll) - 1, count + 1).round().astype(int)
    return [roll[a : b + 1] for a, b in pairwise(borders)]


def randomly_transposed(roll: Roll, most: int, random: np.random.Generator) -> Roll:
    """Transpose a roll by up to ``most`` semitones, within the keyboard."""
    low, high = transposition_range(roll, most)
    return transposed(roll, int(random.integers(low, high + 1)))


def batch(rolls: list[Roll]) -> Batch:
    """Join rolls to a batch; shorter ones are padded with silence, which is not scored."""
    frames = pad_sequence([torch.from_numpy(roll.astype(np.float32)) for roll in rolls])
    return frames, torch.tensor([len(roll) for roll in rolls]) - 1


def _scored(batch: Batch) -> Tensor:
    """Return whether each frame of a batch is scored [T, B]."""
    frames, lengths = batch
    return torch.arange(len(frames) - 1, device=frames.device)[:, None] < lengths


def frame_nats(module: PianoRollNetwork, batch: Batch) -> Tensor:
    """Return ``-log p`` of every scored frame of a batch [N]."""
    context, _ = module(batch[0][:-1])
    scored = _scored(batch)
    return module.output.nll(context[scored], batch[0][1:][scored])


def _in_evaluation(
    module: PianoRollNetwork, split: RollSplit
) -> Iterator[tuple[list[int], Tensor, Context, Tensor]]:
    """Yield the numbers of some pieces, and column, context and keys of each scored frame."""
    module.eval()
    device = next(module.parameters()).device
    buckets = TokenBatches([len(piece) - 1 for piece in split.pieces], _EVALUATED_AT_ONCE)
    for chosen in buckets.of(epoch=0):
        own = batch([split.pieces[i].roll for i in chosen.tolist()])
        frames, scored = own[0].to(device), _scored(own).to(device)
        yield chosen.tolist(), scored.nonzero()[:, 1], module(frames[:-1])[0][scored], frames[1:][scored]


@torch.no_grad()
def mean_nats(module: PianoRollNetwork, split: RollSplit) -> float:
    """Return nats per frame: a sum over keys, the mean of all frames but the first of a piece."""
    training, total, count = module.training, 0.0, 0
    for _, _, context, frames in _in_evaluation(module, split):
        found = module.output.nll(context, frames)
        total, count = total + float(found.double().sum()), count + len(found)
    module.train(training)
    return total / count


@torch.no_grad()
def predict_rolls(module: PianoRollNetwork, split: RollSplit) -> RollPredictions:
    """Return the nats and the likeliest keys of every frame but the first of each piece."""
    nats, keys = ([np.zeros(0)] * len(split) for _ in range(2))
    for chosen, columns, context, frames in _in_evaluation(module, split):
        surprise = module.output.nll(context, frames).cpu().numpy()
        likeliest = module.output.sample(context, temperature=0.0).frames.cpu().numpy()
        for column, place in enumerate(chosen):
            own = (columns == column).cpu().numpy()
            nats[place], keys[place] = surprise[own], likeliest[own]
    return RollPredictions(np.concatenate(nats), np.concatenate(keys))


# -- events ----------------------------------------------------------------------------------------


class EventTraining(StreamTraining):
    """Trainable of events: streams along the pieces, shuffled and transposed in each epoch."""

    def __init__(
        self,
        module: RecurrentLanguageModel,
        config: MusicConfig,
        dataset: EventDataset,
    ) -> None:
        self.dataset, self.most = dataset, config.data.transpose
        train, valid = dataset.train, dataset.valid
        super().__init__(module, config.training, train.joined(), valid.joined(), train.end)

    def text(self, epoch: int) -> Ids:
        """Return the events of an epoch, one piece after the other."""
        train, preprocessing = self.dataset.train, self.dataset.preprocessing
        random = np.random.default_rng((self.settings.seed, epoch, 1))
        pieces = [train.pieces[place] for place in random.permutation(len(train))]
        room = [preprocessing.vocabulary.room(piece.ids, self.most) for piece in pieces]
        by = [int(random.integers(low, high + 1)) for low, high in room]
        return preprocessing.transposed(replace(train, pieces=tuple(pieces)), by).joined()

    def validate(self) -> dict[str, float]:
        """Return nats per token of the validation split, each piece read from its beginning."""
        nats = event_nats(self.module, self.dataset.valid)
        return {self.monitor: float(nats.mean(dtype=np.float64))}


def event_nats(module: RecurrentLanguageModel, split: EventSplit) -> Array:
    """Return ``-log p`` of every event and end [n], each piece read from its beginning."""
    return np.concatenate(texts_nll(module, [piece.ids for piece in split.pieces], split.end))
