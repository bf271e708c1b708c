"""How long an update of the weights takes: several networks in turn, so that they meet the same machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from statistics import median
from time import perf_counter, process_time
from typing import Any

from holdfast.config import Training
from holdfast.training.devices import seed_everything
from holdfast.training.loop import TrainingRun
from holdfast.training.trainable import Trainable

_WARM_UP = 3
"""Updates of each network that are not counted."""


def measure_step_seconds(
    trainables: Sequence[Trainable], training: Training, updates: int = 40
) -> list[float]:
    """Seconds for an update of each network's weights; they take turns, update by update, on the same batches.

    Told is the median. On a CPU the seconds are the processor's, so that what else the machine does is not counted; on
    another device those of the clock.

    Args:
        trainables: untrained networks with their batches.
        training: how they are trained.
        updates: how many are timed of each.

    Example:
        >>> import torch
        >>> class Line:
        ...     steps_per_epoch = 1
        ...
        ...     def __init__(self, width):
        ...         self.module = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Linear(width, 1))
        ...
        ...     def batches(self, epoch):
        ...         yield torch.ones(8, 1)
        ...
        ...     def loss(self, batch):
        ...         return self.module(batch).square().mean()
        >>> few, many = measure_step_seconds([Line(1), Line(2000)], Training(device="cpu"), updates=5)
        >>> few > 0 and many > 0
        True
    """
    seed_everything(training.seed)
    runs = [TrainingRun(trainable, training, None) for trainable in trainables]
    for run in runs:
        run.module.train()
    clock = process_time if all(run.fabric.device.type == "cpu" for run in runs) else perf_counter
    batches = [_endless(trainable) for trainable in trainables]
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(_WARM_UP + updates):
        for run, own, took in zip(runs, batches, seconds, strict=True):
            batch = next(own)
            begun = clock()
            run.step(batch)
            run.pending.pop().item()  # waits for the device
            took.append(clock() - begun)
    return [median(took[_WARM_UP:]) for took in seconds]


def _endless(trainable: Trainable) -> Iterator[Any]:
    """The batches of epoch after epoch."""
    for epoch in count(1):
        yield from trainable.batches(epoch)
