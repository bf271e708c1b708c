"""The weights after a run's best epochs, and their mean, often better than each (Junczys-Dowmunt et al. 2016)."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class Best:
    """The weights with the lowest values of the monitored metric, at most ``count`` of them, the lowest first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[tuple[float, Weights]] = []

    def offer(self, value: float, module: nn.Module) -> bool:
        """Keep a copy of the module's weights if they are among the best: are they the very best?"""
        place = bisect_right(self.values, value)
        if place < self.count:
            weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
            insort(self.kept, (value, weights), key=_value)
            del self.kept[self.count :]
        return place == 0

    @property
    def values(self) -> list[float]:
        """What the metric was, from the lowest on."""
        return [value for value, _ in self.kept]

    @property
    def weights(self) -> Weights:
        """The very best; nothing where none was offered."""
        return self.kept[0][1] if self.kept else {}

    def mean(self) -> Weights:
        """The mean of all that are kept; of what is no real number (counts), the best's."""
        every = [weights for _, weights in self.kept]
        return {
            name: torch.stack([one[name] for one in every]).mean(0) if best.is_floating_point() else best
            for name, best in self.weights.items()
        }

    def state(self) -> Weights:
        """All weights, by place and name."""
        return {f"{place}.{name}": t for place, (_, kept) in enumerate(self.kept) for name, t in kept.items()}

    def restore(self, values: Sequence[float], state: Mapping[str, Tensor]) -> None:
        """Go on with these."""
        kept: list[Weights] = [{} for _ in values]
        for name, tensor in state.items():
            place, _, of_module = name.partition(".")
            kept[int(place)][of_module] = tensor
        self.kept = [*zip(values, kept, strict=True)]


def _value(kept: tuple[float, Weights]) -> float:
    return kept[0]
