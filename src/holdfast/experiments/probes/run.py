"""Train every cell with every seed on a probe, and save the results after each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from holdfast._json import JsonObject
from holdfast.config import load_config, save_config
from holdfast.errors import DivergenceError
from holdfast.experiments.probes.config import CELLS, PROBES, ProbeConfig
from holdfast.experiments.probes.definitions import OF_TRAINING, PROBE_CLASSES, Probe
from holdfast.experiments.probes.results import ProbeResults
from holdfast.experiments.probes.sequences import Example, generator
from holdfast.files import OutputFolder, check_new_folder, new_folder, save_json
from holdfast.models.probe import ProbeNetwork
from holdfast.nn.init import chrono
from holdfast.training import fit
from holdfast.training.devices import find_device

RESULT_FILE = "probe.json"
"""File of the results."""


def run_probe(
    config: ProbeConfig,
    *,
    into: OutputFolder | None = None,
    progress: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> ProbeResults:
    """Train each cell with each seed until it solves the probe, and test it once.

    Args:
        config: the settings; their class selects the probe.
        into: the folder for ``config.toml`` and, after each run, ``probe.json``; None writes
            nothing. A resumed probe skips the completed runs, and may have other cells and more
            seeds.
        progress: show a progress bar on stderr for each run.
        announce: called with a line before each run.

    Raises:
        UserError: the device does not exist, the folder is in use, the probe to resume has other
            settings, or the image files have errors.

    Example:
        >>> from holdfast.experiments.probes.config import AddingConfig
        >>> config = AddingConfig(length=10, cells=("gru",), hidden_size=8, steps=20, every=10, device="cpu")
        >>> results = run_probe(config)
        >>> [row["step"] for row in results.runs[0]["curve"]]
        [10, 20]
    """
    find_device(config.device)
    if into is not None and not into.resume:
        check_new_folder(into.folder, into.overwrite)
    probe = PROBE_CLASSES[type(config)](config)
    results = _start_or_resume(config, probe, into)
    planned = [
        (seed, cell) for seed in range(config.seed, config.seed + config.seeds) for cell in config.cells
    ]
    for number, (seed, cell) in enumerate(planned, 1):
        if any((run["seed"], run["cell"]) == (seed, cell) for run in results.runs):
            continue
        announce(f"run {number} of {len(planned)}: {cell}, seed {seed}, at most {config.steps:,} steps ...")
        run = train_run(probe, config, cell, seed, progress=progress)
        results = replace(results, runs=[*results.runs, run])
        if into is not None:
            save_json(into.folder / RESULT_FILE, results.to_dict())
    return results


def _start_or_resume(config: ProbeConfig, probe: Probe, into: OutputFolder | None) -> ProbeResults:
    """Return results without runs, or those of the resumed probe."""
    name = next(name for name, kind in PROBES.items() if kind is type(config))
    new = ProbeResults(
        name, probe.reach, probe.metric, probe.higher, config.criterion, probe.chance, probe.nothing
    )
    if into is None:
        return new
    if into.resume:

        def same(old: ProbeResults) -> bool:
            began = load_config(into.folder / "config.toml", type(config))
            began = replace(began, cells=config.cells, seeds=config.seeds)
            return began == config and replace(old, runs=[], nothing=new.nothing) == new

        new = ProbeResults.earlier(into.folder / RESULT_FILE, same, ", except for cells and seeds")
    else:
        new_folder(into.folder, overwrite=into.overwrite)
    save_config(into.folder / "config.toml", name, config)
    return new


_STEPS_AT_ONCE = 1 << 16
"""Time steps, over all sequences, that are evaluated at once; this bounds the memory."""


class _ProbeTrainable:
    """The network of one cell with a probe's data and loss, for :func:`holdfast.training.fit`.

    Attributes:
        curve: one row for each validation: ``step``, ``train_loss`` (mean since the last one),
            metrics.
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
        """Yield the batches of an epoch, different for each seed and epoch."""
        random = generator(OF_TRAINING, self.seed, epoch)
        for step in range(self.steps_per_epoch):
            done = ((epoch - 1) * self.steps_per_epoch + step) / self.config.steps
            yield self.probe.sample(self.config.batch_size, random, done)

    def loss(self, batch: Example) -> Tensor:
        """Return the probe's loss of a batch."""
        inputs, targets = batch
        loss = self.probe.loss(self.module(inputs), targets)
        self.losses.append(loss.detach())
        return loss

    def validate(self) -> dict[str, float]:
        """Return the scalar metrics and, if higher is better, ``error``: 1 minus the metric."""
        found = {name: value for name, value in self.metrics(self.valid).items() if isinstance(value, float)}
        self.steps += len(self.losses)
        loss = torch.stack(self.losses).mean().item()
        self.losses.clear()
        self.curve.append({"step": self.steps, "train_loss": loss, **found})
        return found | ({"error": 1 - found[self.probe.metric]} if self.probe.higher else {})

    def solved(self, row: Mapping[str, float]) -> bool:
        """Return whether a validation meets the criterion."""
        value, criterion = row[self.probe.metric], self.config.criterion
        return value >= criterion if self.probe.higher else value <= criterion

    def metrics(self, split: Example) -> JsonObject:
        """Return the probe's metrics on a split: numbers, or lists of numbers."""
        inputs, targets = split
        count = max(1, _STEPS_AT_ONCE // len(inputs))
        device = self.module.output.weight.device
        sums: dict[str, Tensor] = {}
        for x, y in zip(inputs.split(count, 1), targets.split(count, -1), strict=True):
            found = self.probe.metrics(self.module(x.to(device)), y.to(device))
            for name, value in found.items():
                sums[name] = sums.get(name, torch.zeros(())) + value.double().cpu() * y.shape[-1]
        return {name: (total / targets.shape[-1]).tolist() for name, total in sums.items()}


def train_run(
    probe: Probe, config: ProbeConfig, cell: str, seed: int, *, progress: bool = False
) -> JsonObject:
    """Train one cell with one seed, then evaluate once on the test split.

    Returns:
        ``cell``, ``seed``, ``solved``, ``steps`` (trained), ``seconds``, ``stopped``,
        ``parameters``, ``test`` (metrics of the best validated weights) and ``curve``.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    learner = _ProbeTrainable(probe, config, cell, seed)
    try:
        history = fit(learner, config.training(seed), progress=progress)
        stopped, seconds = str(history.stopped), history.seconds
    except DivergenceError:
        stopped, seconds = "diverged", None
    if stopped == "interrupted":
        raise KeyboardInterrupt
    with torch.no_grad():
        test = learner.metrics(probe.test())
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
