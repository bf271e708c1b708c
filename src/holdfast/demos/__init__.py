"""The main job of each task, on data that needs no download."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from holdfast.demos.base import Announce as Announce
from holdfast.demos.base import Demo as Demo
from holdfast.errors import UserError
from holdfast.validation import did_you_mean

DEMOS = {
    "forecast": "holdfast.demos.forecast:forecast_demo",
    "language": "holdfast.demos.language:language_demo",
    "translate": "holdfast.demos.translate:translate_demo",
    "classify": "holdfast.demos.classify:classify_demo",
    "music": "holdfast.demos.music:music_demo",
    "speech": "holdfast.demos.speech:speech_demo",
}
"""Task -> its demo."""


def demo(task: str, out: Path, announce: Announce = lambda text: None) -> Demo:
    """Run a task's demo and write its data, plots and report into ``out``, in place of an earlier demo.

    Raises:
        UserError: the task has no demo, or the folder cannot be written.
    """
    if task not in DEMOS:
        raise UserError(
            f"A demo must be one of: {', '.join(DEMOS)}.",
            f"It was {task!r}.",
            did_you_mean(task, DEMOS, "Run for example: holdfast demo forecast."),
        )
    module, _, name = DEMOS[task].partition(":")
    found: Demo = getattr(import_module(module), name)(out, announce)
    return found
