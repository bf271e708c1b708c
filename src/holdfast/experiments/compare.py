"""Compare cells with each other and with the baselines, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast._json import JsonObject
from holdfast.config import load_config, save_config
from holdfast.errors import UserError
from holdfast.files import DataFiles, OutputFolder, counted, new_folder, save_json
from holdfast.reporting.comparison import Comparison
from holdfast.tasks.registry import task_class
from holdfast.validation import unknown_choice

if TYPE_CHECKING:
    from holdfast.tasks.contract import TaskConfig
    from holdfast.tasks.registry import AnyDataset, AnyTask

_CELL_NAMES = ("rnn", "gru", "lstm")
COMPARISON_FILE = "comparison.json"
"""File of the completed runs."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        name: the network's name, such as its cell.
        config: its settings.
        share: the fraction of the training split that it trains on.
        dataset: the data with that fraction of the training split.
    """

    name: str
    config: TaskConfig
    share: float
    dataset: AnyDataset

    @property
    def key(self) -> tuple[int, str, float]:
        """Seed, name and share, which identify a completed run."""
        return self.config.training.seed, self.name, self.share


@dataclass(frozen=True)
class RunOptions:
    """Options of the runs of a comparison.

    Attributes:
        into: the folder for ``config.toml`` and, after each run, ``comparison.json``; None writes
            nothing. A resumed comparison skips the completed runs.
        progress: show a progress bar on stderr for each run.
        announce: called with a line before each run.
        keep: called with each run and its model before the run counts as completed.
    """

    into: OutputFolder | None = None
    progress: bool = False
    announce: Callable[[str], None] = lambda text: None
    keep: Callable[[PlannedRun, AnyTask], None] = lambda planned, model: None


def compare(
    task: str,
    config: TaskConfig,
    files: DataFiles,
    *,
    cells: Sequence[str] = _CELL_NAMES,
    seeds: int = 3,
    options: RunOptions = RunOptions(),
) -> Comparison:
    """Train every cell with every seed on the same data, and evaluate each on the test split.

    Args:
        task: the name of a task whose configuration has ``network.cell`` and ``training.seed``.
        config: the settings that all runs share.
        files: the data, and the splits that have their own files.
        cells: names of cells.
        seeds: runs of each cell, with seeds ``training.seed``, ``training.seed + 1``, ...
        options: where the results go, and how progress is shown.

    Raises:
        UserError: a cell is unknown, there is no seed, or the file has errors.
    """
    check_cells(cells)
    check_seeds(seeds, 1)
    dataset = task_class(task)(config).prepare(files.data, files.valid, files.test)
    comparison = start_or_resume(task, config, dataset, options.into)
    planned = [
        PlannedRun(cell, with_changes(config, seed, cell=cell), 1.0, dataset)
        for seed in seed_range(config, seeds)
        for cell in cells
    ]
    return train_runs(comparison, planned, dataset, options)


def seed_range(config: TaskConfig, count: int) -> range:
    """Return the seeds ``training.seed``, ``training.seed + 1``, ..."""
    return range(config.training.seed, config.training.seed + count)


def with_changes(config: TaskConfig, seed: int, **network: object) -> TaskConfig:
    """Return the settings with another seed and other network settings."""
    training = replace(config.training, seed=seed)
    return replace(config, network=replace(config.network, **network), training=training)


def start_or_resume(
    task: str, config: TaskConfig, dataset: AnyDataset, into: OutputFolder | None
) -> Comparison:
    """Return a comparison without runs, or the one in the folder if it is resumed."""
    if into is not None and into.resume:
        file = into.folder / "config.toml"
        return Comparison.earlier(
            into.folder / COMPARISON_FILE,
            lambda old: load_config(file, type(config)) == config and old.data == dataset.digest,
        )
    if into is not None:
        new_folder(into.folder, overwrite=into.overwrite)
        save_config(into.folder / "config.toml", task, config)
    return Comparison(task, [], {}, dataset.notes, dataset.digest)


def train_runs(
    comparison: Comparison, planned: Sequence[PlannedRun], dataset: AnyDataset, options: RunOptions
) -> Comparison:
    """Train the planned runs; the baselines are fitted once, on the whole training split."""
    make = task_class(comparison.task)
    examples = make.scoreboard.examples
    completed = comparison.by_key
    baselines = None
    for number, run in enumerate(planned, 1):
        if run.key in completed:
            continue
        seed, name, share = run.key
        options.announce(
            f"run {number} of {len(planned)}: {name}, seed {seed}, {share:.0%} of the training {examples} ..."
        )
        baselines = baselines or make(run.config).fit_baselines(dataset)
        model = make(run.config).fit_dataset(run.dataset, baselines=baselines, progress=options.progress)
        if model.interrupted:
            raise KeyboardInterrupt
        options.keep(run, model)
        run_metrics = model.metrics | _training_record(model) | {"cell": name, "share": share}
        baseline_metrics = comparison.baselines or model.metrics["baselines"]
        comparison = replace(comparison, runs=[*comparison.runs, run_metrics], baselines=baseline_metrics)
        save_runs(comparison, options.into)
    return comparison


def save_runs(comparison: Comparison, into: OutputFolder | None) -> None:
    """Save the completed runs."""
    if into is not None:
        save_json(into.folder / COMPARISON_FILE, comparison.to_dict())


def _training_record(model: AnyTask) -> JsonObject:
    """Return the sizes of a trained model and its validation losses."""
    from holdfast.nn.recurrent import Recurrent

    assert model.history is not None
    layers = [layer for layer in model.fitted_module().modules() if isinstance(layer, Recurrent)]
    return {
        "hidden_size": model.config.network.hidden_size,
        "recurrent_parameters": sum(p.numel() for layer in layers for p in layer.parameters()),
        "updates_per_epoch": model.metrics["optimizer_steps"] / model.history.done,
        "valid_losses": [row["valid_loss"] for row in model.history.epochs],
    }


def write_comparison_report(comparison: Comparison, title: str, folder: Path) -> Path:
    """Write ``report.html`` and ``plots/``."""
    from holdfast.reporting.sections import comparison_report  # loads matplotlib

    task = task_class(comparison.task)
    return comparison_report(comparison, title, folder, task.scoreboard, task.conclusions(comparison))


def check_cells(cells: Sequence[str], needed: Sequence[str] = ()) -> None:
    """Refuse unknown cells, an empty list, and a list without one of the needed cells.

    Raises:
        UserError: the cells are refused.
    """
    if not cells:
        rule = f"Each cell must be one of: {', '.join(_CELL_NAMES)}."
        raise UserError(rule, "None was given.", "Give for example --cells gru,lstm.")
    for cell in cells:
        if cell not in _CELL_NAMES:
            raise unknown_choice("--cells", cell, _CELL_NAMES)
    if not set(needed) <= set(cells):
        raise UserError(
            f"The cells must include {' and '.join(needed)}.",
            f"Given: {', '.join(cells)}.",
            f"Give --cells {','.join(needed)}, or omit --cells.",
        )


def check_seeds(seeds: int, least: int, what: str = "A comparison") -> None:
    """Refuse fewer seeds than needed.

    Raises:
        UserError: there are too few seeds.
    """
    if seeds < least:
        raise UserError(
            f"{what} must have at least {counted(least, 'seed')}.",
            f"--seeds was {seeds}.",
            f"Give for example --seeds {max(least, 3)}.",
        )
