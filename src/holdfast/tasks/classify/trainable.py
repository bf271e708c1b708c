"""The network of a classifier and its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.data.batching import TokenBatches
from holdfast.models.classify import ChannelProjection, ClassifierNetwork, TokenEmbedding
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.config import ClassifyConfig
from holdfast.tasks.classify.preprocessing import (
    ClassifyDataset,
    ClassifyPreprocessing,
    ExampleSplit,
    TextEncoder,
    scale_of,
)

Batch = tuple[Tensor, Tensor, Tensor]
"""Tokens [T, B] or values [T, B, C], lengths [B], targets [B, K]."""

_SIZE = 100
"""E where neither the settings nor word vectors define it."""


def build(config: ClassifyConfig, preprocessing: ClassifyPreprocessing) -> ClassifierNetwork:
    """Build the untrained network."""
    net = config.network
    size = net.embedding_size or preprocessing.vector_size or _SIZE
    inputs: TokenEmbedding | ChannelProjection
    if isinstance(preprocessing.encoder, TextEncoder):
        tokens = preprocessing.encoder.tokens
        inputs = TokenEmbedding(tokens.size, size, tokens.unknown, net.word_dropout)
    else:
        inputs = ChannelProjection(len(preprocessing.encoder.channels), size)
    return ClassifierNetwork(inputs, len(preprocessing.classes), net)


def initialize(network: ClassifierNetwork, dataset: ClassifyDataset) -> None:
    """Give a network what the training split defines: word vectors, or a scale of channels."""
    if dataset.preprocessing.vectors is not None:
        vectors, known = map(torch.from_numpy, dataset.preprocessing.vectors)
        with torch.no_grad():
            network.inputs.embedding.weight[known] = vectors[known]  # type: ignore[union-attr, operator]
    if isinstance(network.inputs, ChannelProjection):
        scale = torch.from_numpy(scale_of(np.concatenate(dataset.train.inputs).astype(np.float64)))
        network.inputs.mean.copy_(scale[0])
        network.inputs.std.copy_(scale[1])


def padded(split: ExampleSplit, numbers: Array) -> Batch:
    """Return some examples as a batch, padded with zeros."""
    own = [torch.from_numpy(split.inputs[i]) for i in numbers]
    lengths = torch.tensor([len(x) for x in own])
    return torch.nn.utils.rnn.pad_sequence(own), lengths, torch.from_numpy(split.targets[numbers])


class Likelihood:
    """The loss: ``-log softmax(z)[k]`` of the one class, or the mean binary loss over the classes.

    Args:
        multiple: an example may have several classes.
        weights: class weights [K].
    """

    def __init__(self, multiple: bool, weights: Tensor) -> None:
        self.multiple, self.weights = multiple, weights

    @classmethod
    def of(cls, config: ClassifyConfig, dataset: ClassifyDataset) -> Self:
        """Return the loss that the settings choose."""
        targets, multiple = dataset.train.targets, dataset.preprocessing.multiple
        balanced = config.training.class_weights == "balanced"
        return cls(multiple, class_weights(targets, multiple) if balanced else torch.ones(targets.shape[1]))

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar loss of logits and targets [B, K]."""
        weights = self.weights.to(logits.device)
        if self.multiple:
            return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)
        return F.cross_entropy(logits, targets.argmax(1), weight=weights)


def class_weights(targets: Array, multiple: bool) -> Tensor:
    """Return balancing weights [K]: ``N / (K n_k)``, or ``(N - n_k) / n_k`` for several labels."""
    counts = np.maximum(targets.sum(0, dtype=np.float64), 1.0)
    weights = (
        np.maximum(len(targets) - counts, 1.0) / counts if multiple else len(targets) / (len(counts) * counts)
    )
    return torch.from_numpy(weights.astype(np.float32))


class BatchTraining:
    """Batches of examples of similar length, their loss, and the validation."""

    def __init__(self, module: ClassifierNetwork, config: ClassifyConfig, dataset: ClassifyDataset) -> None:
        settings = config.training
        self.module, self.config, self.train, self.valid = module, config, dataset.train, dataset.valid
        self.likelihood = Likelihood.of(config, dataset)
        self.monitor = f"valid_{settings.select_by}"
        self.order = TokenBatches(self.train.lengths, settings.tokens, settings.batch_size, settings.seed)
        self.steps_per_epoch = len(self.order)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield batches in another order and mixture each epoch."""
        for numbers in self.order.of(epoch):
            yield padded(self.train, numbers)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss."""
        x, lengths, targets = batch
        return self.likelihood(self.module(x, lengths).logits, targets)

    def validate(self) -> dict[str, float]:
        """Return the loss and the share of errors on the validation split."""
        found = logits(self.module, self.valid, self.config)
        multiple = self.likelihood.multiple
        chosen = metrics.decisions(metrics.probabilities(found, 1.0, multiple), multiple)
        right = chosen == (self.valid.targets > 0.5)
        loss = self.likelihood(torch.from_numpy(found), torch.from_numpy(self.valid.targets))
        return {"valid_loss": float(loss), "valid_error": float(1 - right.all(1).mean())}


@torch.no_grad()
def logits(module: ClassifierNetwork, split: ExampleSplit, config: ClassifyConfig) -> Array:
    """Return the logits [N, K] of every example, in evaluation mode, without the temperature."""
    found = np.zeros((len(split), module.output.out_features), np.float32)
    for numbers, x, lengths in _in_evaluation(module, split, config):
        found[numbers] = module(x, lengths).logits.float().cpu().numpy()
    return found


def weights_of_steps(module: ClassifierNetwork, split: ExampleSplit, config: ClassifyConfig) -> list[Array]:
    """Return the weight of each time step for the likeliest class of each example [n].

    The attention weights where the network pools by attention; else ``x . dz/dx`` with x the
    embedded input and z that class's logit (Denil et al. 2014). A negative weight is evidence
    against the class.
    """
    found: dict[int, Array] = {}
    for numbers, x, lengths in _in_evaluation(module, split, config):
        weights = _weights(module, x, lengths).cpu().numpy()
        found |= {int(i): weights[: len(split.inputs[i]), b] for b, i in enumerate(numbers)}
    return [found[i] for i in range(len(split))]


def _weights(module: ClassifierNetwork, x: Tensor, lengths: Tensor) -> Tensor:
    with torch.no_grad():
        embedded = module.inputs(x)
    embedded.requires_grad_()
    with torch.enable_grad():
        reading = module.read(embedded, lengths)
        if reading.weights is not None:
            return reading.weights.detach()
        slopes: Tensor = torch.autograd.grad(reading.logits.amax(1).sum(), embedded)[0]
    weights: Tensor = (slopes * embedded).sum(-1).detach()
    return weights


def _in_evaluation(
    module: ClassifierNetwork, split: ExampleSplit, config: ClassifyConfig
) -> Iterator[tuple[Array, Tensor, Tensor]]:
    """Set evaluation mode, and yield the numbers, inputs and lengths of some examples at a time."""
    module.eval()
    device, size = module.output.weight.device, 4 * config.training.batch_size
    for numbers in TokenBatches(split.lengths, config.training.tokens, size).of(0) if len(split) else ():
        x, lengths, _ = padded(split, numbers)
        yield numbers, x.to(device), lengths.to(device)
