"""What each verb does, once its arguments are read."""

from __future__ import annotations

import contextlib
import math
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.cli import output as show
from holdfast.cli.errors import INTERRUPTED, notice
from holdfast.cli.task_flags import build, build_resumed, default, told
from holdfast.errors import UserError
from holdfast.files import RUN_FILES, DataFiles, OutputFolder, check_targets, write_atomic
from holdfast.tasks.registry import load, part

Given = Mapping[str, Any]

_WORTH_KEEPING = (
    "state.safetensors",
    "model.safetensors",
    "comparison.json",
    "backtest.json",
    "probe.json",
)
"""Files for which the folder of failed work stays: a run's state, its best weights, the figures of what has ended."""

_STOPPED = {"epochs": "all epochs done", "patience": "then no better", "budget": "the budget is spent"}
"""Why a training run stopped, in words."""


@dataclass(frozen=True)
class Output:
    """Where results go, and what the work begins with."""

    out: Path | None
    recipe: Path | None
    overwrite: bool
    resume: bool = False


@dataclass(frozen=True)
class Chosen:
    """A trained model: its folder, and the device that it runs on."""

    run: Path
    device: str


@dataclass(frozen=True)
class Contest:
    """What is compared, and how it is told."""

    cells: Sequence[str]
    seeds: int
    json: bool


# -- train -------------------------------------------------------------------------------------------------------


def train(task: str, given: Given, files: DataFiles, output: Output) -> int:
    """Train, score on the test part, write the folder and its report, and say what to do next."""
    config, folder = _settings(task, given, files, output)
    model = part(task, "model")(config)
    with nothing_half_written(folder):
        model.fit(
            files.data,
            valid=files.valid,
            test=files.test,
            out=folder,
            resume=output.resume,
            overwrite=output.overwrite,
            progress=True,
        )
    if model.history.stopped == "interrupted":  # training has said how to go on
        return INTERRUPTED
    from holdfast.reporting.summary import epochs_done, weights_kept

    result, words = model.metrics, part(task, "words")
    tell_notes(result["notes"])
    page = part(task, "report").run_report(model, folder)
    _show_result(model, result)
    show.write(
        f"{result['parameters']:,} parameters; {epochs_done(result)} in {result['seconds']:.1f} s "
        f"({_throughput(result, words.MEASURE.examples)}), "
        f"{weights_kept(result)} ({_STOPPED[result['stopped']]})."
    )
    show.write(f"The run is in {folder}; open {page} for the pictures. What to do next:")
    begun = [] if output.recipe is None else ["--recipe", str(output.recipe)]
    asked = [*begun, *told(model.config, words.ABOUT_THE_DATA)]
    for command in words.next_commands(str(folder), files.arguments(), asked):
        show.write(f"  {shlex.join(command)}")
    show.write(f"  {shlex.join(['holdfast', 'inspect', str(folder), str(files.test or files.data)])}")
    return 0


def _throughput(result: Mapping[str, Any], examples: str) -> str:
    """How much was trained on in a second, validation counted in the time: examples, and their steps where given."""
    rates = {
        examples: result.get("epoch_size", result["training_size"]),
        "tokens": result.get("training_steps"),
    }
    done = result["epochs_done"]
    each = {what: size * done / result["seconds"] for what, size in rates.items() if size is not None}
    return ", ".join(f"{rate:,.0f} {what}" for what, rate in each.items()) + " a second"


@contextlib.contextmanager
def nothing_half_written(folder: Path | None) -> Iterator[None]:
    """Remove a folder that failed work has made, unless it holds something to go on with or to keep."""
    was_there = folder is None or folder.exists()
    try:
        yield
    except BaseException:
        if (
            folder is not None
            and not was_there
            and not any((folder / name).exists() for name in _WORTH_KEEPING)
        ):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _settings(task: str, given: Given, files: DataFiles, output: Output) -> tuple[Any, Path]:
    """The configuration and the run's folder, ``runs/FILE-CELL`` when not named."""
    settings = part(task, "config")
    if output.resume and output.overwrite:
        raise both_given("overwrite")
    if not output.resume or output.recipe is not None:
        config = build(settings, task, given, output.recipe, files.data)
        return config, output.out or _folder(files.data, config.network.cell)
    folder = output.out or _folder(files.data, given.get("cell", default(settings, "cell")))
    return build_resumed(settings, task, given, folder), folder


