"""Verbs and their flags. What they do is in :mod:`holdfast.cli.commands.verbs`, imported when one runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import App, Parameter

from holdfast._deprecated import renamed_flags
from holdfast.cli.errors import check_names, notice, report
from holdfast.cli.params import (
    FLAT,
    NEW,
    NO_FILES,
    USUAL,
    Cells,
    Data,
    Device,
    Earlier,
    Json,
    Overwrite,
    OwnFiles,
    Recipe,
    Run,
    Trials,
    switch,
)
from holdfast.cli.task_flags import split_commas, whole_number, with_flags
from holdfast.experiments.probes.config import PROBES
from holdfast.files import DataFiles
from holdfast.tasks.registry import TASKS, part, task_of

Given = dict[str, Any]


def version() -> str:
    """The installed version."""
    from holdfast import __version__

    return __version__


app = App(
    name="holdfast",
    help="Recurrent networks for sequence data: train one, compare it with simple methods, and put it to use.",
    version=version,
    help_format="plaintext",
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


@app.command
def demo(
    task: Annotated[str, Parameter(help="Which task.")] = "forecast",
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of its results; runs/demo-TASK when not given.")
    ] = None,
) -> int:
    """Train, judge and use a model on data that needs no download."""
    from holdfast.cli.commands import verbs

    return verbs.demo(task, out)


def train(
    data: Data,
    /,
    *,
    own: Annotated[OwnFiles, FLAT] = NO_FILES,
    out: Annotated[Path | None, Parameter(help="Folder of the run; runs/FILE-CELL when not given.")] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    task: str,
    given: Given,
) -> int:
    """Train a model, score it once on the test part beside simple methods, and write the run's folder."""
    from holdfast.cli.commands import verbs

    files = DataFiles(data, own.valid, own.test)
    return verbs.train(task, given, files, verbs.Output(out, recipe, earlier.overwrite, earlier.resume))


def evaluate(
    run: Run,
    data: Annotated[
        Path | None, Parameter(help="File to score on; the test part's figures when not given.")
    ] = None,
    /,
    *,
    device: Device = "auto",
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Figures of a model and of the simple methods, on the same data."""
    from holdfast.cli.commands import verbs

    return verbs.evaluate(task, given, verbs.Chosen(run, device), data, json)


def predict(
    run: Run,
    data: Annotated[
        Path | None,
        Parameter(
            help="File to predict from, where the task takes one; without, or by -, texts and live sound from stdin."
        ),
    ] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write; stdout when not given.")] = None,
    device: Device = "auto",
    task: str,
    given: Given,
) -> int:
    """Put a model to use: forecast a series, write or score a text, ..."""
    from holdfast.cli.commands import verbs

    return verbs.predict(task, given, verbs.Chosen(run, device), data, out)


def compare(
    data: Data,
    /,
    *,
    own: Annotated[OwnFiles, FLAT] = NO_FILES,
    cells: Cells = ("rnn", "gru", "lstm"),
    seeds: Annotated[int, Parameter(help="Runs for each cell.", converter=whole_number)] = 3,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/compare-FILE when not given.")
    ] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Cells against each other and against simple methods, over seeds."""
    from holdfast.cli.commands import verbs

    output = verbs.Output(out, recipe, earlier.overwrite, earlier.resume)
    files = DataFiles(data, own.valid, own.test)
    return verbs.compare(task, given, files, verbs.Contest(cells, seeds, json), output)


def claims(
    data: Data,
    /,
    *,
    own: Annotated[OwnFiles, FLAT] = NO_FILES,
    trials: Annotated[Trials, FLAT] = USUAL,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/claims-FILE when not given.")
    ] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """What is said of LSTM and GRU, tested on these data: parameters, speed, overfitting, memory; over paired seeds."""
    from holdfast.cli.commands import claims as claiming
    from holdfast.cli.commands.verbs import Output

    output, files = (
        Output(out, recipe, earlier.overwrite, earlier.resume),
        DataFiles(data, own.valid, own.test),
    )
    asked = (trials.cells, trials.seeds, trials.fractions)
    return claiming.claims(task, given, files, asked, json, output)


def backtest(
    data: Data,
    /,
    *,
    folds: Annotated[int, Parameter(help="Blocks that are forecast in turn.", converter=whole_number)] = 5,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/backtest-FILE when not given.")
    ] = None,
    recipe: Recipe = None,
    overwrite: Overwrite = False,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Train and forecast again and again, moving on through the file (walk-forward)."""
    from holdfast.cli.commands import verbs

    return verbs.backtest(task, given, data, folds, json, verbs.Output(out, recipe, overwrite))


Names = Annotated[
    tuple[str, ...], Parameter(converter=split_commas, metavar="A,B,...", negative=(), show_default=False)
]


@app.command
def bench(
    *,
    quick: Annotated[bool, switch("A minute: few shapes, few repetitions, GRU and LSTM.")] = False,
    modes: Annotated[
        Names, Parameter(help="inference, training, ragged, trace, streaming, options, bf16, int8.")
    ] = (),
    cells: Annotated[Names, Parameter(help="gru, lstm, rnn.")] = (),
    shapes: Annotated[Names, Parameter(help="As BATCHxINPUTxHIDDENxSTEPS.")] = (),
    peers: Annotated[
        Names, Parameter(help="Such as torch or onnxruntime; all that are installed when not given.")
    ] = (),
    threads: Annotated[int | None, Parameter(help="Threads of each peer.", converter=whole_number)] = None,
    repetitions: Annotated[
        int | None, Parameter(help="Timings of each peer.", converter=whole_number)
    ] = None,
    out: Annotated[Path | None, Parameter(help="JSON file of everything, written as it goes.")] = None,
    plot: Annotated[Path | None, Parameter(help="PNG file to draw the result into.")] = None,
    json: Json = False,
) -> int:
    """Holdfast's layers and other libraries side by side: times, ratios, and the share of the peak."""
    from holdfast.cli.commands import bench as measure

    names = measure.Names(modes, cells, shapes, peers)
    return measure.bench(quick, names, threads, repetitions, measure.Output(out, plot, json))


@app.command
def inspect(
    run: Run,
    data: Annotated[
        Path, Parameter(help="What the model is given: a text, a table, a manifest of sounds, ...")
    ],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of report.html and the pictures; RUN/inspect when not given.")
    ] = None,
    steps: Annotated[
        int, Parameter(help="Steps of the data that are looked at, at most.", converter=whole_number)
    ] = 1000,
    terminal: Annotated[bool, switch("Draw in the terminal as well.")] = False,
    compare_with: Annotated[
        Names, Parameter(help="Folders of other runs, whose memory and gradients are set beside this one's.")
    ] = (),
    device: Device = "auto",
) -> int:
    """What the gates do, how far memory reaches, where gradients vanish, and what moved an answer."""
    from holdfast.cli.commands import inspect as inspecting
    from holdfast.cli.commands import verbs

    asked = inspecting.Asked(out, steps, terminal, tuple(Path(name) for name in compare_with))
    return inspecting.inspect(verbs.Chosen(run, device), data, asked)


