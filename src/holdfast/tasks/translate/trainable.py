"""The network of a translator and its training on sentence pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from holdfast.data.batching import TokenBatches
from holdfast.data.text.tokenizers import Ids
from holdfast.models.translate import TranslationNetwork
from holdfast.tasks.translate.config import TranslateConfig
from holdfast.tasks.translate.preprocessing import PairPreprocessing, PairSplit

_Ends = tuple[int, int]
"""The end tokens of source and target sentences."""

NONE = -100
"""Fills targets after the end of a sentence."""
_SCORED_AT_ONCE = 4000
"""Tokens of a batch that is only scored."""


def build(config: TranslateConfig, preprocessing: PairPreprocessing) -> TranslationNetwork:
    """Build the untrained network for both vocabularies."""
    sizes = preprocessing.source.size, preprocessing.target.size
    return TranslationNetwork(sizes, config.network, shared=config.data.shared)


@dataclass  # lightning moves no frozen one to a device
class Batch:
    """Source tokens [S, B], their lengths [B], and what the decoder reads and predicts [T, B].

    ``own`` is the share [] of read tokens that the network's own predictions replace.
    """

    source: Tensor
    lengths: Tensor
    inputs: Tensor
    targets: Tensor
    own: Tensor


def batch(split: PairSplit, chosen: Sequence[int], ends: _Ends, own: float = 0.0) -> Batch:
    """Return some pairs as tensors."""
    end = ends[1]
    inputs = [np.concatenate([[end], split.targets[i]]) for i in chosen]
    targets = [np.concatenate([split.targets[i], [end]]) for i in chosen]
    source, lengths = source_batch([split.sources[i] for i in chosen], ends[0])
    return Batch(source, lengths, padded(inputs, end), padded(targets, NONE), torch.tensor(own))


def source_batch(sources: Sequence[Ids], end: int) -> tuple[Tensor, Tensor]:
    """Return source tokens [S, B], each sentence with its end token, and lengths [B]."""
    ended = [np.append(ids, end) for ids in sources]
    return padded(ended, end), torch.tensor([len(ids) for ids in ended])


def padded(sequences: Sequence[Ids], fill: int) -> Tensor:
    """Return sequences as columns [T, B], the shorter ones padded."""
    return pad_sequence([torch.from_numpy(own.astype(np.int64)) for own in sequences], padding_value=fill)


class PairTraining:
    """Batches of sentences of similar length, their loss, and the loss of the validation split.

    The batches of an epoch depend on the seed and the epoch alone.
    """

    monitor = "valid_loss"

    def __init__(
        self,
        module: TranslationNetwork,
        config: TranslateConfig,
        parts: tuple[PairSplit, PairSplit],
        ends: _Ends,
    ) -> None:
        self.module, self.settings, self.ends = module, config.training, ends
        self.train, self.valid = parts
        self.buckets = TokenBatches(
            lengths(self.train), config.training.batch_size, seed=config.training.seed
        )
        self.steps_per_epoch = len(self.buckets)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every training pair once."""
        settings = self.settings
        own = settings.sampling * min(1.0, (epoch - 1) / max(1, settings.epochs - 1))
        for chosen in self.buckets.of(epoch):
            yield batch(self.train, chosen.tolist(), self.ends, own)

    def loss(self, batch: Batch) -> Tensor:
        """Return the cross entropy per target token, with smoothed labels (Szegedy et al. 2016)."""
        if self.settings.sampling:
            batch = self._sampled(batch)
        return nats(self.module, batch, self.settings.label_smoothing).mean()

    def _sampled(self, batch: Batch) -> Batch:
        """Replace some of the tokens read by the network's own predictions (Bengio et al. 2015).

        The predictions come from reading the right tokens, for all steps at once (Mihaylova &
        Martins 2019).
        """
        with torch.no_grad():
            memory, state = self.module.encode(batch.source, batch.lengths)
            readouts = self.module.decode(batch.inputs, memory, state).readouts
            guesses = self.module.scores(readouts[:-1]).argmax(-1)
        replaced = torch.rand(guesses.shape, device=guesses.device) < batch.own
        inputs = batch.inputs.clone()
        inputs[1:] = torch.where(replaced, guesses, batch.inputs[1:])
        return Batch(batch.source, batch.lengths, inputs, batch.targets, batch.own)

    def validate(self) -> dict[str, float]:
        """Return the nats per target token of the validation split."""
        return {self.monitor: mean_nats(self.module, self.valid, self.ends)}


def nats(module: TranslationNetwork, batch: Batch, smoothing: float = 0.0) -> Tensor:
    """Return the cross entropy of every target token of a batch: [N]."""
    memory, state = module.encode(batch.source, batch.lengths)
    readouts = module.decode(batch.inputs, memory, state).readouts
    there = batch.targets != NONE
    return module.nll(readouts[there], batch.targets[there], smoothing)


@torch.no_grad()
def mean_nats(module: TranslationNetwork, split: PairSplit, ends: _Ends) -> float:
    """Return the nats per target token of a split, end tokens included, in evaluation mode."""
    training = module.training
    module.eval()
    device = next(module.parameters()).device
    total, count = 0.0, 0
    for chosen in TokenBatches(lengths(split), _SCORED_AT_ONCE).of(epoch=0):
        own = on(device, batch(split, chosen.tolist(), ends))
        found = nats(module, own)
        total, count = total + float(found.sum()), count + len(found)
    module.train(training)
    return total / count


def on(device: torch.device, batch: Batch) -> Batch:
    """Return the batch on a device."""
    return Batch(*(getattr(batch, name).to(device) for name in Batch.__dataclass_fields__))


def lengths(split: PairSplit) -> Ids:
    """Return the tokens of the longer side of each pair, with its end token."""
    pairs = zip(split.sources, split.targets, strict=True)
    return np.array([max(len(source), len(target)) + 1 for source, target in pairs], np.int64)
