"""The main job of each task, on data that needs no download."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from holdfast.demos.base import Announce as Announce
from holdfast.demos.base import Demo as Demo
from holdfast.errors import UserError
from holdfast.validation import did_you_mean

DEMOS = ("forecast", "language", "translate", "classify", "music", "speech")
"""Tasks with a demo: the function ``demo`` in the module of the task's name."""


def demo(task: str, out: Path, announce: Announce = lambda text: None) -> Demo:
    """Run a task's demo; its data, plots and report replace an earlier demo in ``out``.

    Raises:
        UserError: the task has no demo, or the folder cannot be written.
    """
    if task not in DEMOS:
        raise UserError(
            f"A demo must be one of: {', '.join(DEMOS)}.",
            f"It was {task!r}.",
            did_you_mean(task, DEMOS, "Run for example: holdfast demo forecast."),
        )
    found: Demo = import_module(f"holdfast.demos.{task}").demo(out, announce)
    return found
