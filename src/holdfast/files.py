"""Writing files so that nobody ever finds half of one, and the rule for output folders."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from holdfast.errors import UserError

RUN_FILES = ("config.toml", "model.safetensors", "state.safetensors", "history.csv", "metrics.json", "logs")
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


def new_folder(path: Path, overwrite: bool = False) -> Path:
    """Make the output folder of a new run, with its parents; a run that is resumed does not call this.

    Args:
        path: the folder. It may exist, empty.
        overwrite: accept a folder that is not empty and remove an earlier run's files (:data:`RUN_FILES`) from it;
            other files stay.

    Raises:
        UserError: the folder is not empty, is a file, or cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = sorted(entry.name for entry in path.iterdir())
        if names and not overwrite:
            raise UserError(
                "A new run needs a new or empty folder.",
                f"{path} holds {_listed(names)}.",
                "Give another folder with --out, go on with its run with --resume, or write over it with --overwrite.",
            )
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
