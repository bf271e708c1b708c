"""What must hold before a run begins in a folder, or goes on in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast._deprecated import renamed_settings
from holdfast.checkpoint import STATE
from holdfast.config import MAY_CHANGE, Training
from holdfast.errors import UserError
from holdfast.files import new_folder


def check_resumed_settings(saved: Mapping[str, Any], training: Training, steps: int) -> None:
    """Refuse to go on with other settings, but for those that may change.

    Args:
        saved: what was saved with the run's state.
        training: the settings now.
        steps: in an epoch, now.

    Raises:
        UserError: a setting differs, or the number of steps.
    """
    now = asdict(training) | {"steps in an epoch": steps}
    then = (
        asdict(type(training)()) | renamed_settings(saved["training"]) | {"steps in an epoch": saved["steps"]}
    )
    changed = [name for name in now if name not in MAY_CHANGE and now[name] != then.get(name)]
    if changed:
        raise UserError(
            f"A resumed run has the data and settings that it began with, but for {', '.join(MAY_CHANGE)}.",
            "; ".join(f"{name} was {then.get(name)} and is {now[name]}" for name in changed) + ".",
            "Give the same, or begin a new run in another folder.",
        )


def prepare_run_folder(folder: Path, resume: bool) -> None:
    """Make the run's folder; a new run does not begin where another's state is.

    Raises:
        UserError: there is one, or the folder cannot be made.
    """
    if not resume and (folder / STATE).exists():
        raise UserError(
            "A new run needs a folder without a run.",
            f"{folder} holds the state of one.",
            "Give another folder with --out, go on with its run with --resume, or write over it with --overwrite.",
        )
    new_folder(folder, resume=True)
