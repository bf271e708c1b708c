"""A recurrent language model with the regularisation of AWD-LSTM (Merity et al. 2018, arXiv 1708.02182).

Letters: T steps, B streams, E embedding size, H hidden size, V units of the vocabulary, N = T * B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.nn.cells import State
from holdfast.nn.dropout import LockedDropout
from holdfast.nn.layers import LAYERS


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """What a language model is made of.

    Attributes:
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        embedding_size: E.
        hidden_size: H of every layer, but E of the last one where the embedding is tied to the output.
        num_layers: recurrent layers.
        tied: the output layer's weights are the embedding's (Inan et al. 2017; Press & Wolf 2017).
        sampled: units of the softmax that are computed in training; 0 for all.
        adaptive: sizes at which the vocabulary is cut for an adaptive softmax (Grave et al. 2017); none for a full one.
        input_dropout, hidden_dropout, output_dropout: probability of dropping a unit of the embedding, between layers
            and before the output; the same units at every step (Gal & Ghahramani 2016).
        embedding_dropout: probability of dropping a word of the vocabulary wherever it stands in the batch.
        weight_drop: probability of dropping an element of the recurrent weights.
    """

    cell: str = "lstm"
    embedding_size: int = 256
    hidden_size: int = 256
    num_layers: int = 2
    tied: bool = True
    sampled: int = 0
    adaptive: tuple[int, ...] = ()
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    output_dropout: float = 0.0
    embedding_dropout: float = 0.0
    weight_drop: float = 0.0


class _Softmax(nn.Module):
    """``p = softmax(W h + b)``, W [V, E]."""

    def __init__(self, hidden: int, units: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, units)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """``-log p`` of the targets [N] after hidden [N, E]: [N]."""
        return F.cross_entropy(self.linear(hidden), targets, reduction="none")

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """[N, E] -> [N, V]."""
        return F.log_softmax(self.linear(hidden), -1)


class _SampledSoftmax(_Softmax):
    """In training, the normaliser ``sum_j exp(l_j)`` is estimated from some units; in evaluation it is whole.

    The more frequent half of those units (which have the smaller numbers) is always taken; the others are drawn from
    the rest, each with probability q, and count ``exp(l_j) / q`` (importance sampling: Jean et al. 2015, arXiv
    1412.2007), so that the estimate is right in the mean.
    """

    def __init__(self, hidden: int, units: int, sampled: int) -> None:
        super().__init__(hidden, units)
        self.frequent = min(sampled // 2, units)
        self.drawn = min(sampled - self.frequent, units - self.frequent)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """As of :class:`_Softmax`, estimated in training."""
        if not self.training:
            return super().nll(hidden, targets)
        weight, bias = self.linear.weight, self.linear.bias
        rest = len(weight) - self.frequent
        drawn = torch.randperm(rest, device=weight.device)[: self.drawn] + self.frequent
        units = torch.cat([torch.arange(self.frequent, device=weight.device), drawn])
        counted = F.linear(hidden, weight[units], bias[units])
        counted[:, self.frequent :] += log(max(rest, 1) / max(self.drawn, 1))
        counted = counted.masked_fill(
            units == targets[:, None], -torch.inf
        )  # the target counts once, as it is
        own = (hidden * weight[targets]).sum(-1) + bias[targets]
        nats: Tensor = torch.logaddexp(own, counted.logsumexp(-1)) - own
        return nats


class _AdaptiveSoftmax(nn.Module):
    """Frequent units first, rare ones in clusters of smaller projections (Grave et al. 2017, arXiv 1609.04309)."""

    def __init__(self, hidden: int, units: int, cuts: Iterable[int]) -> None:
        super().__init__()
        cuts = list(cuts)
        narrower = min(4.0, 0.999 * hidden ** (1 / len(cuts)))  # the rarest cluster still has one number
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(hidden, units, cuts, div_value=narrower)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """``-log p`` of the targets [N] after hidden [N, E]: [N]."""
        nats: Tensor = -self.softmax(hidden, targets).output
        return nats

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """[N, E] -> [N, V]."""
        found: Tensor = self.softmax.log_prob(hidden)
        return found


def _output(hidden: int, units: int, options: LanguageOptions) -> _Softmax | _AdaptiveSoftmax:
    if options.adaptive:
        return _AdaptiveSoftmax(hidden, units, options.adaptive)
    return _SampledSoftmax(hidden, units, options.sampled) if options.sampled else _Softmax(hidden, units)


@dataclass(frozen=True)
class _Hidden:
    """The last layer's outputs [T, B, E]: as they came, and after dropout, as the output layer reads them."""

    raw: Tensor
    dropped: Tensor


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, softmax over the next unit.

    Example:
        >>> import torch
        >>> model = RecurrentLanguageModel(65, LanguageOptions(hidden_size=32, embedding_size=16)).eval()
        >>> hidden, state = model(torch.zeros(7, 2, dtype=torch.long))
        >>> hidden.raw.shape, model.output.log_probabilities(hidden.raw).shape
        (torch.Size([7, 2, 16]), torch.Size([7, 2, 65]))
    """

    def __init__(self, units: int, options: LanguageOptions) -> None:
        super().__init__()
        self.options = options
        embedded, hidden, count = options.embedding_size, options.hidden_size, options.num_layers
        last = embedded if options.tied else hidden
        sizes = [embedded, *[hidden] * (count - 1), last]
        make = LAYERS[options.cell]
        self.embedding = nn.Embedding(units, embedded)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.layers = nn.ModuleList(
            make(before, after, weight_drop=options.weight_drop) for before, after in pairwise(sizes)
        )
        self.output = _output(last, units, options)
        if options.tied:
            assert isinstance(self.output, _Softmax)
            self.output.linear.weight = self.embedding.weight
        self.input_dropout = LockedDropout(options.input_dropout)
        self.hidden_dropout = LockedDropout(options.hidden_dropout)
        self.output_dropout = LockedDropout(options.output_dropout)

    def forward(self, units: Tensor, state: list[State] | None = None) -> tuple[_Hidden, list[State]]:
        """Read units [T, B] from a state (zeros when None): the outputs, and the state of each layer."""
        x = self.input_dropout(self._embed(units))
        states: list[State] = []
        for index, layer in enumerate(self.layers):
            x, after = layer(x, None if state is None else state[index])
            states.append(after)
            raw = x
            x = (self.output_dropout if index + 1 == len(self.layers) else self.hidden_dropout)(x)
        return _Hidden(raw, x), states

    def _embed(self, units: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(units)
        if not self.training or not self.options.embedding_dropout:
            return embedded
        keep = 1 - self.options.embedding_dropout
        kept = embedded.new_empty(len(self.embedding.weight)).bernoulli_(keep).div_(keep)
        return embedded * kept[units].unsqueeze(-1)
