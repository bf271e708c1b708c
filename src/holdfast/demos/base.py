"""What the demos have alike: cells compared on data that a demo has written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.config import save_config
from holdfast.experiments.compare import RunOptions, compare, write_comparison_report
from holdfast.files import DataFiles, OutputFolder, new_folder, write_atomic
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import best_cell

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Demo:
    """What a demo made: its data file, the comparison, the page, and commands to try next."""

    data: Path
    comparison: Comparison
    report: Path
    next: tuple[str, ...]


def written(out: Path, task: str, config: Any, name: str, text: str) -> Path:
    """The demo's data file in its folder, with its settings, by which an earlier demo's folder is known."""
    data = new_folder(out, overwrite=True) / name
    save_config(out / "config.toml", task, config)
    write_atomic(data, text)
    return data


def compared(
    task: str,
    config: Any,
    data: Path,
    title: str,
    announce: Announce,
    *,
    seeds: int = 1,
    next: Callable[[str], Sequence[Sequence[str]]],
) -> Demo:
    """GRU and LSTM among the simple methods; ``next`` gives commands to try with the better cell."""
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
    return Demo(data, found, page, tuple(shlex.join(command) for command in next(best_cell(found))))