def both_given(flag: str) -> UserError:
    """The error for --resume together with another flag."""
    return UserError(
        "--resume goes on with what is in a folder, with its settings.",
        f"--{flag} was given as well.",
        "Leave one of the two out.",
    )


def _folder(data: Path, cell: str) -> Path:
    return Path("runs") / f"{data.stem}-{cell}"


def tell_notes(notes: Sequence[str]) -> None:
    """What the user should know of the data, on stderr."""
    for note in notes:
        notice(f"note: {note}")


def _show_result(model: Any, result: Mapping[str, Any]) -> None:
    """The model's figures among the simple methods', and in words."""
    from holdfast.reporting.summary import VARIANTS

    words, name = part(result["task"], "words"), model.config.network.cell.upper()
    others = {f"{name} {how}": result[key] for key, how in VARIANTS.items() if key in result}
    show.score_table(words.title(result), {name: result["model"], **others, **result["baselines"]})
    for sentence in words.verdict(result):
        show.write(sentence)


# -- use ---------------------------------------------------------------------------------------------------------


def evaluate(task: str, given: Given, chosen: Chosen, data: Path | None, json: bool) -> int:
    """Figures on a file, or those of the test part from training."""
    from holdfast.reporting.summary import VARIANTS

    model = _loaded(task, chosen)
    result = model.evaluate(data, **given)
    tell_notes(getattr(model, "notes", ()))
    names = part(task, "words").EVALUATION
    missing = [name for name in names if result.get(name) in (None, {})]
    if missing:
        raise UserError(
            "metrics.json holds the figures as training wrote them.",
            f"That in {chosen.run} lacks: {', '.join(missing)}.",
            "Copy the folder again, or give a file to score on.",
        )
    if json:
        show.write_json({name: result[name] for name in (*names, *(n for n in VARIANTS if n in result))})
    else:
        _show_result(model, result)
    return 0


def predict(task: str, given: Given, chosen: Chosen, data: Path | None, out: Path | None) -> int:
    """What the model makes of a file, as it comes, or into a file."""
    asked = part(task, "prediction")(**given)
    files = {name: getattr(asked, name, None) for name in ("plot", "midi", "wav")}
    targets = {**files, "out": out}
    for path in targets.values():
        if path is not None and _is_part_of(chosen.run, path):
            raise UserError(
                "A result does not take the place of a part of the run.",
                f"{path} is one.",
                "Give another name.",
            )
    check_targets(targets, [data, getattr(asked, "harmonize", None), getattr(asked, "soundfont", None)])
    model = _loaded(task, chosen)
    pieces = part(task, "use").predicted(model, data, asked)
    if out is None:
        show.stream(pieces)
    else:
        write_atomic(out, "".join(pieces))
    tell_notes(getattr(model, "notes", ()))
    told = {"picture": files["plot"], "MIDI file": files["midi"], "sound": files["wav"], "result": out}
    for text, path in told.items():
        if path is not None:
            notice(f"The {text} is in {path}.")
    return 0


def _is_part_of(run: Path, path: Path) -> bool:
    """Whether a path is a file that training wrote into a run's folder."""
    return path.resolve().parent == run.resolve() and path.name in RUN_FILES


def _loaded(task: str, chosen: Chosen) -> Any:
    """The model in a folder, which is of this task, on its device."""
    model = load(chosen.run)
    if model.task != task:
        rule = f"These flags are those of the task {task}."
        got = f"The run in {chosen.run} is of the task {model.task}."
        raise UserError(rule, got, f"Say {model.task} instead.")
    return model.to(chosen.device)


# -- experiments -------------------------------------------------------------------------------------------------


