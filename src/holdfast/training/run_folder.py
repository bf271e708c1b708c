"""Checks before a run begins in its folder, or resumes in it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from holdfast._deprecated import renamed_settings
from holdfast._json import JsonMapping
from holdfast.checkpoint import STATE
from holdfast.config import MAY_CHANGE, Training
from holdfast.errors import UserError
from holdfast.files import new_folder


def check_resumed_settings(saved: JsonMapping, training: Training, steps: int) -> None:
    """Refuse to resume with other settings, except those that may change.

    Args:
        saved: the values saved with the run's state.
        training: the current settings.
        steps: the current number of steps per epoch.

    Raises:
        UserError: a setting or the number of steps differs.
    """
    now = asdict(training) | {"steps per epoch": steps}
    then = (
        asdict(type(training)()) | renamed_settings(saved["training"]) | {"steps per epoch": saved["steps"]}
    )
    changed = [name for name in now if name not in MAY_CHANGE and now[name] != then.get(name)]
    if changed:
        raise UserError(
            f"A resumed run must have its original data and settings, except for {', '.join(MAY_CHANGE)}.",
            "; ".join(f"{name} was {then.get(name)} and is {now[name]}" for name in changed) + ".",
            "Give the original ones, or start a new run in another folder.",
        )


def prepare_run_folder(folder: Path, resume: bool) -> None:
    """Create the run folder; refuse to start a new run where another run's state is.

    Raises:
        UserError: the folder holds a run, or cannot be created.
    """
    if not resume and (folder / STATE).exists():
        raise UserError(
            "A new run must have a folder without a run.",
            f"{folder} holds the state of one.",
            "Give another folder with --out, continue its run with --resume, or replace it with --overwrite.",
        )
    new_folder(folder, resume=True)
