"""The weights after a run's best epochs, and their mean, often better than each (Junczys-Dowmunt et al. 2016)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class Best:
    """The weights with the lowest values of the monitored metric, at most ``count`` of them, the lowest first.

    They are kept on the CPU, where those of a resumed run lie too.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[tuple[float, int, Weights]] = []

    def offer(self, value: float, epoch: int, module: nn.Module) -> bool:
        """Keep a copy of the module's weights if they are among the best: are they the very best?

        Of an epoch that is validated more than once, because a budget ended within it, the best stay.
        """
        place = bisect_right(self.values, value)
        earlier = [k for k, (_, of, _) in enumerate(self.kept) if of == epoch]
        if place >= self.count or any(k < place for k in earlier):
            return False
        for k in earlier:
            del self.kept[k]
        weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}
        self.kept.insert(place, (value, epoch, weights))
        del self.kept[self.count :]
        return place == 0

    @property
    def values(self) -> list[float]:
        """What the metric was, from the lowest on."""
        return [value for value, _, _ in self.kept]

    @property
    def weights(self) -> Weights:
        """The very best; nothing where none was offered."""
        return self.kept[0][2] if self.kept else {}

    def mean(self) -> Weights:
        """The mean of all that are kept; of what is no real number (counts), the best's."""
        every = [weights for *_, weights in self.kept]
        return {
            name: torch.stack([one[name] for one in every]).mean(0) if best.is_floating_point() else best
            for name, best in self.weights.items()
        }

    def state(self) -> Weights:
        """All weights, by place and name."""
        return {
            f"{place}.{name}": t for place, (*_, kept) in enumerate(self.kept) for name, t in kept.items()
        }

    @property
    def where(self) -> list[tuple[float, int]]:
        """What the metric was, and after which epoch."""
        return [(value, epoch) for value, epoch, _ in self.kept]

    def restore(self, where: Sequence[tuple[float, int]], state: Mapping[str, Tensor]) -> None:
        """Go on with these."""
        kept: list[Weights] = [{} for _ in where]
        for name, tensor in state.items():
            place, _, of_module = name.partition(".")
            kept[int(place)][of_module] = tensor
        self.kept = [(value, epoch, weights) for (value, epoch), weights in zip(where, kept, strict=True)]
