"""What each probe asks: its sequences, its loss, its figures, and those of one who remembers nothing.

Letters: T steps, B sequences, O outputs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.data.vision import images as pictures
from holdfast.experiments.probes import sequences as sequences
from holdfast.experiments.probes.config import (
    AddingConfig,
    CopyConfig,
    ImagesConfig,
    OrderConfig,
    ProbeConfig,
)
from holdfast.experiments.probes.sequences import Example, generator

VALID, TEST = 500, 2000
"""Sequences that are validated and tested on, at most."""

OF_VALID, OF_TEST, OF_TRAINING = 0, 1, 2
"""First number of the key of random numbers: no part has those of another."""

CLOSE = 0.04
"""An error of adding below this is a right answer (Hochreiter & Schmidhuber 1997)."""

_FIRST_SHARE = 0.05
"""Of the delay, with which a curriculum begins."""


class Probe(Protocol):
    """A probe.

    Attributes:
        sizes: numbers or symbols of a step's input, and outputs.
        reach: over how many steps something must be remembered, at most: T_max of chrono initialisation.
        every_step: an answer is asked for at every step, not at the last alone.
        metric: the figure that the criterion is about.
        higher: whether it is better the higher it is.
        chance: figures of one who remembers nothing.
        nothing: who that is, in words.
    """

    sizes: tuple[int, int]
    reach: int
    every_step: bool
    metric: str
    higher: bool
    chance: dict[str, float]
    nothing: str

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """Sequences to train on, with their targets; ``progress`` is the share of the run that is over."""
        ...

    def valid(self) -> Example:
        """The validation part, always the same."""
        ...

    def test(self) -> Example:
        """The test part, always the same."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training lowers."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Means over the sequences; the metric among them."""
        ...


class _Sampled:
    """A probe whose sequences are drawn anew for every batch."""

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """See :class:`Probe`."""
        raise NotImplementedError

    def valid(self) -> Example:
        """See :class:`Probe`."""
        return self.sample(VALID, generator(OF_VALID))

    def test(self) -> Example:
        """See :class:`Probe`."""
        return self.sample(TEST, generator(OF_TEST))


class Adding(_Sampled):
    """The adding problem. Who says always 1 has an error of 1/6, and is within 0.04 with probability 0.08 - 0.04^2."""

    sizes, every_step, metric, higher = (2, 1), False, "mse", False
    nothing = "always saying 1"

    def __init__(self, config: AddingConfig) -> None:
        self.reach = config.length
        self.chance = {"mse": 1 / 6, "within_0.04": 2 * CLOSE - CLOSE**2}

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """See :class:`Probe`."""
        return sequences.adding(count, self.reach, random)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See :class:`Probe`."""
        return F.mse_loss(outputs.squeeze(-1), targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Probe`."""
        error = outputs.squeeze(-1) - targets
        return {"mse": error.square().mean(), "within_0.04": (error.abs() < CLOSE).double().mean()}


class Copy(_Sampled):
    """The copy task. Who guesses one of the eight symbols in time is right in an eighth.

    The loss is a sequence's, for each symbol to be repeated, so that gradients do not fade as the delay grows.
    """

    sizes, every_step, metric, higher = (sequences.SYMBOLS + 2, sequences.SYMBOLS + 1), True, "accuracy", True
    nothing = "saying blank until the end and then guessing"

    def __init__(self, config: CopyConfig) -> None:
        self.delay, self.reach = config.length, config.length + sequences.COPIED
        self.curriculum = config.curriculum
        share = 1 / sequences.SYMBOLS
        self.chance = {"accuracy": share, "cross_entropy": sequences.memoryless(config.length)}

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """See :class:`Probe`."""
        return sequences.copy(count, self.delay_at(progress), random)

    def delay_at(self, progress: float) -> int:
        """The delay of the training: ``T FIRST_SHARE^(1 - progress / curriculum)`` until the curriculum is over."""
        missing = max(0.0, 1 - progress / self.curriculum) if self.curriculum else 0.0
        return max(1, round(self.delay * math.pow(_FIRST_SHARE, missing)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See :class:`Probe`."""
        return self._entropy(outputs, targets) * len(targets) / sequences.COPIED

    def _entropy(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over all steps."""
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Probe`."""
        asked = slice(-sequences.COPIED, None)
        right = (outputs[asked].argmax(-1) == targets[asked]).double()
        entropy = self._entropy(outputs, targets)
        return {"accuracy": right.mean(), "cross_entropy": entropy, "accuracy_by_position": right.mean(1)}


class _Classes:
    """A probe that asks for one class of each sequence."""

    every_step, metric, higher = False, "accuracy", True

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See :class:`Probe`."""
        return F.cross_entropy(outputs, targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Probe`."""
        right = (outputs.argmax(-1) == targets).double()
        return {"accuracy": right.mean(), "cross_entropy": self.loss(outputs, targets)}


class Order(_Classes, _Sampled):
    """Temporal order. Who guesses one of the four classes is right in a quarter."""

    sizes = (sequences.END + 1, 4)
    nothing = "guessing one of the four orders"

    def __init__(self, config: OrderConfig) -> None:
        self.reach = config.length
        self.chance = {"accuracy": 1 / 4}

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """See :class:`Probe`."""
        return sequences.order(count, self.reach, random)


class Images(_Classes):
    """Images pixel by pixel. Who has seen none says the class that is most frequent in training."""

    nothing = "always saying the class that is most frequent in training"

    def __init__(self, config: ImagesConfig) -> None:
        self.set = _image_set(config)
        self.reach = self.set.train.images[0].size
        self.sizes = 1, self.set.classes
        fixed = np.random.default_rng(0)
        self.order = fixed.permutation(self.reach) if config.permuted else np.arange(self.reach)
        self.pixels = torch.from_numpy(self._sequences(self.set.train.images))
        self.labels = torch.from_numpy(self.set.train.labels)
        shown = self.test()[1]
        self.chance = {"accuracy": (shown == self.labels.mode().values).double().mean().item()}

    def _sequences(self, images: Array) -> Array:
        """[N, R, C] to [N, T]."""
        return np.ascontiguousarray(images.reshape(len(images), -1)[:, self.order])

    def sample(self, count: int, random: torch.Generator, progress: float = 1.0) -> Example:
        """See :class:`Probe`."""
        rows = torch.randint(0, len(self.labels), (count,), generator=random)
        return self.pixels[rows].T.unsqueeze(-1), self.labels[rows]

    def valid(self) -> Example:
        """See :class:`Probe`."""
        return self._first(self.set.valid, VALID)

    def test(self) -> Example:
        """See :class:`Probe`."""
        return self._first(self.set.test, TEST)

    def _first(self, part: pictures.LabelledImages, most: int) -> Example:
        pixels = self._sequences(part.images[:most])
        return torch.from_numpy(pixels).T.unsqueeze(-1), torch.from_numpy(part.labels[:most])


def _image_set(config: ImagesConfig) -> pictures.ImageSet:
    built_in = {"drawn": pictures.synthetic_digits, "digits": pictures.bundled_digits}
    if config.images in built_in:
        return pictures.split_images(built_in[config.images]())
    whole = pictures.read_images(Path(config.images), Path(str(config.labels)))
    if config.test_images is None:
        return pictures.split_images(whole)
    test = pictures.read_images(Path(config.test_images), Path(str(config.test_labels)))
    return pictures.split_images(whole, test)


PROBE_CLASSES: dict[type[ProbeConfig], Any] = {
    AddingConfig: Adding,
    CopyConfig: Copy,
    OrderConfig: Order,
    ImagesConfig: Images,
}
"""Settings -> the probe."""
