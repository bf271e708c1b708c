"""The network of a classifier, built from the configuration, and its training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.data.batching import TokenBatches
from holdfast.models.classify import (
    ChannelProjection,
    ClassifierNetwork,
    ClassifierOptions,
    ClassifierOutput,
    TokenEmbedding,
)
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.config import ClassifyConfig
from holdfast.tasks.classify.dataset import Part, Prepared
from holdfast.tasks.classify.preprocessing import Schema, TextEncoder

Batch = tuple[Tensor, Tensor, Tensor]
"""Units [T, B] or values [T, B, C], lengths [B], targets [B, K]."""

_SIZE = 100
"""E where neither the settings nor word vectors say it."""


def build(config: ClassifyConfig, schema: Schema) -> ClassifierNetwork:
    """An untrained network."""
    net = config.network
    size = net.embedding_size or schema.vector_size or _SIZE
    options = ClassifierOptions(
        classes=len(schema.classes),
        cell=net.cell,
        hidden_size=net.hidden_size,
        num_layers=net.num_layers,
        bidirectional=net.bidirectional,
        pooling=net.pooling,
        input_dropout=net.input_dropout,
        hidden_dropout=net.hidden_dropout,
        output_dropout=net.output_dropout,
    )
    if isinstance(schema.encoder, TextEncoder):
        units = schema.encoder.units
        return ClassifierNetwork(TokenEmbedding(units.size, size, units.unknown, net.word_dropout), options)
    return ClassifierNetwork(ChannelProjection(len(schema.encoder.channels), size), options)


def begun(config: ClassifyConfig, prepared: Prepared) -> ClassifierNetwork:
    """An untrained network that has taken what the training part gives: word vectors, or the channels' scale."""
    network = build(config, prepared.schema)
    if prepared.vectors is not None:
        vectors, known = map(torch.from_numpy, prepared.vectors)
        with torch.no_grad():
            network.inputs.embedding.weight[known] = vectors[known]  # type: ignore[union-attr, operator]
    if isinstance(network.inputs, ChannelProjection):
        rows = np.concatenate(prepared.train.inputs).astype(np.float64)
        std = rows.std(0)
        network.inputs.mean.copy_(torch.from_numpy(rows.mean(0)))
        network.inputs.std.copy_(torch.from_numpy(np.where(std > 0, std, 1.0)))
    return network


def padded(part: Part, numbers: Array) -> Batch:
    """Some examples side by side, filled up with zeros."""
    own = [torch.from_numpy(part.inputs[i]) for i in numbers]
    lengths = torch.tensor([len(x) for x in own])
    return torch.nn.utils.rnn.pad_sequence(own), lengths, torch.from_numpy(part.targets[numbers])


class Likelihood:
    """The loss: ``-log softmax(z)[k]`` of the one class, or of several the mean of each class's binary one.

    Args:
        multiple: an example may have several classes.
        weights: of the classes [K].
    """

    def __init__(self, multiple: bool, weights: Tensor) -> None:
        self.multiple, self.weights = multiple, weights

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets [B, K] -> a scalar."""
        weights = self.weights.to(logits.device)
        if self.multiple:
            return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)
        return F.cross_entropy(logits, targets.argmax(1), weight=weights)


def class_weights(targets: Array, multiple: bool) -> Tensor:
    """Weights [K] by which classes count alike: ``N / (K n_k)``; of several ``(N - n_k) / n_k`` for the positives."""
    counts = np.maximum(targets.sum(0, dtype=np.float64), 1.0)
    weights = (
        np.maximum(len(targets) - counts, 1.0) / counts if multiple else len(targets) / (len(counts) * counts)
    )
    return torch.from_numpy(weights.astype(np.float32))


class BatchTraining:
    """What the training loop asks for: batches of examples of like length, and the loss and errors in validation."""

    def __init__(self, module: ClassifierNetwork, config: ClassifyConfig, prepared: Prepared) -> None:
        settings = config.training
        self.module, self.config, self.train, self.valid = module, config, prepared.train, prepared.valid
        multiple, classes = prepared.schema.multiple, len(prepared.schema.classes)
        balanced = settings.class_weights == "balanced"
        weights = class_weights(self.train.targets, multiple) if balanced else torch.ones(classes)
        self.likelihood = Likelihood(multiple, weights)
        self.monitor = f"valid_{settings.select_by}"
        self.order = TokenBatches(self.train.lengths, settings.tokens, settings.batch_size, settings.seed)
        self.steps_per_epoch = len(self.order)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Batches in another order and mixture each epoch."""
        for numbers in self.order.of(epoch):
            yield padded(self.train, numbers)

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss."""
        x, lengths, targets = batch
        return self.likelihood(self.module(x, lengths).logits, targets)

    def validate(self) -> dict[str, float]:
        """Loss and share of errors on the validation part."""
        found = logits(self.module, self.valid, self.config)
        multiple = self.likelihood.multiple
        chosen = metrics.decisions(metrics.probabilities(found, 1.0, multiple), multiple)
        right = chosen == (self.valid.targets > 0.5)
        loss = self.likelihood(torch.from_numpy(found), torch.from_numpy(self.valid.targets))
        return {"valid_loss": float(loss), "valid_error": float(1 - right.all(1).mean())}


def logits(module: ClassifierNetwork, part: Part, config: ClassifyConfig) -> Array:
    """Logits [N, K] of every example, in evaluation mode, without the temperature."""
    found = np.zeros((len(part), module.output.out_features), np.float32)
    for numbers, reading in read(module, part, config):
        found[numbers] = reading.logits.float().cpu().numpy()
    return found


@torch.no_grad()
def read(
    module: ClassifierNetwork, part: Part, config: ClassifyConfig
) -> Iterator[tuple[Array, ClassifierOutput]]:
    """Numbers of some examples and what the network makes of them, batch by batch, in evaluation mode."""
    module.eval()
    device = module.output.weight.device
    for numbers in _batches(part, config):
        x, lengths, _ = padded(part, numbers)
        yield numbers, module(x.to(device), lengths.to(device))


def weights_of_steps(module: ClassifierNetwork, part: Part, config: ClassifyConfig) -> list[Array]:
    """How much each step counts for the likeliest class of each example [n].

    Attention's weights where the network pools by it; else ``x . dz/dx`` with x the embedded input and z that
    class's logit (Denil et al. 2014), which may be negative: the step speaks against the class.
    """
    module.eval()
    device = module.output.weight.device
    found: dict[int, Array] = {}
    for numbers in _batches(part, config):
        x, lengths, _ = padded(part, numbers)
        weights = _weights(module, x.to(device), lengths.to(device)).cpu().numpy()
        found |= {int(i): weights[: len(part.inputs[i]), b] for b, i in enumerate(numbers)}
    return [found[i] for i in range(len(part))]


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


def _batches(part: Part, config: ClassifyConfig) -> list[Array]:
    size = 4 * config.training.batch_size
    return TokenBatches(part.lengths, config.training.tokens, size).of(0) if len(part) else []
