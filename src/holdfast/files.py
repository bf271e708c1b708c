"""Writing files so that nobody ever finds half of one, and the rule for output folders."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from holdfast.errors import UserError

RUN_FILES = (
    "config.toml",
    "data.json",
    "model.safetensors",
    "baselines.safetensors",
    "state.safetensors",
    "history.csv",
    "metrics.json",
    "logs",
)
"""What a run writes into its folder; :func:`new_folder` removes these when it may overwrite."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all; text is UTF-8 with ``\\n``.

    The data go to a temporary file in the same folder, reach the disk, and then take the name in one step: a crash
    leaves the previous file.

    Raises:
        UserError: the folder or the disk refuses (full, read-only, no permission); no temporary file is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _refused(f"{path} must be writable.", error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, such as ``metrics.json``.

    Raises:
        UserError: no such file, or no JSON object in it.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} must be readable.", f"The system says: {reason}.", "Check the name."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} must be a JSON file.", f"It is not: {error}.", "Train anew.") from error
    if not isinstance(values, dict):
        raise UserError(
            f"{path} must hold a JSON object.", f"It holds a {type(values).__name__}.", "Train anew."
        )
    return values


def new_folder(path: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Make the output folder of a run, with its parents.

    Args:
        path: the folder. For a new run it does not exist or is empty.
        overwrite: accept a folder that is not empty and remove an earlier run's files (:data:`RUN_FILES`) from it;
            other files stay.
        resume: accept a folder that is not empty and leave everything in it.

    Raises:
        UserError: the folder is not empty, is a file, or cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = sorted(entry.name for entry in path.iterdir())
        if names and not (overwrite or resume):
            raise UserError(
                "A new run needs a new or empty folder.",
                f"{path} holds {_listed(names)}.",
                "Give another folder with --out, go on with its run with --resume, or write over it with --overwrite.",
            )
        if not resume:
            for name in set(names) & set(RUN_FILES):
                _remove(path / name)
    except OSError as error:
        raise _refused(f"The output folder {path} must be writable.", error) from error
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _refused(rule: str, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        rule,
        f"The system refused: {reason}.",
        "Free some space, change the permissions, or give another folder.",
    )
