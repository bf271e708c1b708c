"""A recurrent language model, regularized as AWD-LSTM (Merity et al. 2018, arXiv 1708.02182).

Letters: T steps, B streams, E embedding size, H hidden size, V tokens of the vocabulary, N = T * B.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.models.options import LanguageOptions
from holdfast.nn.cells import State
from holdfast.nn.dropout import LockedDropout
from holdfast.nn.layers import LAYERS


class _Softmax(nn.Module):
    """``p = softmax(W h + b)``, W [V, E]."""

    def __init__(self, hidden: int, vocab_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, vocab_size)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return ``-log p`` [N] in nats of the targets [N], from hidden [N, E]."""
        return F.cross_entropy(self.linear(hidden), targets, reduction="none")

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Map [N, E] to ``log p`` [N, V]."""
        return F.log_softmax(self.linear(hidden), -1)


class _SampledSoftmax(_Softmax):
    """A softmax that estimates its normalizer ``sum_j exp(l_j)`` from a sample in training.

    Half of the sample are always the most frequent tokens, which have the smallest ids. The others
    are sampled from the rest, each with probability q, and count ``exp(l_j) / q`` (importance
    sampling: Jean et al. 2015, arXiv 1412.2007), so that the estimate is unbiased.
    """

    def __init__(self, hidden: int, vocab_size: int, sampled: int) -> None:
        super().__init__(hidden, vocab_size)
        self.frequent = min(sampled // 2, vocab_size)
        self.sampled = min(sampled - self.frequent, vocab_size - self.frequent)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """As :class:`_Softmax`, estimated in training."""
        if not self.training:
            return super().nll(hidden, targets)
        weight, bias = self.linear.weight, self.linear.bias
        rest = weight.size(0) - self.frequent
        sampled = torch.randperm(rest, device=weight.device)[: self.sampled] + self.frequent
        tokens = torch.cat([torch.arange(self.frequent, device=weight.device), sampled])
        counted = F.linear(hidden, weight[tokens], bias[tokens])
        counted[:, self.frequent :] += log(max(rest, 1) / max(self.sampled, 1))
        counted = counted.masked_fill(tokens == targets[:, None], -torch.inf)  # the target counts once
        own = (hidden * weight[targets]).sum(-1) + bias[targets]
        nll: Tensor = torch.logaddexp(own, counted.logsumexp(-1)) - own
        return nll


class _AdaptiveSoftmax(nn.Module):
    """Rare tokens in clusters of smaller projections (Grave et al. 2017, arXiv 1609.04309)."""

    def __init__(self, hidden: int, vocab_size: int, cuts: Iterable[int]) -> None:
        super().__init__()
        cuts = list(cuts)
        narrower = min(4.0, 0.999 * hidden ** (1 / len(cuts)))  # keeps one dimension in the rarest cluster
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(hidden, vocab_size, cuts, div_value=narrower)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return ``-log p`` [N] in nats of the targets [N], from hidden [N, E]."""
        nll: Tensor = -self.softmax(hidden, targets).output
        return nll

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Map [N, E] to ``log p`` [N, V]."""
        log_p: Tensor = self.softmax.log_prob(hidden)
        return log_p


def _output(hidden: int, vocab_size: int, options: LanguageOptions) -> _Softmax | _AdaptiveSoftmax:
    if options.adaptive:
        return _AdaptiveSoftmax(hidden, vocab_size, options.adaptive)
    if options.sampled:
        return _SampledSoftmax(hidden, vocab_size, options.sampled)
    return _Softmax(hidden, vocab_size)


@dataclass(frozen=True)
class _Hidden:
    """The last layer's outputs [T, B, E], before and after output dropout."""

    raw: Tensor
    dropped: Tensor


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, and a softmax over the next token.

    Example:
        >>> import torch
        >>> model = RecurrentLanguageModel(65, LanguageOptions(hidden_size=32, embedding_size=16)).eval()
        >>> hidden, state = model(torch.zeros(7, 2, dtype=torch.long))
        >>> hidden.raw.shape, model.output.log_probabilities(hidden.raw).shape
        (torch.Size([7, 2, 16]), torch.Size([7, 2, 65]))
    """

    def __init__(self, vocab_size: int, options: LanguageOptions) -> None:
        super().__init__()
        self.options = options
        embedded, hidden, count = options.embedded, options.hidden_size, options.num_layers
        last = embedded if options.tied else hidden
        sizes = [embedded, *[hidden] * (count - 1), last]
        make = LAYERS[options.cell]
        self.embedding = nn.Embedding(vocab_size, embedded)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.layers = nn.ModuleList(
            make(before, after, weight_drop=options.weight_drop) for before, after in pairwise(sizes)
        )
        self.output = _output(last, vocab_size, options)
        if options.tied:
            assert isinstance(self.output, _Softmax)
            self.output.linear.weight = self.embedding.weight
        self.input_dropout = LockedDropout(options.input_dropout)
        self.hidden_dropout = LockedDropout(options.hidden_dropout)
        self.output_dropout = LockedDropout(options.output_dropout)

    def forward(self, tokens: Tensor, state: list[State] | None = None) -> tuple[_Hidden, list[State]]:
        """Read tokens [T, B] from a state (None: zeros); return outputs and each layer's state."""
        x = self.input_dropout(self._embed(tokens))
        states: list[State] = []
        for index, layer in enumerate(self.layers):
            x, after = layer(x, None if state is None else state[index])
            states.append(after)
            raw = x
            x = (self.output_dropout if index + 1 == len(self.layers) else self.hidden_dropout)(x)
        return _Hidden(raw, x), states

    def _embed(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.embedding(tokens)
        if not self.training or not self.options.embedding_dropout:
            return embedded
        keep = 1 - self.options.embedding_dropout
        kept = embedded.new_empty(self.embedding.weight.size(0)).bernoulli_(keep).div_(keep)
        return embedded * kept[tokens].unsqueeze(-1)
