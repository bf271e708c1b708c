"""A recurrent network that classifies sequences of tokens or of numbers.

Letters: T time steps, B sequences, V tokens, C channels, E input size of a step, H hidden size,
D directions, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from holdfast.models.options import ClassifierOptions
from holdfast.models.pooling import POOLINGS
from holdfast.nn.layers import LAYERS


class TokenEmbedding(nn.Module):
    """Embed tokens by a table [V, E]; token dropout replaces some by the unknown token or zeros.

    Args:
        vocab_size: V.
        size: E.
        unknown: the unknown token; None drops to zeros.
        dropout: probability of replacing a token in training.
    """

    def __init__(self, vocab_size: int, size: int, unknown: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.size, self.unknown, self.dropout = size, unknown, dropout

    def forward(self, tokens: Tensor) -> Tensor:
        """Map [T, B] to [T, B, E]."""
        if not self.training or not self.dropout:
            return self.embedding(tokens)  # type: ignore[no-any-return]
        dropped = torch.rand(tokens.shape, device=tokens.device) < self.dropout
        if self.unknown is not None:
            return self.embedding(tokens.masked_fill(dropped, self.unknown))  # type: ignore[no-any-return]
        return self.embedding(tokens).masked_fill(dropped.unsqueeze(-1), 0.0)  # type: ignore[no-any-return]


class ChannelProjection(nn.Module):
    """Standardize and project channels: ``W (x - mean) / std + b``; mean and std [C] are buffers.

    Args:
        channels: C.
        size: E.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.linear = nn.Linear(channels, size)
        self.size = size

    def forward(self, values: Tensor) -> Tensor:
        """Map [T, B, C] to [T, B, E]."""
        return self.linear((values - self.mean) / self.std)  # type: ignore[no-any-return]


class ClassifierOutput(NamedTuple):
    """Logits [B, K], and with attention pooling the weight of each step [T, B]."""

    logits: Tensor
    weights: Tensor | None


class ClassifierNetwork(nn.Module):
    """Input embedding, recurrent layers, pooling over the time steps, and a linear layer.

    ``temperature`` divides the logits to calibrate probabilities (Guo et al. 2017); it is fitted
    after training.

    Args:
        inputs: the embedding of a time step.
        classes: K.
        options: the architecture.

    Example:
        >>> import torch
        >>> network = ClassifierNetwork(ChannelProjection(3, 8), 2, ClassifierOptions()).eval()
        >>> network(torch.zeros(7, 4, 3), torch.tensor([7, 1, 3, 7])).logits.shape
        torch.Size([4, 2])
    """

    temperature: Tensor

    def __init__(
        self, inputs: TokenEmbedding | ChannelProjection, classes: int, options: ClassifierOptions
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = LAYERS[options.cell](
            inputs.size,
            options.hidden_size,
            options.num_layers,
            dropout=options.hidden_dropout if options.num_layers > 1 else 0.0,
            bidirectional=options.bidirectional,
        )
        self.pooling = POOLINGS[options.pooling](options.hidden_size, 1 + options.bidirectional)
        self.output = nn.Linear(int(self.pooling.size), classes)  # type: ignore[arg-type]
        self.input_dropout = nn.Dropout(options.input_dropout)
        self.output_dropout = nn.Dropout(options.output_dropout)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor, lengths: Tensor) -> ClassifierOutput:
        """Classify tokens [T, B] or values [T, B, C]; ``lengths`` [B] excludes the padding."""
        return self.read(self.inputs(x), lengths)

    def read(self, embedded: Tensor, lengths: Tensor) -> ClassifierOutput:
        """Classify embedded inputs [T, B, E]."""
        outputs, _ = self.layers(self.input_dropout(embedded), lengths=lengths)
        pooled = self.pooling(outputs, lengths)
        return ClassifierOutput(self.output(self.output_dropout(pooled.vector)), pooled.weights)
