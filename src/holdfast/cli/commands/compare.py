"""``holdfast compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import (
    EXPERIMENT,
    FLAT,
    NO_FILES,
    Cells,
    Experiment,
    Given,
    SplitFiles,
    build,
    whole,
)
from holdfast.files import DataFiles
from holdfast.tasks.registry import settings_class


def compare(
    data: Path,
    /,
    *,
    own: Annotated[SplitFiles, FLAT] = NO_FILES,
    cells: Cells = ("rnn", "gru", "lstm"),
    seeds: Annotated[int, whole("Runs of each cell.")] = 3,
    flags: Annotated[Experiment, FLAT] = EXPERIMENT,
    task: str,
    given: Given,
) -> int:
    """Compare cells with each other and with baselines, over several seeds."""
    from holdfast.experiments.compare import COMPARISON_FILE, RunOptions, write_comparison_report
    from holdfast.experiments.compare import compare as run

    config = build(settings_class(task, "config"), task, given, flags.recipe, data)
    into = flags.folder(f"compare-{data.stem}")
    options = RunOptions(into, sys.stderr.isatty(), notice)
    with output.results_in(into.folder, COMPARISON_FILE):
        found = run(
            task,
            config,
            DataFiles(data, own.valid, own.test),
            cells=cells,
            seeds=seeds,
            options=options,
        )
    page = write_comparison_report(found, f"Cells on {data.name}", into.folder)
    output.notes(found.notes)
    if flags.json:
        output.write_json(found.to_dict())
        return 0
    output.comparison(
        task, found, f"{task}: cells over {seeds} {'seed' if seeds == 1 else 'seeds'} on {data.name}"
    )
    output.results_are(into.folder, page)
    return 0
