"""Cells against each other and against the baselines, over several seeds: what holds on this data?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.config import load_config, save_config
from holdfast.errors import UserError
from holdfast.files import DataFiles, OutputFolder, load_json, new_folder, save_json
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.html import Section
from holdfast.tasks.registry import part

_CELL_NAMES = ("rnn", "gru", "lstm")
COMPARISON_FILE = "comparison.json"
"""The file of the runs that have ended."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class PlannedRun:
    """A run of a comparison.

    Attributes:
        name: what is compared, such as the cell.
        config: its settings.
        share: of the training part.
        prepared: the data with that share of the training part.
    """

    name: str
    config: Any
    share: float
    prepared: Any

    @property
    def key(self) -> tuple[int, str, float]:
        """By which a run that has ended is known again."""
        return self.config.training.seed, self.name, self.share


@dataclass(frozen=True)
class RunOptions:
    """How runs are done.

    Attributes:
        into: a folder that gets ``config.toml`` and, after each run, ``comparison.json``; nothing is written when None.
            A comparison that is resumed does not do again the runs that have ended.
        progress: a progress bar on stderr for each run.
        announce: called with a line before each run.
        keep: called with each run and its model before it counts as ended.
    """

    into: OutputFolder | None = None
    progress: bool = False
    announce: Announce = lambda text: None
    keep: Callable[[PlannedRun, Any], None] = lambda planned, model: None


def compare(
    task: str,
    config: Any,
    files: DataFiles,
    *,
    cells: Sequence[str] = _CELL_NAMES,
    seeds: int = 3,
    options: RunOptions = RunOptions(),
) -> Comparison:
    """Train every cell with every seed on the same windows, and score each on the test part.

    Args:
        task: name of a task whose configuration has ``network.cell`` and ``training.seed``.
        config: the settings that all runs share.
        files: the data, and the parts that have files of their own.
        cells: names of cells.
        seeds: runs for each cell, with seeds ``training.seed``, ``training.seed + 1``, ...
        options: where the results go, and who is told.

    Raises:
        UserError: an unknown cell or fewer than one seed, and whatever is wrong with the file.
    """
    check_cells(cells)
    check_seeds(seeds, 1)
    prepared = part(task, "model")(config).prepare(files.data, files.valid, files.test)
    found = start_or_resume(task, config, prepared, options.into)
    planned = [
        PlannedRun(cell, with_changes(config, seed, cell=cell), 1.0, prepared)
        for seed in seed_range(config, seeds)
        for cell in cells
    ]
    return train_runs(found, planned, prepared, options)


def seed_range(config: Any, count: int) -> range:
    """``training.seed``, ``training.seed + 1``, ..."""
    return range(config.training.seed, config.training.seed + count)


def with_changes(config: Any, seed: int, **network: Any) -> Any:
    """The settings with another seed, and some of the network's changed."""
    training = replace(config.training, seed=seed)
    return replace(config, network=replace(config.network, **network), training=training)


def start_or_resume(task: str, config: Any, prepared: Any, into: OutputFolder | None) -> Comparison:
    """A comparison without runs, or with those that the folder has where it is resumed."""
    found = Comparison(task, [], {}, prepared.notes, prepared.digest)
    if into is not None and into.resume:
        return _earlier(into.folder, config, found)
    if into is not None:
        new_folder(into.folder, overwrite=into.overwrite)
        save_config(into.folder / "config.toml", task, config)
    return found


def train_runs(
    found: Comparison, planned: Sequence[PlannedRun], prepared: Any, options: RunOptions
) -> Comparison:
    """The comparison with all runs that are planned; the baselines are fitted once, on the whole training part."""
    make, examples = part(found.task, "model"), part(found.task, "words").MEASURE.examples
    ended = {(run["seed"], run["cell"], run["share"]) for run in found.runs}
    baselines = None
    for number, run in enumerate(planned, 1):
        if run.key in ended:
            continue
        seed, name, share = run.key
        options.announce(
            f"run {number} of {len(planned)}: {name}, seed {seed}, {share:.0%} of the training {examples} ..."
        )
        baselines = baselines or make(run.config).fit_baselines(prepared)
        model = make(run.config).fit_prepared(run.prepared, baselines=baselines, progress=options.progress)
        if model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        options.keep(run, model)
        figures = model.metrics | training_record(model) | {"cell": name, "share": share}
        baseline_figures = found.baselines or model.metrics["baselines"]
        found = replace(found, runs=[*found.runs, figures], baselines=baseline_figures)
        save_runs(found, options.into)
    return found


