"""The weights after a run's best epochs, and their mean, often better than each (Junczys-Dowmunt et al. 2016)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class BestCheckpoints:
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


# -- the average along the run ----

WARM = 10
"""The average forgets faster in the first steps: its decay is at most (1 + n) / (WARM + n) after n of them."""


class WeightAverage:
    """An exponential average of a module's parameters: ``a <- decay * a + (1 - decay) * w`` after each step."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.parameters = dict(module.named_parameters())
        self.decay = decay
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights after so many steps."""
        decay = min(self.decay, (1 + steps) / (WARM + steps))
        torch._foreach_lerp_([*self.averages.values()], [*self.parameters.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module with its averages; afterwards with its own weights again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            own = parameter.clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(own)

    def state(self) -> dict[str, Tensor]:
        """The averages, by the parameters' names."""
        return self.averages

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on with these averages."""
        for name, average in self.averages.items():
            average.copy_(state[name])


class _NoAverage:
    """The weights as they are."""

    def update(self, steps: int) -> None:
        """Nothing."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module as it is."""
        yield

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing."""


def weight_average(module: nn.Module, decay: float) -> WeightAverage | _NoAverage:
    """The average of a module's weights with a decay; 0 for none."""
    return WeightAverage(module, decay) if decay else _NoAverage()
