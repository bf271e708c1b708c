"""Weights worth keeping: those of the best epochs and their mean, and a running average."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_Weights = dict[str, Tensor]


class BestCheckpoints:
    """The weights of up to ``count`` epochs with the lowest monitored metric, lowest first.

    Their mean is often better than each of them (Junczys-Dowmunt et al. 2016). They are kept on the
    CPU, where the weights of a resumed run are too.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[tuple[float, int, _Weights]] = []

    def offer(self, value: float, epoch: int, module: nn.Module) -> bool:
        """Copy the weights if they are among the best, and return whether they are the best.

        An epoch is validated more than once if a budget ended within it; only its best weights
        stay.
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
        """The metric's values, lowest first."""
        return [value for value, _, _ in self.kept]

    @property
    def epochs(self) -> list[tuple[float, int]]:
        """The metric's value and the epoch of each checkpoint."""
        return [(value, epoch) for value, epoch, _ in self.kept]

    @property
    def weights(self) -> _Weights:
        """The very best weights; empty if none were offered."""
        return self.kept[0][2] if self.kept else {}

    def mean(self) -> _Weights:
        """Return the mean of all checkpoints; integer tensors (counts) are those of the best one."""
        every = [weights for *_, weights in self.kept]
        return {
            name: torch.stack([one[name] for one in every]).mean(0) if best.is_floating_point() else best
            for name, best in self.weights.items()
        }

    def state(self) -> _Weights:
        """Return all weights, named by rank and name."""
        return {
            f"{place}.{name}": t for place, (*_, kept) in enumerate(self.kept) for name, t in kept.items()
        }

    def restore(self, epochs: Sequence[tuple[float, int]], state: Mapping[str, Tensor]) -> None:
        """Restore the checkpoints from :attr:`epochs` and :meth:`state`."""
        kept: list[_Weights] = [{} for _ in epochs]
        for name, tensor in state.items():
            place, _, of_module = name.partition(".")
            kept[int(place)][of_module] = tensor
        self.kept = [(value, epoch, weights) for (value, epoch), weights in zip(epochs, kept, strict=True)]


_WARM = 10
"""At first the average forgets faster: after n steps its decay is at most (1 + n) / (10 + n)."""


class WeightAverage:
    """Exponential average of parameters, often better than the last (Polyak & Juditsky 1992).

    ``a <- decay * a + (1 - decay) * w`` after each step. With a decay of 0 there is no average, and
    the module keeps its weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = dict(module.named_parameters()) if decay else {}
        self.averages = {name: p.detach().clone() for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Add the weights after this many steps to the average."""
        if self.decay:
            decay = min(self.decay, (1 + steps) / (_WARM + steps))
            torch._foreach_lerp_([*self.averages.values()], [*self.parameters.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the module, and its own weights back at the end."""
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

    def state(self) -> _Weights:
        """Return the averages by parameter name."""
        return self.averages

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the averages from :meth:`state`."""
        for name, average in self.averages.items():
            average.copy_(state[name])
