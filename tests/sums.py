"""A small trainable for the tests of training, and the comparison of two runs."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.config import Training
from holdfast.training import fit
from holdfast.training.history import History

BASE = Training(epochs=4, learning_rate=0.01, schedule="cosine", device="cpu", seed=5)
STEPS = 6


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(2, 5)
        self.norm = nn.BatchNorm1d(5)  # buffers, one of whole numbers
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.norm(self.rnn(x)[1][0])))


class Sums:
    """Predict the sum of a sequence; every source of random numbers takes part in the loss."""

    monitor = "mse"
    steps_per_epoch = STEPS

    def __init__(self, on_batch: Callable[[int, int], None] = lambda epoch, step: None) -> None:
        torch.manual_seed(1)
        self.module: nn.Module = Net()
        self.x = torch.randn(7, 4 * STEPS, 2, generator=torch.Generator().manual_seed(2))
        self.on_batch = on_batch
        self.seen: list[tuple[int, int]] = []

    def batches(self, epoch: int) -> Iterator[Tensor]:
        order = torch.randperm(4 * STEPS, generator=torch.Generator().manual_seed(epoch))
        for step, part in enumerate(order.split(4)):
            self.now = (epoch, step)
            yield self.x[:, part]

    def loss(self, batch: Tensor) -> Tensor:
        self.seen.append(self.now)
        self.on_batch(*self.now)
        noise = 0.1 * (np.random.randn() + random.gauss(0, 1))  # noqa: NPY002
        return nn.functional.mse_loss(self.module(batch)[:, 0], batch.sum((0, 2)) + noise)

    def validate(self) -> dict[str, float]:
        assert not self.module.training and not torch.is_grad_enabled()
        torch.rand(3)  # must not change the random numbers of training
        error = self.module(self.x)[:, 0] - self.x.sum((0, 2))
        return {"mse": error.square().mean().item(), "mae": error.abs().mean().item()}


class Scripted(Sums):
    """Validation values from a list."""

    def __init__(
        self, values: list[float], on_batch: Callable[[int, int], None] = lambda epoch, step: None
    ) -> None:
        super().__init__(on_batch)
        self.values = iter(values)

    def validate(self) -> dict[str, float]:
        return {"mse": next(self.values)}


def interrupt_at(epoch: int, step: int) -> Callable[[int, int], None]:
    def on_batch(*now: int) -> None:
        if now == (epoch, step):
            signal.raise_signal(signal.SIGINT)

    return on_batch


def rows(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.epochs]


def weights(trainable: Sums) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainable.module.state_dict().items()}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def run(trainable: Sums, training: Training = BASE, **options: Any) -> History:
    return fit(trainable, training, progress=False, **options)
