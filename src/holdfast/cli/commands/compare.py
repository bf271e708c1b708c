"""``holdfast compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import (
    FLAT,
    NEW,
    NO_FILES,
    Cells,
    Data,
    Earlier,
    Given,
    Json,
    Recipe,
    SplitFiles,
    build,
    whole,
)
from holdfast.files import DataFiles, OutputFolder
from holdfast.tasks.registry import settings_class


def compare(
    data: Data,
    /,
    *,
    own: Annotated[SplitFiles, FLAT] = NO_FILES,
    cells: Cells = ("rnn", "gru", "lstm"),
    seeds: Annotated[int, whole("Runs of each cell.")] = 3,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/compare-FILE when not given.")
    ] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Compare cells with each other and with baselines, over several seeds."""
    from holdfast.experiments.compare import COMPARISON_FILE, RunOptions, write_comparison_report
    from holdfast.experiments.compare import compare as run

    earlier.check()
    config = build(settings_class(task, "config"), task, given, recipe, data)
    folder = out or Path("runs") / f"compare-{data.stem}"
    into = OutputFolder(folder, earlier.overwrite, earlier.resume)
    options = RunOptions(into, sys.stderr.isatty(), notice)
    with output.results_in(folder, COMPARISON_FILE):
        found = run(
            task,
            config,
            DataFiles(data, own.valid, own.test),
            cells=cells,
            seeds=seeds,
            options=options,
        )
    page = write_comparison_report(found, f"Cells on {data.name}", folder)
    output.notes(found.notes)
    if json:
        output.write_json(found.to_dict())
        return 0
    output.comparison(
        task, found, f"{task}: cells over {seeds} {'seed' if seeds == 1 else 'seeds'} on {data.name}"
    )
    output.results_are(folder, page)
    return 0
