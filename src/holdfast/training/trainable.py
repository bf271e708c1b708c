"""What a task gives to the training loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


class Trainable(Protocol):
    """A network, its batches, its loss and its validation: all that :func:`holdfast.training.fit` asks of a task.

    Attributes:
        module: the network; ``fit`` moves it to the device, trains all its parameters and leaves the best in it.
        steps_per_epoch: number of batches in every epoch, at least 1.
        monitor: the metric of :meth:`validate` that chooses the best epoch; lower is better.

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
        """Name of the metric that chooses the best epoch; lower is better."""
        ...

    def batches(self, epoch: int) -> Iterable[Any]:
        """The batches of an epoch (counted from 1): tensors, also within tuples, lists, dicts and dataclasses.

        They depend on the seed and the epoch alone: with an own generator, not on torch's global one. A resumed
        run skips those that it has seen. ``fit`` moves them to the device.
        """
        ...

    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch, a scalar with a gradient; the module is in training mode."""
        ...

    def validate(self) -> dict[str, float]:
        """The validation metrics, with :attr:`monitor` among them; the module is in evaluation mode, no gradients."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A trainable that carries something from batch to batch, such as the state of truncated backpropagation.

    It is saved with the run's state and restored when the run is resumed within an epoch.
    """

    def carried(self) -> dict[str, Tensor]:
        """What is carried, by name."""
        ...

    def restore(self, carried: dict[str, Tensor]) -> None:
        """Carry this again; the tensors are on the CPU."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """A trainable that can be done: training stops at the first validation that says so."""

    def solved(self, row: Mapping[str, float]) -> bool:
        """Whether an epoch's row of the history, with the metrics of its validation, says that it is done."""
        ...
