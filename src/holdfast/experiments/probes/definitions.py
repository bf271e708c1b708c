"""The probes: sequences, loss, metrics, and the metrics of a baseline without memory.

Letters: T time steps, B sequences, O outputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.data.vision import images
from holdfast.experiments.probes import sequences
from holdfast.experiments.probes.config import (
    AddingConfig,
    CopyConfig,
    ImagesConfig,
    OrderConfig,
    ProbeConfig,
)
from holdfast.experiments.probes.sequences import Example, generator

VALID, TEST = 500, 2000
"""Most sequences in the validation and test splits."""

_OF_VALID, _OF_TEST, OF_TRAINING = 0, 1, 2
"""First number of each split's random key, so that no two splits share random numbers."""

_CLOSE = 0.04
"""An adding error below this counts as correct (Hochreiter & Schmidhuber 1997)."""

_FIRST_SHARE = 0.05
"""Share of the delay with which the curriculum begins."""


class Probe(ABC):
    """A task that needs memory; by default a sequence has one class, and is new in each batch.

    Attributes:
        sizes: size of the input (numbers or symbols per time step), and of the output.
        reach: longest time to remember, in time steps: T_max of chrono initialization.
        chance: metrics of a baseline without memory.
        nothing: that baseline in words.
        every_step: there is a target at every time step, not only at the last.
        metric: the metric of the criterion.
        higher: whether a higher metric is better.
    """

    sizes: tuple[int, int]
    reach: int
    chance: dict[str, float]
    nothing: str
    every_step: bool = False
    metric: str = "accuracy"
    higher: bool = True

    @abstractmethod
    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Return training sequences with targets, when ``progress`` of the run (0 to 1) is done."""

    def valid(self) -> Example:
        """Return the validation split, which is always the same."""
        return self.sample(VALID, generator(_OF_VALID))

    def test(self) -> Example:
        """Return the test split, which is always the same."""
        return self.sample(TEST, generator(_OF_TEST))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss."""
        return F.cross_entropy(outputs, targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the mean metrics over the sequences, including :attr:`metric`."""
        right = (outputs.argmax(-1) == targets).double()
        return {"accuracy": right.mean(), "cross_entropy": self.loss(outputs, targets)}


class Adding(Probe):
    """The adding problem. Predicting 1 has error 1/6, and is within 0.04 at p = 0.08 - 0.04^2."""

    sizes, metric, higher = (2, 1), "mse", False
    nothing = "always predicting 1"

    def __init__(self, config: AddingConfig) -> None:
        self.reach = config.length
        self.chance = {"mse": 1 / 6, "within_0.04": 2 * _CLOSE - _CLOSE**2}

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Implement :class:`Probe`."""
        return sequences.adding(count, self.reach, random)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Implement :class:`Probe`."""
        return F.mse_loss(outputs.squeeze(-1), targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Implement :class:`Probe`."""
        error = outputs.squeeze(-1) - targets
        return {"mse": error.square().mean(), "within_0.04": (error.abs() < _CLOSE).double().mean()}


class Copy(Probe):
    """The copy task. Guessing one of the eight symbols is correct with probability 1/8.

    The loss of a sequence is divided by the number of symbols to repeat, not by its length, so that
    gradients do not shrink as the delay grows.
    """

    sizes, every_step = (sequences.SYMBOLS + 2, sequences.SYMBOLS + 1), True
    nothing = "predicting blanks and then guessing"

    def __init__(self, config: CopyConfig) -> None:
        self.delay, self.reach = config.length, config.length + sequences.COPIED
        self.curriculum = config.curriculum
        self.chance = {
            "accuracy": 1 / sequences.SYMBOLS,
            "cross_entropy": sequences.memoryless(config.length),
        }

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Implement :class:`Probe`."""
        return sequences.copy(count, self.delay_at(progress), random)

    def delay_at(self, progress: float) -> int:
        """Return the delay ``T 0.05^(1 - progress / curriculum)``, or T after the curriculum."""
        missing = max(0.0, 1 - progress / self.curriculum) if self.curriculum else 0.0
        return max(1, round(self.delay * math.pow(_FIRST_SHARE, missing)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Implement :class:`Probe`."""
        return self._entropy(outputs, targets) * len(targets) / sequences.COPIED

    def _entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy over all time steps."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Implement :class:`Probe`."""
        last = slice(-sequences.COPIED, None)
        right = (outputs[last].argmax(-1) == targets[last]).double()
        entropy = self._entropy(outputs, targets)
        return {"accuracy": right.mean(), "cross_entropy": entropy, "accuracy_by_position": right.mean(1)}


class Order(Probe):
    """Temporal order. Guessing one of the four classes is correct with probability 1/4."""

    sizes = (sequences.END + 1, 4)
    nothing = "guessing one of the four orders"

    def __init__(self, config: OrderConfig) -> None:
        self.reach = config.length
        self.chance = {"accuracy": 1 / 4}

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Implement :class:`Probe`."""
        return sequences.order(count, self.reach, random)


class Images(Probe):
    """Images pixel by pixel; the baseline predicts the training split's most frequent class."""

    nothing = "always predicting the most frequent class"

    def __init__(self, config: ImagesConfig) -> None:
        self.set = _image_set(config)
        self.reach = self.set.train.images[0].size
        self.sizes = 1, self.set.classes
        fixed = np.random.default_rng(0)
        self.order = fixed.permutation(self.reach) if config.permuted else np.arange(self.reach)
        self.pixels = torch.from_numpy(self._sequences(self.set.train.images))
        self.labels = torch.from_numpy(self.set.train.labels)
        labels = self.test()[1]
        self.chance = {"accuracy": (labels == self.labels.mode().values).double().mean().item()}

    def _sequences(self, images: Array) -> Array:
        """Convert images [N, R, C] to pixel sequences [N, T]."""
        return np.ascontiguousarray(images.reshape(len(images), -1)[:, self.order])

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Implement :class:`Probe`."""
        rows = torch.randint(0, len(self.labels), (count,), generator=random)
        return self.pixels[rows].T.unsqueeze(-1), self.labels[rows]

    def valid(self) -> Example:
        """Implement :class:`Probe`."""
        return self._first(self.set.valid, VALID)

    def test(self) -> Example:
        """Implement :class:`Probe`."""
        return self._first(self.set.test, TEST)

    def _first(self, split: images.LabelledImages, most: int) -> Example:
        pixels = self._sequences(split.images[:most])
        return torch.from_numpy(pixels).T.unsqueeze(-1), torch.from_numpy(split.labels[:most])


def _image_set(config: ImagesConfig) -> images.ImageSet:
    built_in = {"drawn": images.synthetic_digits, "digits": images.bundled_digits}
    if config.images in built_in:
        return images.split_images(built_in[config.images]())
    whole = images.read_images(Path(config.images), Path(str(config.labels)))
    if config.test_images is None:
        return images.split_images(whole)
    test = images.read_images(Path(config.test_images), Path(str(config.test_labels)))
    return images.split_images(whole, test)


PROBE_CLASSES: dict[type[ProbeConfig], Any] = {
    AddingConfig: Adding,
    CopyConfig: Copy,
    OrderConfig: Order,
    ImagesConfig: Images,
}
"""Class of the settings -> class of the probe."""
