"""The textbook's claims about LSTM and GRU, tested on one's own data: runs that are pairs, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

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
from holdfast.tasks.registry import part
from holdfast.training.step_timing import measure_step_seconds

CELLS = ("lstm", "gru")
LEAST = 5
"""Examples of which the smallest fraction of the training part consists at least."""
CLAIMS, WEIGHTS = "claims.json", "weights"
"""In the folder of the results: the verdicts, and the weights of the runs on all data."""


@dataclass(frozen=True)
class ExperimentDesign:
    """Which networks are trained, how often, and on how much.

    Attributes:
        cells: LSTM and GRU, and the plain RNN where that is asked for.
        seeds: pairs of runs for each comparison, at least 2.
        fractions: of the training part; 1 is among them.

    Raises:
        UserError: another cell, too few seeds, or a fraction that is none.
    """

    cells: Sequence[str]
    seeds: int
    fractions: Sequence[float]

    def __post_init__(self) -> None:
        check_cells(self.cells, CELLS)
        check_seeds(self.seeds, 2, "A paired test")
        bad = [share for share in self.fractions if not 0 < share <= 1]
        if bad or 1.0 not in self.fractions:
            raise UserError(
                "Fractions of the training part are above 0 and at most 1, and 1 is one of them.",
                f"Given: {', '.join(f'{share:g}' for share in self.fractions) or 'none'}.",
                "Give for example --fractions 0.1,0.25,1.",
            )


def run_claims(
    task: str,
    config: Any,
    files: DataFiles,
    into: OutputFolder,
    design: ExperimentDesign,
    options: RunOptions,
) -> tuple[Comparison, list[Claim]]:
    """Train LSTM and GRU at equal hidden size and at equal parameters, and test what is said of them.

    Every seed and fraction trains each network on the same examples in the same order. All fractions get as many
    updates as the whole, at most: of a tenth of the data there are ten times as many epochs.

    Args:
        task: the task's name.
        config: the settings that all runs share.
        files: the data, and the parts that have files of their own.
        into: the folder that gets ``config.toml``, ``weights/`` and ``comparison.json`` run by run, and ``claims.json``
            at the end.
        design: which runs.
        options: who is told.

    Raises:
        UserError: too little data for the smallest fraction, and whatever is wrong with the file.
    """
    make, weights = part(task, "model"), into.folder / WEIGHTS
    if not into.resume:
        check_new_folder(into.folder, into.overwrite)
    prepared = make(config).prepare(files.data, files.valid, files.test)
    parts = {share: training_fraction(prepared, share) for share in sorted(design.fractions)}
    own = settings_by_fraction(make, config, parts)
    planned = plan_runs(own, network_variants(make, config, prepared, design.cells), parts, design.seeds)
    found = start_or_resume(task, config, prepared, into)

    def keep(run: PlannedRun, model: Any) -> None:
        if run.share == 1.0:
            weights.mkdir(exist_ok=True)
            save_weights(weights / _weights_of(run), model.module)

    options = replace(options, into=into, keep=keep)
    found = train_runs(found, planned, prepared, options)
    found = measure_networks(found, make, planned, weights, options)
    tested = evaluate_claims(found, part(task, "words").MEASURE.of(found.runs[0]["model"]))
    save_json(into.folder / CLAIMS, claims_to_dict(found, tested))
    return found, tested


# -- what is trained ---------------------------------------------------------------------------------------------


def training_fraction(prepared: Any, share: float) -> Any:
    """The data with a share of the training part."""
    return prepared if share == 1.0 else prepared.latest(share)


def network_variants(
    make: Any, config: Any, prepared: Any, cells: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Name -> what of the network's settings it has of its own: each cell, and again at the LSTM's parameters.

    ``gru-74`` is a GRU of 74 units; where equal parameters mean equal units, there is no second one.
    """
    size = config.network.hidden_size

    def count(cell: str, hidden_size: int) -> int:
        own = with_changes(config, config.training.seed, cell=cell, hidden_size=hidden_size)
        module, _ = make(own).untrained(prepared)
        return sum(p.numel() for p in module.parameters())

    found: dict[str, dict[str, Any]] = {cell: {"cell": cell} for cell in cells}
    for cell in cells:
        matched = matched_size(lambda units, cell=cell: count(cell, units), count("lstm", size), size)  # type: ignore[misc]
        if matched != size:
            found[f"{cell}-{matched}"] = {"cell": cell, "hidden_size": matched}
    return found