def compare(task: str, given: Given, files: DataFiles, contest: Contest, output: Output) -> int:
    """Cells over seeds, as tables, in words, and as a folder with a page, pictures and ``comparison.json``."""
    from holdfast.experiments.compare import RunOptions, write_comparison_report
    from holdfast.experiments.compare import compare as run

    if output.resume and output.overwrite:
        raise both_given("overwrite")
    config = build(part(task, "config"), task, given, output.recipe, files.data)
    folder = output.out or Path("runs") / f"compare-{files.data.stem}"
    on = "; the same command with --resume goes on"
    with nothing_half_written(folder), kept(folder / "comparison.json", "runs", on):
        found = run(
            task,
            config,
            files,
            cells=contest.cells,
            seeds=contest.seeds,
            options=RunOptions(
                OutputFolder(folder, output.overwrite, output.resume), sys.stderr.isatty(), notice
            ),
        )
    page = write_comparison_report(found, f"Cells on {files.data.name}", folder)
    tell_notes(found.notes)
    if contest.json:
        show.write_json(found.to_dict())
        return 0
    _show_comparison(task, found, f"{task}: cells over {contest.seeds} seeds on {files.data.name}")
    show.write(f"The results are in {folder}; open {page} for the pictures.")
    return 0


@contextlib.contextmanager
def kept(path: Path, what: str, more: str = "") -> Iterator[None]:
    """Say where the figures are of what has ended before Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        if path.exists():
            notice(f"The figures of the {what} that have ended are in {path}{more}.")
        raise


def _columns(header: list[str], rows: list[list[str]], names: list[str]) -> list[list[str]]:
    """The first column and those named."""
    return [[row[0], *(row[header.index(name)] for name in names)] for row in rows]


def _show_comparison(task: str, found: Any, title: str) -> None:
    from holdfast.reporting.sections import comparison_table

    header, *rows = comparison_table(found)
    metrics = [name for name in header if any(name in figures for figures in found.baselines.values())]
    simple = [
        [name, *(show.number(figures.get(metric, math.nan)) for metric in metrics)]
        for name, figures in found.baselines.items()
    ]
    show.table(title, ["", *metrics], [*_columns(header, rows, metrics), *simple])
    costs = [name for name in header[1:] if name not in metrics]
    show.table("what the cells cost", ["", *costs], _columns(header, rows, costs))
    for sentence in part(task, "words").conclusions(found):
        show.write(sentence)


def backtest(task: str, given: Given, data: Path, folds: int, json: bool, output: Output) -> int:
    """Figures over the blocks of a walk forward, with a folder as a comparison has."""
    config = build(part(task, "config"), task, given, output.recipe, data)
    folder = output.out or Path("runs") / f"backtest-{data.stem}"
    with nothing_half_written(folder), kept(folder / "backtest.json", "blocks"):
        result = part(task, "backtest")(
            config, data, folds=folds, into=OutputFolder(folder, output.overwrite), announce=notice
        )
    page = part(task, "report").backtest_report(result, f"{data.name}, walking forward", folder)
    tell_notes(result["notes"])
    if json:
        show.write_json(result)
        return 0
    name = config.network.cell.upper()
    title = f"{task}, {folds} blocks, {result['windows']:,} windows (mean ± spread over the blocks)"
    rows = {name: result["model"], **result["baselines"]}
    show.score_table(title, rows, {name: result["spread"]})
    for sentence in part(task, "words").verdict(result):
        show.write(sentence)
    show.write(f"The results are in {folder}; open {page} for the pictures.")
    return 0


def demo(task: str, out: Path | None) -> int:
    """The main job on data that needs no download."""
    from holdfast.demos import demo as run

    found = run(task, out or Path("runs") / f"demo-{task}", notice)
    tell_notes(found.comparison.notes)
    _show_comparison(task, found.comparison, f"{task} on {found.data.name}")
    show.write(f"Open {found.report} for the pictures. What to do next:")
    for command in found.next:
        show.write(f"  {command}")
    return 0


def info(json: bool) -> int:
    """What runs here."""
    from holdfast.info import info as gather
    from holdfast.info import render

    found = gather()
    if json:
        show.write_json(found)
    else:
        show.write(render(found))
    return 0
