"""Protocols between a task and the training loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Trainable(Protocol):
    """A network with batches, loss and validation: what :func:`holdfast.training.fit` needs.

    Attributes:
        module: the network; ``fit`` moves it to the device, trains all parameters and keeps the
            best.
        steps_per_epoch: number of batches in every epoch, at least 1.
        monitor: the metric of :meth:`validate` that selects the best epoch; lower is better.

    Example:
        >>> import torch
        >>> from holdfast.config import Training
        >>> from holdfast.training import fit
        >>> class Line:
        ...     monitor, steps_per_epoch = "mse", 10
        ...
        ...     def __init__(self):
        ...         self.module = torch.nn.Linear(1, 1)
        ...         self.x = torch.linspace(-1, 1, 80)[:, None]
        ...
        ...     def batches(self, epoch):
        ...         order = torch.randperm(80, generator=torch.Generator().manual_seed(epoch))
        ...         yield from self.x[order].split(8)
        ...
        ...     def loss(self, batch):
        ...         return torch.nn.functional.mse_loss(self.module(batch), 3 * batch + 1)
        ...
        ...     def validate(self):
        ...         return {"mse": self.loss(self.x).item()}
        >>> history = fit(Line(), Training(epochs=20, learning_rate=0.1, device="cpu"), progress=False)
        >>> history.best < 1e-3
        True
    """

    @property
    def module(self) -> nn.Module:
        """The network."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in every epoch."""
        ...

    @property
    def monitor(self) -> str:
        """Name of the metric that selects the best epoch; lower is better."""
        ...

    def batches(self, epoch: int) -> Iterable[Any]:
        """Yield the batches of an epoch (from 1): tensors, or tuples, lists, dicts and dataclasses
        of them.

        They must depend on the seed and the epoch only, so use a generator of your own and not
        torch's global one. A resumed run skips the batches that it has already used. ``fit`` moves
        them to the device.
        """
        ...

    def loss(self, batch: Any) -> Tensor:
        """Return a batch's mean loss, a scalar with a gradient; the module is in training mode."""
        ...

    def validate(self) -> dict[str, float]:
        """Return the validation metrics, with :attr:`monitor`; the module is in evaluation mode."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A trainable that carries state between batches, as in truncated backpropagation.

    The state is saved with the run, and restored when the run resumes within an epoch.
    """

    def carried(self) -> dict[str, Tensor]:
        """Return the carried tensors by name."""
        ...

    def restore(self, carried: dict[str, Tensor]) -> None:
        """Restore the carried tensors, which are on the CPU."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A trainable with a goal: training stops at the first validation that reaches it."""

    def solved(self, row: Mapping[str, float]) -> bool:
        """Return whether an epoch's row of the history, with its metrics, reaches the goal."""
        ...
