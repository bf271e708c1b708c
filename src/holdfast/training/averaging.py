"""Averages of the weights along the training run, which often do better than the last ones (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

WARM = 10
"""The average forgets faster in the first steps: its decay is at most (1 + n) / (WARM + n) after n of them."""


class Average:
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


def averaging(module: nn.Module, decay: float) -> Average | _NoAverage:
    """The average of a module's weights with a decay; 0 for none."""
    return Average(module, decay) if decay else _NoAverage()