def save_runs(found: Comparison, into: OutputFolder | None) -> None:
    """Write the runs that have ended."""
    if into is not None:
        save_json(into.folder / COMPARISON_FILE, found.to_dict())


def training_record(model: Any) -> dict[str, Any]:
    """Of a trained model: how big its recurrent layers are, and how its training went."""
    from holdfast.nn.recurrent import Recurrent

    layers = [layer for layer in model.module.modules() if isinstance(layer, Recurrent)]
    return {
        "hidden_size": model.config.network.hidden_size,
        "recurrent_parameters": sum(p.numel() for layer in layers for p in layer.parameters()),
        "updates_per_epoch": model.metrics["updates"] / model.history.done,
        "valid_losses": [row["valid_loss"] for row in model.history.epochs],
    }


def write_comparison_report(comparison: Comparison, title: str, folder: Path, *more: Section) -> Path:
    """``report.html`` with ``plots/`` of a comparison, and ``more`` sections before the remarks on the data."""
    from holdfast.reporting.sections import (  # loads matplotlib
        comparison_report,
        data_section,
        meanings_section,
    )

    words = part(comparison.task, "words")
    figures = comparison.runs[0]["model"]
    meanings = meanings_section(figures, words.MEANINGS, words.WHICH_WAY)
    rest = (*more, data_section(comparison.notes), meanings)
    return comparison_report(
        comparison, title, folder, words.MEASURE.of(figures), words.conclusions(comparison), *rest
    )


def _earlier(folder: Path, config: Any, new: Comparison) -> Comparison:
    """The comparison in a folder, once it is known to be of the same settings and data."""
    path = folder / COMPARISON_FILE
    if not path.exists():
        raise UserError(
            "--resume goes on with the comparison in the folder --out.",
            f"{folder} holds none." if folder.exists() else f"There is no folder {folder}.",
            "Give its folder with --out, or leave --resume out to begin a new one.",
        )
    old = Comparison.from_dict(load_json(path), str(path))
    if load_config(folder / "config.toml", type(config)) != config or old.data != new.data:
        raise UserError(
            "A resumed comparison keeps its settings and its data.",
            f"They differ from those of the comparison in {folder}.",
            "Give those it began with, or begin anew with another --out.",
        )
    return old


def check_cells(cells: Sequence[str], needed: Sequence[str] = ()) -> None:
    """Refuse unknown cells, none at all, and those that lack one of the needed ones.

    Raises:
        UserError: it is one of these.
    """
    unknown = [cell for cell in cells if cell not in _CELL_NAMES]
    if unknown or not cells:
        raise UserError(
            f"Cells are: {', '.join(_CELL_NAMES)}.",
            f"Given: {', '.join(cells) or 'none'}.",
            "Give --cells gru,lstm.",
        )
    if not set(needed) <= set(cells):
        raise UserError(
            f"This is about {' and '.join(needed)}, so that both are among the cells.",
            f"Given: {', '.join(cells)}.",
            f"Give --cells {','.join(needed)}, or leave it out.",
        )


def check_seeds(seeds: int, least: int, what: str = "A comparison") -> None:
    """Refuse fewer seeds than are needed.

    Raises:
        UserError: there are too few.
    """
    if seeds < least:
        raise UserError(
            f"{what} takes at least {least} seed{'' if least == 1 else 's'}.",
            f"It was {seeds}.",
            f"Give for example --seeds {max(least, 3)}.",
        )
