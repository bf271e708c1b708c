"""The common part of the demos: write the data, and compare cells on them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from holdfast.config import save_config
from holdfast.experiments.compare import RunOptions, compare, write_comparison_report
from holdfast.files import DataFiles, OutputFolder, new_folder, write_atomic
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import best_cell
from holdfast.tasks.contract import TaskConfig

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """Result of a demo: data file, comparison, report, and commands to try next."""

    data: Path
    comparison: Comparison
    report: Path
    next: tuple[str, ...]


def write_data(out: Path, task: str, config: TaskConfig, name: str, text: str) -> Path:
    """Write the data file and the settings of a demo; the settings mark its folder."""
    data = new_folder(out, overwrite=True) / name
    save_config(out / "config.toml", task, config)
    write_atomic(data, text)
    return data


def compare_cells(
    task: str,
    config: TaskConfig,
    data: Path,
    title: str,
    announce: Announce,
    *,
    seeds: int = 1,
    next: Callable[[Path, str, list[str]], list[list[str]]],
) -> Demo:
    """Compare GRU and LSTM with the baselines.

    ``next`` returns commands to try after the one that trains the better cell, from the data file,
    the run folder, and the flags that give the demo's settings and that cell.
    """
    out = data.parent
    found = compare(
        task,
        config,
        DataFiles(data),
        cells=("gru", "lstm"),
        seeds=seeds,
        options=RunOptions(OutputFolder(out, overwrite=True), sys.stderr.isatty(), announce),
    )
    page = write_comparison_report(found, title, out)
    run, settings = str(out / "run"), ["--recipe", str(out / "config.toml"), "--cell", best_cell(found)]
    train = ["holdfast", "train", task, str(data), *settings, "--out", run]
    return Demo(data, found, page, tuple(map(shlex.join, [train, *next(data, run, settings)])))
