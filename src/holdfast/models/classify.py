"""A network that reads a sequence, of units of a text or of numbers, and says which classes it is of.

Letters: T steps, B sequences, V units, C channels, E numbers of a step's input, H hidden size, D directions, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from holdfast.models.pooling import POOLINGS
from holdfast.nn.layers import LAYERS


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """What a classifier is made of.

    Attributes:
        classes: K.
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        hidden_size: H.
        num_layers: recurrent layers.
        bidirectional: read in both directions.
        pooling: a name in :data:`holdfast.models.pooling.POOLINGS`.
        input_dropout, hidden_dropout, output_dropout: probability of dropping a number of a step's input, between
            layers, and before the output.
    """

    classes: int
    cell: str = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    pooling: str = "attention"
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    output_dropout: float = 0.0


class TokenEmbedding(nn.Module):
    """An embedding [V, E]; in training each word may be replaced by the unknown one, or by zeros without one.

    Args:
        units: V.
        size: E.
        unknown: the number of the unknown word.
        dropout: probability of replacing a word.
    """

    def __init__(self, units: int, size: int, unknown: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(units, size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.size, self.unknown, self.dropout = size, unknown, dropout

    def forward(self, units: Tensor) -> Tensor:
        """[T, B] -> [T, B, E]."""
        if not self.training or not self.dropout:
            return self.embedding(units)  # type: ignore[no-any-return]
        gone = torch.rand(units.shape, device=units.device) < self.dropout
        if self.unknown is not None:
            return self.embedding(units.masked_fill(gone, self.unknown))  # type: ignore[no-any-return]
        return self.embedding(units).masked_fill(gone.unsqueeze(-1), 0.0)  # type: ignore[no-any-return]


class ChannelProjection(nn.Module):
    """``W (x - mean) / std + b``: a linear map of standardised channels; mean and std [C] are kept with the weights.

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
        """[T, B, C] -> [T, B, E]."""
        return self.linear((values - self.mean) / self.std)  # type: ignore[no-any-return]


class ClassifierOutput(NamedTuple):
    """Logits [B, K], and the weight of each step [T, B] where the pooling has one."""

    logits: Tensor
    weights: Tensor | None


class ClassifierNetwork(nn.Module):
    """Inputs, recurrent layers, pooling over the steps, a linear layer.

    ``temperature`` divides the logits when probabilities are wanted (Guo et al. 2017); it is fitted after training.

    Example:
        >>> import torch
        >>> network = ClassifierNetwork(ChannelProjection(3, 8), ClassifierOptions(classes=2, hidden_size=5)).eval()
        >>> network(torch.zeros(7, 4, 3), torch.tensor([7, 1, 3, 7])).logits.shape
        torch.Size([4, 2])
    """

    temperature: Tensor

    def __init__(self, inputs: TokenEmbedding | ChannelProjection, options: ClassifierOptions) -> None:
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
        self.output = nn.Linear(int(self.pooling.size), options.classes)  # type: ignore[arg-type]
        self.input_dropout = nn.Dropout(options.input_dropout)
        self.output_dropout = nn.Dropout(options.output_dropout)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor, lengths: Tensor) -> ClassifierOutput:
        """Read units [T, B] or values [T, B, C]; what is behind a sequence's length has no influence."""
        return self.read(self.inputs(x), lengths)

    def read(self, embedded: Tensor, lengths: Tensor) -> ClassifierOutput:
        """The same from the inputs of each step [T, B, E]."""
        outputs, _ = self.layers(self.input_dropout(embedded), lengths=lengths)
        pooled = self.pooling(outputs, lengths)
        return ClassifierOutput(self.output(self.output_dropout(pooled.vector)), pooled.weights)
