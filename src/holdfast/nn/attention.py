"""Attention of queries over a memory, for example of a decoder over the encoded source sentence.

Letters: B batch, T queries, S positions of the memory; H query size, M memory size, A key size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def attend(scores: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Compute ``a = softmax(scores)`` over the unmasked positions, and ``c = sum_s a_s m_s``.

    Args:
        scores: [B, T, S].
        memory: [B, S, M].
        mask: [B, S], true for positions to attend to.

    Returns:
        The contexts [B, T, M] and the weights [B, T, S].

    Example:
        >>> memory = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> context, weights = attend(torch.zeros(1, 1, 3), memory, length_mask([2], 3))
        >>> context.item(), weights.tolist()
        (2.0, [[[0.5, 0.5, 0.0]]])
    """
    weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    return weights @ memory, weights


def length_mask(lengths: Tensor | list[int], size: int) -> Tensor:
    """Convert lengths [B] to a mask [B, S], true at the positions before each sequence's end."""
    ends = torch.as_tensor(lengths)
    return torch.arange(size, device=ends.device) < ends[:, None]


class Multiplicative(nn.Module):
    """Multiplicative attention: ``score(h, m) = h . W m`` (Luong et al. 2015, "general").

    Args:
        query: H, and A.
        memory: M.
    """

    def __init__(self, query: int, memory: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory, query, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Compute the keys once for each memory: [B, S, M] -> [B, S, A]."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Score queries [B, T, H] against keys [B, S, A]: [B, T, S]."""
        return queries @ keys.transpose(1, 2)


class Additive(nn.Module):
    """Additive attention: ``score(h, m) = v . tanh(U h + W m)`` (Bahdanau et al. 2015).

    Args:
        query: H, and A.
        memory: M.
    """

    def __init__(self, query: int, memory: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, query)
        self.key = nn.Linear(memory, query, bias=False)
        self.value = nn.Linear(query, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """Compute the keys once for each memory: [B, S, M] -> [B, S, A]."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Score queries [B, T, H] against keys [B, S, A]: [B, T, S]."""
        inner = torch.tanh(self.query(queries)[:, :, None] + keys[:, None])
        scores: Tensor = self.value(inner).squeeze(-1)
        return scores


ATTENTIONS: dict[str, type[Multiplicative | Additive]] = {
    "multiplicative": Multiplicative,
    "additive": Additive,
}
"""Name -> class of the attention."""
