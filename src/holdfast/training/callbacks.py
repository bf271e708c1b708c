"""Who looks on while a network is trained."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Watch(Protocol):
    """Looks on in :func:`holdfast.training.fit`: it changes neither weights, nor gradients, nor random numbers."""

    def step(self, loss: Tensor, number: int | None = None) -> None:
        """A step's loss was passed back; its gradients are not yet clipped, and the weights as they were.

        Args:
            loss: a scalar.
            number: of the step in the whole run, from 1.
        """
        ...


class Unwatched:
    """Nobody looks on."""

    def step(self, loss: Tensor, number: int | None = None) -> None:
        """Nothing."""
