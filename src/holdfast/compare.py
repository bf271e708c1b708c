"""Cells against each other and against the baselines, over several seeds: what holds on this data?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.config import save_config
from holdfast.errors import UserError
from holdfast.files import new_folder, save_json
from holdfast.insight.comparison import SMALL, Comparison
from holdfast.tasks import task_class

CELL_NAMES = ("rnn", "gru", "lstm")


def compare(
    task: str,
    config: Any,
    data: Path,
    *,
    cells: Sequence[str] = CELL_NAMES,
    seeds: int = 3,
    small: bool = True,
    folder: Path | None = None,
    overwrite: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Train every cell with every seed on the same windows, and score each on the test part.

    Args:
        task: name of a task whose configuration has ``network.cell`` and ``training.seed``.
        config: the settings that all runs share.
        data: the file.
        cells: names of cells.
        seeds: runs for each cell, with seeds ``training.seed``, ``training.seed + 1``, ...
        small: also train on the latest quarter of the training windows (scaled as the whole training part is).
        folder: gets ``config.toml`` and, after each run, ``comparison.json``; nothing is written when None.
        overwrite: write over what Holdfast wrote earlier into the folder.
        announce: called with a line before and after each run.

    Raises:
        UserError: an unknown cell or fewer than one seed, and whatever is wrong with the file.
    """
    _check(cells, seeds)
    make = task_class(task)
    prepared = make(config).prepare(data)
    if folder is not None:
        new_folder(folder, overwrite=overwrite)
        save_config(folder / "config.toml", task, config)
    shares = [(1.0, prepared), (SMALL, prepared.latest(SMALL))] if small else [(1.0, prepared)]
    runs: list[dict[str, Any]] = []
    baselines = None
    for seed in range(config.training.seed, config.training.seed + seeds):
        for cell in cells:
            own = replace(
                config,
                network=replace(config.network, cell=cell),
                training=replace(config.training, seed=seed),
            )
            for share, windows in shares:
                announce(f"{cell}, seed {seed}, {share:.0%} of the training windows ...")
                model = make(own).fit_prepared(windows, baselines=baselines)
                if model.history.stopped == "interrupted":
                    raise KeyboardInterrupt
                baselines = baselines or model.baselines
                runs.append(model.metrics | {"share": share})
                found = Comparison(task, runs, runs[0]["baselines"], prepared.notes)
                if folder is not None:
                    save_json(folder / "comparison.json", found.to_dict())
    return found


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
