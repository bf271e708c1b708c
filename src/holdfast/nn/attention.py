"""Attention: which parts of a memory a query reads.

Letters: T steps of the query, S places of the memory, B sentences, H query size, M memory size, A
    inner size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def attend(scores: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """``a = softmax(scores)`` over the places within each sentence; ``c = sum_s a_s m_s``.

    Args:
        scores: [B, T, S].
        memory: [B, S, M].
        mask: [B, S], true within the sentence.

    Returns:
        contexts [B, T, M] and weights [B, T, S].

    Example:
        >>> memory = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> context, weights = attend(torch.zeros(1, 1, 3), memory, within([2], 3))
        >>> context.item(), weights.tolist()
        (2.0, [[[0.5, 0.5, 0.0]]])
    """
    weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    return weights @ memory, weights


def within(lengths: Tensor | list[int], size: int) -> Tensor:
    """Lengths [B] -> [B, S], true at the places before each sentence's end."""
    ends = torch.as_tensor(lengths)
    return torch.arange(size, device=ends.device) < ends[:, None]


class Multiplicative(nn.Module):
    """``score(h, m) = h . W m`` (Luong et al. 2015, "general")."""

    def __init__(self, query: int, memory: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory, query, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What is computed once for a memory: [B, S, M] -> [B, S, A]."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries [B, T, H] and keys [B, S, A] -> scores [B, T, S]."""
        return queries @ keys.transpose(1, 2)


class Additive(nn.Module):
    """``score(h, m) = v . tanh(U h + W m)`` (Bahdanau et al. 2015)."""

    def __init__(self, query: int, memory: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, query)
        self.key = nn.Linear(memory, query, bias=False)
        self.value = nn.Linear(query, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What is computed once for a memory: [B, S, M] -> [B, S, A]."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries [B, T, H] and keys [B, S, A] -> scores [B, T, S]."""
        inner = torch.tanh(self.query(queries)[:, :, None] + keys[:, None])
        scores: Tensor = self.value(inner).squeeze(-1)
        return scores


ATTENTIONS: dict[str, type[Multiplicative | Additive]] = {
    "multiplicative": Multiplicative,
    "additive": Additive,
}
"""Name -> class."""