def probe(
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/probe-NAME when not given.")
    ] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """How far back cells remember: long-range tasks, each beside one who remembers nothing."""
    from holdfast.cli.commands import probe as probing
    from holdfast.cli.commands import verbs

    output = verbs.Output(out, recipe, earlier.overwrite, earlier.resume)
    return probing.probe(task, given, output, json)


@app.command
def info(*, json: Json = False) -> int:
    """Versions, processor, devices, and which kernel runs what, with the reasons."""
    from holdfast.cli.commands import verbs

    return verbs.info(json)


class Flags(NamedTuple):
    """Whose flags a verb has: the part of a task that holds them, its tasks, and how the verb is called."""

    part: str
    tasks: list[str]
    usage: str


_TASK_VERBS: dict[Callable[..., int], Flags] = {
    train: Flags("config", [*TASKS], "holdfast train TASK DATA [FLAGS]"),
    evaluate: Flags(
        "scoring",
        [*TASKS],
        "holdfast evaluate RUN [DATA] [FLAGS]; a task's flags: holdfast evaluate TASK --help",
    ),
    predict: Flags(
        "prediction",
        [*TASKS],
        "holdfast predict RUN [DATA] [FLAGS]; a task's flags: holdfast predict TASK --help",
    ),
    compare: Flags("config", [*TASKS], "holdfast compare TASK DATA [FLAGS]"),
    claims: Flags("config", [*TASKS], "holdfast claims TASK DATA [FLAGS]"),
    backtest: Flags("config", [t for t in TASKS if TASKS[t].backtest], "holdfast backtest TASK DATA [FLAGS]"),
}
"""Verbs whose flags are those of a task."""

_OF_A_RUN = (evaluate.__name__, predict.__name__)
"""Verbs whose task is that of the run they are given."""

for _verb, _flags in _TASK_VERBS.items():
    _group = App(name=_verb.__name__, help=_verb.__doc__, usage=f"Usage: {_flags.usage}")
    for _task in _flags.tasks:
        _group.command(with_flags(_verb, _task, part(_task, _flags.part)), name=_task)
    app.command(_group)

_probes = App(name=probe.__name__, help=probe.__doc__, usage="Usage: holdfast probe NAME [FLAGS]")
for _name, _settings in PROBES.items():
    _probes.command(with_flags(probe, _name, _settings), name=_name)
app.command(_probes)

NAMED = {verb.__name__: flags.tasks for verb, flags in _TASK_VERBS.items()} | {probe.__name__: [*PROBES]}
"""Verbs that are followed by a name -> the names."""


def _routed(words: list[str]) -> list[str]:
    """``predict RUN ...`` as ``predict TASK RUN ...``; without a run any task will do, as there the verb ends."""
    if words[:1] not in ([name] for name in _OF_A_RUN) or words[1:2] in (["--help"], ["-h"]):
        return words
    if words[1:2] in ([task] for task in TASKS) and task_of(Path(words[1])) is None:
        return words
    found = (
        task for word in words[1:] if not word.startswith("-") and (task := task_of(Path(word))) in TASKS
    )
    given = [
        word for before, word in pairwise(words) if word != "-" or before.startswith("--")
    ]  # "-": no file
    return [words[0], next(found, next(iter(TASKS))), *given]


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` when None) and return the exit code; errors are reported, never raised."""
    words = renamed_flags(sys.argv[1:] if tokens is None else tokens, notice)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "±" shows a question mark
    try:
        words = _routed(words)
        check_names(words, list(app), NAMED)
        code = app(words)
        sys.stdout.flush()
        return int(code or 0)
    except (Exception, KeyboardInterrupt) as error:
        return report(error)
