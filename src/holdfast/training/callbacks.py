"""Callback protocol for training."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Callback(Protocol):
    """Observer of :func:`holdfast.training.fit`.

    A callback must not change weights, gradients or random number generators.
    """

    def step(self, loss: Tensor, number: int | None = None) -> None:
        """Handle one optimizer step, between its backward pass and the change of the weights.

        Args:
            loss: a scalar.
            number: the step's number in the whole run, from 1.
        """
        ...
