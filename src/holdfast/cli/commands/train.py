"""``holdfast train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from holdfast._json import JsonMapping
from holdfast.cli import output
from holdfast.cli.errors import INTERRUPTED
from holdfast.cli.params import (
    FLAT,
    NEW,
    NO_FILES,
    Earlier,
    Given,
    Recipe,
    SplitFiles,
    as_flags,
    build,
    build_resumed,
)
from holdfast.config import settings_of
from holdfast.files import DataFiles
from holdfast.tasks.registry import settings_class, task_class

if TYPE_CHECKING:
    from holdfast.tasks.contract import TaskConfig
    from holdfast.tasks.registry import AnyTask

_STOPPED = {
    "epochs": "all epochs done",
    "patience": "no improvement after it",
    "budget": "the budget is spent",
}
"""Why a training run stopped, for the summary."""


def train(
    data: Path,
    /,
    *,
    own: Annotated[SplitFiles, FLAT] = NO_FILES,
    out: Annotated[Path | None, Parameter(help="Run folder to write; runs/FILE-CELL when not given.")] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    task: str,
    given: Given,
) -> int:
    """Train a network, evaluate it once on the test split against baselines, and save the run."""
    files = DataFiles(data, own.valid, own.test)
    earlier.check()
    config, folder = _settings(task, given, files.data, out, recipe, earlier.resume)
    model = task_class(task)(config)
    with output.results_in(folder):
        model.fit(
            files.data,
            valid=files.valid,
            test=files.test,
            out=folder,
            resume=earlier.resume,
            overwrite=earlier.overwrite,
            progress=True,
        )
    if model.interrupted:  # training has printed how to resume
        return INTERRUPTED
    output.notes(model.metrics["notes"])
    _show_run(model, folder, files, recipe)
    return 0


def _settings(
    task: str, given: Given, data: Path, out: Path | None, recipe: Path | None, resume: bool
) -> tuple[TaskConfig, Path]:
    """Return the settings and the run folder, ``runs/FILE-CELL`` if it is not named."""
    settings = settings_class(task, "config")
    if not resume or recipe is not None:
        config = build(settings, task, given, recipe, data)
        return config, out or _folder(data, config.network.cell)
    cell = next(setting.default for setting in settings_of(settings) if setting.name == "cell")
    folder = out or _folder(data, given.get("cell", cell))
    return build_resumed(settings, task, given, folder), folder


def _folder(data: Path, cell: str) -> Path:
    return Path("runs") / f"{data.stem}-{cell}"


def _show_run(model: AnyTask, folder: Path, files: DataFiles, recipe: Path | None) -> None:
    """Print the result, the cost of the training, and the commands to run next."""
    from holdfast.reporting.summary import epochs_done, weights_kept

    result = model.metrics
    page = model.report(folder)
    output.result(model, result)
    output.write(
        f"{result['parameters']:,} parameters; {epochs_done(result)} in {result['seconds']:.1f} s "
        f"({_throughput(result, model.scoreboard.examples)}), "
        f"{weights_kept(result)} ({_STOPPED[result['stopped']]})."
    )
    output.write(f"The run is in {folder}; open {page} for the report. What to do next:")
    flags = as_flags(model.config, model.data_settings, recipe, model.task)
    inspect = ["holdfast", "inspect", str(folder), str(files.test or files.data)]
    for command in (*model.next_commands(str(folder), files.arguments(), flags), inspect):
        output.write(f"  {shlex.join(command)}")


def _throughput(result: JsonMapping, examples: str) -> str:
    """Return the examples, and the tokens where counted, per second; the time includes validation."""
    rates = {examples: result.get("epoch_size", result["training_size"])}
    if "training_steps" in result:
        rates["tokens"] = result["training_steps"]
    done = result["epochs_done"]
    each = {what: size * done / result["seconds"] for what, size in rates.items()}
    return ", ".join(f"{rate:,.0f} {what}" for what, rate in each.items()) + " a second"
