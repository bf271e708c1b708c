"""One run: a network of one cell learns a probe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from holdfast.errors import DivergenceError
from holdfast.experiments.probes.config import CELLS, ProbeConfig
from holdfast.experiments.probes.kinds import OF_TRAINING, Probe
from holdfast.experiments.probes.sequences import Example, generator
from holdfast.models.probe import ProbeNetwork
from holdfast.nn.init import chrono
from holdfast.training import fit

STEPS_AT_ONCE = 1 << 16
"""Steps of all sequences together that are validated at once, which bounds the memory."""


class Learner:
    """A network of one cell with its probe, for :func:`holdfast.training.fit`.

    Attributes:
        curve: what each validation found: ``step``, ``train_loss`` (mean since the last one), and the figures.
    """

    def __init__(self, probe: Probe, config: ProbeConfig, cell: str, seed: int) -> None:
        self.probe, self.config, self.seed = probe, config, seed
        layer, timed = CELLS[cell]
        torch.manual_seed(seed)
        inputs, outputs = probe.sizes
        self.module = ProbeNetwork(
            layer,
            (inputs, config.hidden_size, outputs),
            chrono(max(probe.reach, 3)) if timed else "torch",
            scale=config.input_scale,
            every_step=probe.every_step,
        )
        self.monitor = "error" if probe.higher else probe.metric
        self.steps_per_epoch = config.every
        self.valid = probe.valid()
        self.curve: list[dict[str, float]] = []
        self.losses: list[Tensor] = []
        self.steps = 0

    def batches(self, epoch: int) -> Iterator[Example]:
        """Sequences of their own for each seed and epoch."""
        random = generator(OF_TRAINING, self.seed, epoch)
        for step in range(self.steps_per_epoch):
            done = ((epoch - 1) * self.steps_per_epoch + step) / self.config.steps
            yield self.probe.draw(self.config.batch_size, random, done)

    def loss(self, batch: Example) -> Tensor:
        """The probe's."""
        inputs, targets = batch
        loss = self.probe.loss(self.module(inputs), targets)
        self.losses.append(loss.detach())
        return loss

    def validate(self) -> dict[str, float]:
        """The figures that are one number each; where higher is better, the ``error`` is what is missing to 1."""
        found = {name: value for name, value in self.figures(self.valid).items() if isinstance(value, float)}
        self.steps += len(self.losses)
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        self.curve.append({"step": self.steps, "train_loss": loss, **found})
        return found | ({"error": 1 - found[self.probe.metric]} if self.probe.higher else {})

    def solved(self, row: Mapping[str, float]) -> bool:
        """Whether a validation meets the criterion."""
        value, criterion = row[self.probe.metric], self.config.criterion
        return value >= criterion if self.probe.higher else value <= criterion

    def figures(self, part: Example) -> dict[str, Any]:
        """The probe's figures on a part: numbers, or lists of numbers."""
        inputs, targets = part
        count = max(1, STEPS_AT_ONCE // len(inputs))
        device = self.module.output.weight.device
        sums: dict[str, Tensor] = {}
        for x, y in zip(inputs.split(count, 1), targets.split(count, -1), strict=True):
            found = self.probe.figures(self.module(x.to(device)), y.to(device))
            for name, value in found.items():
                sums[name] = sums.get(name, torch.zeros(())) + value.double().cpu() * y.shape[-1]
        return {name: (total / targets.shape[-1]).tolist() for name, total in sums.items()}


def learn(
    probe: Probe, config: ProbeConfig, cell: str, seed: int, *, progress: bool = False
) -> dict[str, Any]:
    """Train one cell with one seed, then read the test part once.

    Returns:
        ``cell``, ``seed``, ``solved``, ``steps`` (trained), ``seconds``, ``stopped``, ``parameters``, ``test``
        (figures of the best validated weights) and ``curve``.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    learner = Learner(probe, config, cell, seed)
    try:
        history = fit(learner, config.training(seed), progress=progress)
        stopped, seconds = str(history.stopped), history.seconds
    except DivergenceError:
        stopped, seconds = "diverged", None
    if stopped == "interrupted":
        raise KeyboardInterrupt
    with torch.no_grad():
        test = learner.figures(probe.test())
    return {
        "cell": cell,
        "seed": seed,
        "solved": stopped == "solved",
        "steps": learner.steps,
        "seconds": seconds,
        "stopped": stopped,
        "parameters": sum(p.numel() for p in learner.module.parameters()),
        "test": test,
        "curve": learner.curve,
    }
