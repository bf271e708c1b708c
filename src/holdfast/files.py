"""Writing files so that nobody ever finds half of one, and the rule for output folders."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    "warnings.csv",
    "metrics.json",
    "logs",
    "comparison.json",
    "claims.json",
    "weights",
    "backtest.json",
    "probe.json",
    "report.html",
    "plots",
)
"""What is written into the folder of a run, a comparison or a backtest; :func:`new_folder` removes these when it may
overwrite."""


@dataclass(frozen=True)
class DataFiles:
    """The files of an experiment; a part without its own is cut from ``data``."""

    data: Path
    valid: Path | None = None
    test: Path | None = None

    def arguments(self) -> list[str]:
        """As on a command line."""
        others = (("--valid", self.valid), ("--test", self.test))
        return [str(self.data), *(word for flag, path in others if path for word in (flag, str(path)))]


@dataclass(frozen=True)
class OutputFolder:
    """The folder that results go into, whether to write over Holdfast's earlier ones there, and whether to go on."""

    folder: Path
    overwrite: bool = False
    resume: bool = False


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all; text is UTF-8 with ``\\n``.

    The data go to a temporary file in the same folder, reach the disk, and then take the name in one step: a crash
    leaves the previous file.

    Raises:
        UserError: the folder or the disk refuses (full, read-only, no permission); no temporary file is left.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(
            "A file is written under a name of its own.", f"{path} is a folder.", "Give a file's name."
        )
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


def check_targets(targets: Mapping[str, Path | None], sources: Sequence[Path | None] = ()) -> None:
    """Refuse files that cannot be written, before anything is made that would go into them.

    Args:
        targets: name of the flag -> the file; None is not asked for.
        sources: files that are read.

    Raises:
        UserError: two files are the same, one is a folder or in no folder, or would take the place of a source.
    """
    asked = {name: Path(path) for name, path in targets.items() if path is not None}
    for name, path in asked.items():
        same = [other for other, one in asked.items() if other != name and one.resolve() == path.resolve()]
        if same:
            rule, got = "Each result has a file of its own.", f"--{name} and --{same[0]} are both {path}."
            raise UserError(rule, got, "Give another name to one of them.")
        if path.is_dir():
            rule = f"--{name} is a file, written under a name of its own."
            raise UserError(rule, f"{path} is a folder.", "Give a file's name.")
        if not path.resolve().parent.is_dir():
            raise UserError(
                f"The file of --{name} is written into a folder that is there.",
                f"There is no {path.parent}.",
                "Make it, or give another name.",
            )
        if any(
            one is not None and path.exists() and path.resolve() == Path(one).resolve() for one in sources
        ):
            raise UserError(
                "A result does not take the place of its data.",
                f"{path} is the data file.",
                "Give another name.",
            )


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object by :func:`write_atomic`."""
    write_atomic(path, to_json(values) + "\n")


def to_json(values: Mapping[str, Any]) -> str:
    """A mapping as JSON text; what is not finite is null."""
    return json.dumps(_plain(values), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


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
        fix = "Copy the whole folder again, or train anew."
        raise UserError(f"{path} must be readable.", f"The system says: {reason}.", fix) from error
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
        overwrite: accept the folder of an earlier run (one with Holdfast's ``config.toml``) and remove the run's files
            (:data:`RUN_FILES`) from it; other files stay.
        resume: accept a folder that is not empty and leave everything in it.

    Raises:
        UserError: the folder is not empty, is a file, or cannot be made.
    """
    path = Path(path)
    _check_folder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not resume:
            names = check_new_folder(path, overwrite)
            for name in set(names) & set(RUN_FILES):
                _remove(path / name)
    except OSError as error:
        raise _refused(f"The output folder {path} must be writable.", error) from error
    return path


def check_new_folder(path: Path, overwrite: bool) -> list[str]:
    """What an output folder holds, if a new run may begin in it (:func:`new_folder`); nothing is written.

    Raises:
        UserError: as :func:`new_folder`.
    """
    _check_folder(path)
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    if names:
        _check_old(path, names, overwrite)
    return names


def _check_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(
            "The output folder is a folder.", f"{path} is a file.", "Give another name with --out."
        )


def _check_old(path: Path, names: list[str], overwrite: bool) -> None:
    """A folder that holds something is written over only when that is asked for and it is one of Holdfast's."""
    ours = _is_run(path)
    if ours and overwrite:
        return
    ways = ["Give another folder with --out"]
    ways += ["go on with its run with --resume"] if "state.safetensors" in names else []
    ways += ["write over it with --overwrite"] if ours else []
    what = "" if ours or not overwrite else ", and nothing by which Holdfast knows its own"
    raise UserError(
        "A new run needs a new or empty folder.",
        f"{path} holds {listed(names)}{what}.",
        ", or ".join(ways) + ".",
    )


def _is_run(path: Path) -> bool:
    """Whether a folder has a ``config.toml`` as Holdfast writes it, with a format and a task."""
    try:
        values = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return {"format", "task"} <= values.keys()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first three of some names, and how many more there are."""
    return separator.join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _refused(rule: str, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        rule,
        f"The system refused: {reason}.",
        "Free some space, change the permissions, or give another folder.",
    )
