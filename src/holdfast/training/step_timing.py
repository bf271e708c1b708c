"""Measure the time of an optimizer step; networks take turns, for equal conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from statistics import median
from time import perf_counter, process_time

from holdfast.config import Training
from holdfast.training.devices import seed_everything
from holdfast.training.loop import TrainingRun
from holdfast.training.trainable import Trainable

_WARM_UP = 3
"""Steps of each network that are not counted."""


def measure_step_seconds(trainables: Sequence[Trainable], training: Training, steps: int = 40) -> list[float]:
    """Return the median seconds of an optimizer step of each network; they take turns.

    On a CPU this is processor time, so that other work on the machine is not counted; on other
    devices it is wall-clock time.

    Args:
        trainables: untrained networks with their batches.
        training: the training settings.
        steps: the number of timed steps of each network.

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
        >>> few, many = measure_step_seconds([Line(1), Line(2000)], Training(device="cpu"), steps=5)
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
    for _ in range(_WARM_UP + steps):
        for run, own, times in zip(runs, batches, seconds, strict=True):
            batch = next(own)
            start = clock()
            run.step(batch)
            run.pending.pop().item()  # waits for the device
            times.append(clock() - start)
    return [median(times[_WARM_UP:]) for times in seconds]


def _endless(trainable: Trainable) -> Iterator[object]:
    """Yield the batches of epoch after epoch."""
    for epoch in count(1):
        yield from trainable.batches(epoch)
