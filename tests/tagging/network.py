"""The network of a tagger: embedding, a bidirectional layer, a linear output for each step."""

from __future__ import annotations

from torch import Tensor, nn

from holdfast.nn.layers import LAYERS


class TagNetwork(nn.Module):
    """Words [T, B] -> logits [T, B, K]."""

    def __init__(self, cell: str, words: int, tags: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words + 1, hidden)
        self.recurrent = LAYERS[cell](hidden, hidden, bidirectional=True)
        self.output = nn.Linear(2 * hidden, tags)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of every step."""
        outputs, _ = self.recurrent(self.embedding(words), lengths=lengths)
        return self.output(outputs)
