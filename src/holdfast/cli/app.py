"""The ``holdfast`` command: its verbs, their flags, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from cyclopts import App

from holdfast._deprecated import renamed_flags
from holdfast.cli.commands.backtest import backtest
from holdfast.cli.commands.bench import bench
from holdfast.cli.commands.claims import claims
from holdfast.cli.commands.compare import compare
from holdfast.cli.commands.demo import demo
from holdfast.cli.commands.evaluate import evaluate
from holdfast.cli.commands.info import info
from holdfast.cli.commands.inspect import inspect
from holdfast.cli.commands.predict import predict
from holdfast.cli.commands.probe import probe
from holdfast.cli.commands.train import train
from holdfast.cli.errors import check_names, notice, report
from holdfast.cli.params import with_flags
from holdfast.experiments.probes.config import PROBES
from holdfast.tasks.registry import BACKTESTS, TASKS, settings_class, task_of


def _version() -> str:
    from holdfast import __version__

    return __version__


app = App(
    name="holdfast",
    help="LSTM and GRU for sequence data: train a network, compare it with baselines, and predict with it.",
    version=_version,
    help_format="plaintext",
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for _verb in (demo, bench, inspect, info):
    app.command(_verb)


class _TaskVerb(NamedTuple):
    """A verb that takes settings: the task's part that holds them, the tasks, and the usage."""

    part: Literal["config", "prediction", "scoring"]
    tasks: list[str]
    usage: str


_TASK_VERBS: dict[Callable[..., int], _TaskVerb] = {
    train: _TaskVerb("config", [*TASKS], "holdfast train TASK DATA [FLAGS]"),
    evaluate: _TaskVerb(
        "scoring",
        [*TASKS],
        "holdfast evaluate RUN [DATA] [FLAGS]; flags of a task: holdfast evaluate TASK --help",
    ),
    predict: _TaskVerb(
        "prediction",
        [*TASKS],
        "holdfast predict RUN [DATA] [FLAGS]; flags of a task: holdfast predict TASK --help",
    ),
    compare: _TaskVerb("config", [*TASKS], "holdfast compare TASK DATA [FLAGS]"),
    claims: _TaskVerb("config", [*TASKS], "holdfast claims TASK DATA [FLAGS]"),
    backtest: _TaskVerb("config", [*BACKTESTS], "holdfast backtest TASK DATA [FLAGS]"),
}
"""Verbs that take a task's settings as flags."""

_OF_A_RUN = (evaluate.__name__, predict.__name__)
"""Verbs that take the task from their run."""

for _verb, _flags in _TASK_VERBS.items():
    _group = App(name=_verb.__name__, help=_verb.__doc__, usage=f"Usage: {_flags.usage}")
    for _task in _flags.tasks:
        _group.command(with_flags(_verb, _task, settings_class(_task, _flags.part)), name=_task)
    app.command(_group)

_probes = App(name=probe.__name__, help=probe.__doc__, usage="Usage: holdfast probe NAME [FLAGS]")
for _name, _settings in PROBES.items():
    _probes.command(with_flags(probe, _name, _settings), name=_name)
app.command(_probes)

_NAMES = {verb.__name__: flags.tasks for verb, flags in _TASK_VERBS.items()} | {probe.__name__: [*PROBES]}
"""Verb that is followed by a name -> the names."""


def _routed(words: list[str]) -> list[str]:
    """Return ``predict RUN ...`` as ``predict TASK RUN ...``, with any task if there is no run."""
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
    """Run the command line (``sys.argv`` when None), print errors, and return the exit code."""
    words = renamed_flags(sys.argv[1:] if tokens is None else tokens, notice)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "±" shows a question mark
    try:
        words = _routed(words)
        check_names(words, list(app), _NAMES)
        code = app(words)
        sys.stdout.flush()
        return int(code or 0)
    except (Exception, KeyboardInterrupt) as error:
        return report(error)
