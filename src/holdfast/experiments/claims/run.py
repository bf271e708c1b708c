"""Train the paired runs that test the textbook claims about LSTM and GRU on the user's data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast._json import JsonObject
from holdfast.checkpoint import load_weights, save_weights
from holdfast.errors import UserError
from holdfast.experiments.claims.summary import claims_to_dict
from holdfast.experiments.claims.verdicts import Claim, evaluate_claims
from holdfast.experiments.compare import (
    PlannedRun,
    RunOptions,
    check_cells,
    check_seeds,
    save_runs,
    seed_range,
    start_or_resume,
    train_runs,
    with_changes,
)
from holdfast.files import DataFiles, OutputFolder, check_new_folder, save_json
from holdfast.insight.analysis.memory import memory_curve
from holdfast.reporting.comparison import Comparison
from holdfast.tasks.registry import task_class
from holdfast.training.step_timing import measure_step_seconds

if TYPE_CHECKING:
    from holdfast.tasks.contract import TaskConfig
    from holdfast.tasks.registry import AnyDataset, AnyTask

_CELLS = ("lstm", "gru")
_LEAST = 5
"""Least number of examples in the smallest fraction of the training split."""
_CLAIMS_FILE, _WEIGHTS = "claims.json", "weights"
"""In the results folder: the verdicts, and the weights of the runs on all data."""


@dataclass(frozen=True)
class ExperimentDesign:
    """The networks, seeds and fractions of the data of a test of the claims.

    Attributes:
        cells: LSTM, GRU, and optionally the plain RNN.
        seeds: the number of pairs of runs, at least 2.
        fractions: fractions of the training split, which include 1.

    Raises:
        UserError: a cell is unknown, there are too few seeds, or a fraction is out of range.
    """

    cells: Sequence[str]
    seeds: int
    fractions: Sequence[float]

    def __post_init__(self) -> None:
        check_cells(self.cells, _CELLS)
        check_seeds(self.seeds, 2, "A paired test")
        bad = [share for share in self.fractions if not 0 < share <= 1]
        if bad or 1.0 not in self.fractions:
            raise UserError(
                "Fractions of the training split must be above 0 and at most 1, and include 1.",
                f"Given: {', '.join(f'{share:g}' for share in self.fractions) or 'none'}.",
                "Give for example --fractions 0.1,0.25,1.",
            )


def run_claims(
    task: str,
    config: TaskConfig,
    files: DataFiles,
    into: OutputFolder,
    design: ExperimentDesign,
    options: RunOptions,
) -> tuple[Comparison, list[Claim]]:
    """Train LSTM and GRU at equal hidden size and at equal parameters, and test the claims.

    For each seed and fraction, all networks train on the same examples in the same order. Each
    fraction has at most as many optimizer steps as all data: a tenth of the data has ten times as
    many epochs.

    Args:
        task: the task's name.
        config: the settings that all runs share.
        files: the data, and the splits that have their own files.
        into: the folder for ``config.toml``, for ``weights/`` and ``comparison.json`` after each
            run, and for ``claims.json`` at the end.
        design: the runs.
        options: how progress is shown.

    Raises:
        UserError: there is too little data for the smallest fraction, or the file has errors.
    """
    make, weights = task_class(task), into.folder / _WEIGHTS
    if not into.resume:
        check_new_folder(into.folder, into.overwrite)
    dataset = make(config).prepare(files.data, files.valid, files.test)
    by_share = {
        share: dataset.fraction(share) if share < 1 else dataset for share in sorted(design.fractions)
    }
    own = _settings_by_fraction(make, config, by_share)
    planned = _plan_runs(own, _network_variants(make, config, dataset, design.cells), by_share, design.seeds)
    comparison = start_or_resume(task, config, dataset, into)

    def keep(run: PlannedRun, model: AnyTask) -> None:
        if run.share == 1.0:
            weights.mkdir(exist_ok=True)
            save_weights(weights / _weights_of(run), model.fitted_module())

    options = replace(options, into=into, keep=keep)
    comparison = train_runs(comparison, planned, dataset, options)
    comparison = _measure_networks(comparison, make, planned, weights, options)
    tested = evaluate_claims(comparison, make.scoreboard.metric(comparison.runs[0]["model"]))
    save_json(into.folder / _CLAIMS_FILE, claims_to_dict(comparison, tested))
    return comparison, tested


# -- the runs --------------------------------------------------------------------------------------


def _network_variants(
    make: type[AnyTask], config: TaskConfig, dataset: AnyDataset, cells: Sequence[str]
) -> dict[str, JsonObject]:
    """Return network -> settings: each cell, and each with as many parameters as the LSTM.

    ``gru-74`` is a GRU of 74 units. If equal parameters mean equal units, there is no second
    network.
    """
    size = config.network.hidden_size

    def count(cell: str, hidden_size: int) -> int:
        own = with_changes(config, config.training.seed, cell=cell, hidden_size=hidden_size)
        module, _ = make(own).untrained(dataset)
        return sum(p.numel() for p in module.parameters())

    found: dict[str, JsonObject] = {cell: {"cell": cell} for cell in cells}
    target = count("lstm", size)
    for cell in cells:
        matched = _matched_size(partial(count, cell), target, size)
        if matched != size:
            found[f"{cell}-{matched}"] = {"cell": cell, "hidden_size": matched}
    return found


def _matched_size(count: Callable[[int], int], target: int, start: int) -> int:
    """Return the hidden size with the number of parameters closest to a target.

    Example:
        >>> _matched_size(lambda units: 3 * units * units, 4 * 64 * 64, 64)
        74
    """
    low, high = 1, start
    while count(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return min(low, high, key=lambda units: abs(count(units) - target))


def _settings_by_fraction(
    make: type[AnyTask], config: TaskConfig, by_share: dict[float, AnyDataset]
) -> dict[float, TaskConfig]:
    """Return the settings for each share of the data, with as many optimizer steps as for all.

    Raises:
        UserError: a fraction has too few examples, or no more than a smaller one.
    """
    before, steps = _LEAST - 1, {}
    for share, dataset in by_share.items():
        size, got = len(dataset.train), ""
        if size <= before:
            got = f"It has {size}" + (", as many as the smaller one." if before >= _LEAST else ".")
        else:
            try:
                steps[share] = make(config).untrained(dataset)[1].steps_per_epoch
                got = "" if steps[share] else f"Its {size} fill no batch."
            except UserError as error:
                got = f"{error.rule} {error.got}"
        if got:
            raise UserError(
                f"Each fraction of the training split must have at least {_LEAST} examples, and more than a "
                "smaller fraction.",
                f"At {share:g}: {got}",
                "Give more data, or larger --fractions.",
            )
        before = size
    return {share: _lengthen(config, steps[1.0] / own) for share, own in steps.items()}


def _lengthen(config: TaskConfig, times: float) -> TaskConfig:
    """Return the settings with the epochs and the patience multiplied."""
    training = config.training
    epochs, patience = (max(1, round(value * times)) for value in (training.epochs, training.patience))
    return replace(config, training=replace(training, epochs=epochs, patience=patience))


def _plan_runs(
    own: dict[float, TaskConfig],
    networks: dict[str, JsonObject],
    by_share: dict[float, AnyDataset],
    seeds: int,
) -> list[PlannedRun]:
    """Plan all runs: pairs follow each other, and the first network changes with the seed."""
    planned = []
    for turn, seed in enumerate(seed_range(own[1.0], seeds)):
        first = turn % len(networks)
        names = [*networks][first:] + [*networks][:first]
        for share, dataset in by_share.items():
            planned += [
                PlannedRun(name, with_changes(own[share], seed, **networks[name]), share, dataset)
                for name in names
            ]
    return planned


# -- speed and memory of the networks on all data --------------------------------------------------


def _measure_networks(
    comparison: Comparison,
    make: type[AnyTask],
    planned: Sequence[PlannedRun],
    weights: Path,
    options: RunOptions,
) -> Comparison:
    """Measure each network's speed and memory on all data, unless they are measured."""
    whole = [run for run in planned if run.share == 1.0]
    completed = comparison.by_key
    for seed in dict.fromkeys(run.config.training.seed for run in whole):
        group = [run for run in whole if run.config.training.seed == seed]
        if any("update_seconds" not in completed[run.key] for run in group):
            options.announce(f"timing optimizer steps: {', '.join(run.name for run in group)} in turn ...")
            trainables = [make(run.config).untrained(run.dataset)[1] for run in group]
            measured = measure_step_seconds(trainables, group[0].config.training)
            for run, seconds in zip(group, measured, strict=True):
                completed[run.key] = completed[run.key] | {"update_seconds": seconds}
        for run in group:
            path = weights / _weights_of(run)
            if "half_life" not in completed[run.key] and path.exists():
                options.announce(f"measuring memory: {run.name}, seed {seed} ...")
                completed[run.key] = completed[run.key] | _measure_memory(make, run, path)
        comparison = replace(comparison, runs=[*completed.values()])
        save_runs(comparison, options.into)
    return comparison


def _weights_of(run: PlannedRun) -> str:
    return f"{run.name}-seed-{run.config.training.seed}.safetensors"


def _measure_memory(make: type[AnyTask], run: PlannedRun, path: Path) -> JsonObject:
    """Measure how far a trained network remembers (:func:`holdfast.insight.memory_curve`).

    Returns:
        ``half_life`` and ``reach`` in time steps, None if they are longer than ``longest``, the
        longest lag measured; if nothing can be measured (sequences of one time step), also the
        reason in ``unmeasured``.
    """
    module, training = make(run.config).untrained(run.dataset)
    load_weights(path, module)
    module.eval()
    batch = next(iter(training.batches(1)))
    try:
        found = memory_curve(module, lambda: training.loss(batch))
    except UserError as error:
        return {"half_life": None, "reach": None, "longest": 0, "unmeasured": f"{error.rule} {error.got}"}
    lags = {"half_life": found.half_life, "reach": found.reach}
    return {name: lag if isfinite(lag) else None for name, lag in lags.items()} | {"longest": found.longest}
