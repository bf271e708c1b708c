"""Cells against each other and against the baselines, over several seeds: what holds on this data?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.config import load_config, save_config
from holdfast.errors import UserError
from holdfast.files import Files, Into, load_json, new_folder, save_json
from holdfast.insight.comparison import SMALL, Comparison
from holdfast.insight.report import Section
from holdfast.tasks import part

CELL_NAMES = ("rnn", "gru", "lstm")


def compare(
    task: str,
    config: Any,
    files: Files,
    *,
    cells: Sequence[str] = CELL_NAMES,
    seeds: int = 3,
    small: bool = True,
    into: Into | None = None,
    progress: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Train every cell with every seed on the same windows, and score each on the test part.

    Args:
        task: name of a task whose configuration has ``network.cell`` and ``training.seed``.
        config: the settings that all runs share.
        files: the data, and the parts that have files of their own.
        cells: names of cells.
        seeds: runs for each cell, with seeds ``training.seed``, ``training.seed + 1``, ...
        small: also train on the latest quarter of the training windows (scaled as the whole training part is).
        into: a folder that gets ``config.toml`` and, after each run, ``comparison.json``; nothing is written when None.
            A comparison that is resumed does not do again the runs that have ended.
        progress: a progress bar on stderr for each run.
        announce: called with a line before each run.

    Raises:
        UserError: an unknown cell or fewer than one seed, and whatever is wrong with the file.
    """
    _check(cells, seeds)
    make = part(task, "model")
    prepared = make(config).prepare(files.data, files.valid, files.test)
    found = Comparison(task, [], {}, prepared.notes, prepared.digest)
    if into is not None and into.resume:
        found = _earlier(into.folder, config, found)
    elif into is not None:
        new_folder(into.folder, overwrite=into.overwrite)
        save_config(into.folder / "config.toml", task, config)
    shares = [(1.0, prepared), (SMALL, prepared.latest(SMALL))] if small else [(1.0, prepared)]
    seeds_of = range(config.training.seed, config.training.seed + seeds)
    planned = [(seed, cell, *share) for seed in seeds_of for cell in cells for share in shares]
    baselines = make(config).fit_baselines(prepared)
    examples = part(task, "words").MEASURE.examples
    for number, (seed, cell, share, windows) in enumerate(planned, 1):
        if any((r["seed"], r["cell"], r["share"]) == (seed, cell, share) for r in found.runs):
            continue
        announce(
            f"run {number} of {len(planned)}: {cell}, seed {seed}, {share:.0%} of the training {examples} ..."
        )
        own = replace(
            config, network=replace(config.network, cell=cell), training=replace(config.training, seed=seed)
        )
        model = make(own).fit_prepared(windows, baselines=baselines, progress=progress)
        if model.history.stopped == "interrupted":
            raise KeyboardInterrupt
        runs = [*found.runs, model.metrics | {"share": share}]
        found = replace(found, runs=runs, baselines=found.baselines or model.metrics["baselines"])
        if into is not None:
            save_json(into.folder / "comparison.json", found.to_dict())
    return found


def report(comparison: Comparison, title: str, folder: Path, *more: Section) -> Path:
    """``report.html`` with ``plots/`` of a comparison, and ``more`` sections before the remarks on the data."""
    from holdfast.insight.pages import comparison_report, data_section, meanings_section  # loads matplotlib

    words = part(comparison.task, "words")
    figures = comparison.runs[0]["model"]
    meanings = meanings_section(figures, words.MEANINGS, words.WHICH_WAY)
    rest = (*more, data_section(comparison.notes), meanings)
    return comparison_report(
        comparison, title, folder, words.MEASURE.of(figures), words.conclusions(comparison), *rest
    )


def _earlier(folder: Path, config: Any, new: Comparison) -> Comparison:
    """The comparison in a folder, once it is known to be of the same settings and data."""
    path = folder / "comparison.json"
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


def _check(cells: Sequence[str], seeds: int) -> None:
    unknown = [cell for cell in cells if cell not in CELL_NAMES]
    if unknown or not cells:
        raise UserError(
            f"Cells are: {', '.join(CELL_NAMES)}.",
            f"Given: {', '.join(cells) or 'none'}.",
            "Give --cells gru,lstm.",
        )
    if seeds < 1:
        raise UserError(
            "A comparison takes at least 1 seed.", f"It was {seeds}.", "Give for example --seeds 3."
        )