def matched_size(count: Callable[[int], int], target: int, start: int) -> int:
    """The hidden size whose number of parameters is the closest to a target; the number grows with the size.

    Example:
        >>> matched_size(lambda units: 3 * units * units, 4 * 64 * 64, 64)
        74
    """
    low, high = 1, start
    while count(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return min(low, high, key=lambda units: abs(count(units) - target))


def settings_by_fraction(make: Any, config: Any, parts: dict[float, Any]) -> dict[float, Any]:
    """The settings for each share of the training part: with as many updates of the weights as the whole gets.

    Raises:
        UserError: a fraction that leaves too little to learn from, or no less than a smaller one.
    """
    before, steps = LEAST - 1, {}
    for share, prepared in parts.items():
        size, got = len(prepared.train), ""
        if size <= before:
            got = f"It holds {size}" + (", as the smaller one does." if before >= LEAST else ".")
        else:
            try:
                steps[share] = make(config).untrained(prepared)[1].steps_per_epoch
                got = "" if steps[share] else f"Its {size} give no batch."
            except UserError as error:
                got = f"{error.rule} {error.got}"
        if got:
            raise UserError(
                f"Each fraction of the training part has something to learn from, at least {LEAST} examples, and "
                "more than a smaller one.",
                f"At {share:g}: {got}",
                "Give more data, or greater --fractions.",
            )
        before = size
    return {share: lengthen(config, steps[1.0] / own) for share, own in steps.items()}


def lengthen(config: Any, times: float) -> Any:
    """The settings with so many times the epochs and the patience."""
    training = config.training
    epochs, patience = (max(1, round(value * times)) for value in (training.epochs, training.patience))
    return replace(config, training=replace(training, epochs=epochs, patience=patience))


def plan_runs(
    own: dict[float, Any], networks: dict[str, dict[str, Any]], parts: dict[float, Any], seeds: int
) -> list[PlannedRun]:
    """All runs, so that those of a pair follow each other; who is first changes with the seed."""
    planned = []
    for turn, seed in enumerate(seed_range(own[1.0], seeds)):
        first = turn % len(networks)
        names = [*networks][first:] + [*networks][:first]
        for share, prepared in parts.items():
            planned += [
                PlannedRun(name, with_changes(own[share], seed, **networks[name]), share, prepared)
                for name in names
            ]
    return planned


# -- what is measured of the networks on all data ----------------------------------------------------------------


def measure_networks(
    found: Comparison, make: Any, planned: Sequence[PlannedRun], weights: Path, options: RunOptions
) -> Comparison:
    """The comparison with the speed and the memory of each network on all data, where it lacks them."""
    whole = [run for run in planned if run.share == 1.0]
    ended = {(run["seed"], run["cell"], run["share"]): run for run in found.runs}
    for seed in dict.fromkeys(run.config.training.seed for run in whole):
        group = [run for run in whole if run.config.training.seed == seed]
        if any("update_seconds" not in ended[run.key] for run in group):
            options.announce(f"how long an update takes: {', '.join(run.name for run in group)} in turn ...")
            trainables = [make(run.config).untrained(run.prepared)[1] for run in group]
            for run, seconds in zip(
                group, measure_step_seconds(trainables, group[0].config.training), strict=True
            ):
                ended[run.key] = ended[run.key] | {"update_seconds": seconds}
        for run in group:
            path = weights / _weights_of(run)
            if "half_life" not in ended[run.key] and path.exists():
                options.announce(f"how far it remembers: {run.name}, seed {seed} ...")
                ended[run.key] = ended[run.key] | measure_memory(make, run, path)
        found = replace(found, runs=[*ended.values()])
        save_runs(found, options.into)
    return found


def _weights_of(run: PlannedRun) -> str:
    return f"{run.name}-seed-{run.config.training.seed}.safetensors"


def measure_memory(make: Any, run: PlannedRun, path: Path) -> dict[str, Any]:
    """How far a trained network remembers (:func:`holdfast.insight.memory_curve`), and the longest lag measured.

    ``half_life`` and ``reach`` in steps; None where they are longer than that. Where nothing can be measured (sequences
    of one step), ``unmeasured`` says why.
    """
    module, training = make(run.config).untrained(run.prepared)
    load_weights(path, module)
    module.eval()
    batch = next(iter(training.batches(1)))
    try:
        found = memory_curve(module, lambda: training.loss(batch))
    except UserError as error:
        return {"half_life": None, "reach": None, "longest": 0, "unmeasured": f"{error.rule} {error.got}"}
    lags = {"half_life": found.half_life, "reach": found.reach}
    return {name: lag if isfinite(lag) else None for name, lag in lags.items()} | {"longest": found.longest}
