"""The network of a recogniser: built from the configuration, trained by CTC on utterances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.audio.validation import min_ctc_frames
from holdfast.data.batching import TokenBatches
from holdfast.data.prefetch import prefetch
from holdfast.decoding.ctc import GreedyCTC, decode
from holdfast.models.speech import SpeechNetwork, SpeechOptions, ctc_nll, has_ctc_path
from holdfast.tasks.speech.config import SpeechConfig
from holdfast.tasks.speech.dataset import Prepared
from holdfast.tasks.speech.metrics import edits

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Frames [T, B, F], lengths [B], units [B, U], how many [B]."""

TIE = 0.01
"""Weight of the loss beside the errors: it decides between epochs with as many, such as the first ones."""
SCORED_AT_ONCE = 40_000
"""Frames of a batch where nothing is trained."""


def build(config: SpeechConfig, features: int, units: int) -> SpeechNetwork:
    """An untrained network."""
    net = config.network
    options = SpeechOptions(
        features=features,
        vocab_size=units,
        cell=net.cell,
        hidden_size=net.hidden_size,
        num_layers=net.num_layers,
        bidirectional=net.bidirectional,
        front=net.front,
        subsampling=net.subsampling,
        channels=net.channels,
        input_dropout=net.input_dropout,
        hidden_dropout=net.hidden_dropout,
        output_dropout=net.output_dropout,
    )
    return SpeechNetwork(options)


def padded(frames: Sequence[Array], units: Sequence[Sequence[int]]) -> Batch:
    """Utterances side by side, the shorter ones filled up with zeros."""
    own = [torch.from_numpy(np.ascontiguousarray(each)) for each in frames]
    targets = [torch.tensor(list(each), dtype=torch.long) for each in units]
    return (
        torch.nn.utils.rnn.pad_sequence(own),
        torch.tensor([len(each) for each in own]),
        torch.nn.utils.rnn.pad_sequence(targets, batch_first=True),
        torch.tensor([len(each) for each in targets]),
    )


class UtteranceTraining:
    """What the training loop asks for: batches of utterances of like length, changed anew in each epoch, and the loss.

    The batches of an epoch depend on the seed and the epoch alone.
    """

    def __init__(self, module: SpeechNetwork, config: SpeechConfig, prepared: Prepared) -> None:
        settings = config.training
        self.module, self.prepared, self.seed = module, prepared, settings.seed
        self.train, self.valid = prepared.train, prepared.valid
        self.monitor = f"valid_{settings.select_by}"
        lengths = [len(frames) for frames in self.train.frames]
        self.order = TokenBatches(lengths, settings.frames, settings.batch_size, settings.seed)
        self.steps_per_epoch = len(self.order)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Every training utterance once in an epoch, made ready by threads."""
        return prefetch(partial(self._batch, epoch), self.order.of(epoch))

    def _batch(self, epoch: int, chosen: Array) -> Batch:
        numbers = chosen.tolist()
        frames = [self.prepared.augmented(i, (self.seed, epoch, i)) for i in numbers]
        return padded(frames, [self.train.units[i] for i in numbers])

    def loss(self, batch: Batch) -> Tensor:
        """Nats of CTC, for each unit."""
        frames, lengths, units, sizes = batch
        scores, left = self.module(frames, lengths)
        there = has_ctc_path(left, units, sizes)  # a faster utterance may have become too short for its units
        nothing: Tensor = 0.0 * scores.sum()
        if not there.any():
            return nothing
        nats = ctc_nll(scores[:, there], left[there], units[there], sizes[there])
        mean: Tensor = nats.sum() / sizes[there].sum().clamp(min=1)
        return mean

    def validate(self) -> dict[str, float]:
        """Nats of each unit of the validation part, and the share of units that are wrong."""
        found = scores_of(self.module, self.valid.frames)
        errors = sum(edits(decode(GreedyCTC(), own), units) for own, units in zip(found, self.valid.units))
        count = max(1, sum(map(len, self.valid.units)))
        loss, error = mean_nats(found, self.valid.units), errors / count
        return {"valid_loss": loss, "valid_error": error, "valid_joint": error + TIE * loss}


def mean_nats(found: Sequence[Array], units: Sequence[Sequence[int]]) -> float:
    """Nats of CTC for each unit, of utterances whose units fit into their frames; none fits: not a number."""
    total, count = 0.0, 0
    for own, wanted in zip(found, units):
        if min_ctc_frames(wanted) > len(own):
            continue
        scores, targets = torch.from_numpy(own)[:, None], torch.tensor([list(wanted)], dtype=torch.long)
        total += float(ctc_nll(scores, torch.tensor([len(own)]), targets, torch.tensor([len(wanted)])))
        count += len(wanted)
    return total / count if count else float("nan")


@torch.no_grad()
def scores_of(module: SpeechNetwork, frames: Sequence[Array]) -> list[Array]:
    """``log p`` [S, V] of every utterance, in evaluation mode."""
    training = module.training
    module.eval()
    device = module.output.weight.device
    found: list[Array] = [np.zeros((0, module.options.vocab_size), np.float32)] * len(frames)
    there = [i for i, own in enumerate(frames) if len(own)]
    for chosen in TokenBatches([len(frames[i]) for i in there], SCORED_AT_ONCE).of(epoch=0):
        numbers = [there[k] for k in chosen.tolist()]
        x, lengths, _, _ = padded([frames[i] for i in numbers], [()] * len(numbers))
        scores, left = module(x.to(device), lengths.to(device))
        for row, i in enumerate(numbers):
            found[i] = scores[: int(left[row]), row].float().cpu().numpy()
    module.train(training)
    return found
