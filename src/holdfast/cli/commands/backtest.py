"""``holdfast backtest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import Given, Json, Overwrite, Recipe, build, whole
from holdfast.files import OutputFolder
from holdfast.tasks.registry import backtest_of, settings_class, task_class


def backtest(
    data: Path,
    /,
    *,
    folds: Annotated[int, whole("Blocks to forecast, one after the other.")] = 5,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/backtest-FILE when not given.")
    ] = None,
    recipe: Recipe = None,
    overwrite: Overwrite = False,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Train and forecast repeatedly while moving forward through the file (walk-forward)."""
    config = build(settings_class(task, "config"), task, given, recipe, data)
    folder = out or Path("runs") / f"backtest-{data.stem}"
    with output.results_in(folder, "backtest.json", "blocks", resumable=False):
        result = backtest_of(task)(
            config, data, folds=folds, into=OutputFolder(folder, overwrite), announce=notice
        )
    model = task_class(task)
    report: Any = model.file("report")
    page = report.backtest_report(result, f"{data.name}, walk-forward", folder, model.verdict(result))
    output.notes(result["notes"])
    if json:
        output.write_json(result)
        return 0
    name = config.network.cell.upper()
    title = f"{task}, {folds} blocks, {result['windows']:,} windows (mean ± spread over the blocks)"
    rows = {name: result["model"], **result["baselines"]}
    output.score_table(title, rows, model.scoreboard, {name: result["spread"]})
    for sentence in model.verdict(result):
        output.write(sentence)
    output.results_are(folder, page)
    return 0
