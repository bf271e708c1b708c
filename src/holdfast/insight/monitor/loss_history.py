"""How the loss and the gradient's norm go along the steps of a training run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf, isfinite
from statistics import median

import torch
from torch import Tensor

from holdfast.insight.monitor.rules import EXPLODED, RECENT, RISEN, Finding, jumped, not_finite, risen

WINDOW = 100
"""Steps over which a norm of the gradient is usual."""


class LossHistory:
    """Keeps the last losses and norms. They are read some steps at a time, since a GPU is waited for."""

    def __init__(self) -> None:
        self.pending: list[Tensor] = []
        self.first_loss: float | None = None
        self.first_norms: list[float] = []
        self.losses, self.norms = deque[float](maxlen=RECENT), deque[float](maxlen=WINDOW)

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """The loss of a step and the norm of its gradient."""
        one = loss.detach().float().reshape(())
        self.pending.append(torch.stack([one, norm.to(one)]))

    def read(self, number: int) -> list[Finding]:
        """What is wrong with those that came since the last reading; ``number`` is the last one's step."""
        if not self.pending:
            return []
        values: list[list[float]] = torch.stack(self.pending).tolist()
        self.pending.clear()
        found: dict[str, Finding] = {}
        for step, (loss, norm) in enumerate(values, number + 1 - len(values)):
            found = {finding.kind: finding for finding in self._next(step, loss, norm)} | found
        return [*found.values()]

    def _next(self, step: int, loss: float, norm: float) -> Iterator[Finding]:
        if not isfinite(loss):
            yield not_finite(step, loss)
            return
        usual = max(median(self.norms), median(self.first_norms)) if len(self.norms) >= RECENT else inf
        if not norm <= EXPLODED * usual or not isfinite(norm):
            yield jumped(step, norm, usual)
        if isfinite(norm):
            self.norms.append(norm)
        if len(self.first_norms) < RECENT:
            self.first_norms.append(norm)
        self.losses.append(loss)
        self.first_loss = loss if self.first_loss is None else self.first_loss
        lowest = min(self.losses)
        if len(self.losses) == RECENT and lowest > self.first_loss + (RISEN - 1) * abs(self.first_loss):
            yield risen(self.first_loss, lowest)


def total_norm(tensors: list[Tensor]) -> Tensor:
    """The 2-norm of all of them together; those of sparse gradients are those of their values."""
    dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    return torch.nn.utils.get_total_norm(dense)
