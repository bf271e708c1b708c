"""Atomic file writes, JSON, and the rules for output folders."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import shutil
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from holdfast._json import JsonMapping, JsonObject
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
"""Names of everything that Holdfast writes into an output folder; :func:`new_folder` removes these
on overwrite."""


@dataclass(frozen=True)
class DataFiles:
    """The data files of an experiment; a split without its own file is cut from ``data``."""

    data: Path
    valid: Path | None = None
    test: Path | None = None

    def arguments(self) -> list[str]:
        """Return the files as command-line arguments."""
        others = (("--valid", self.valid), ("--test", self.test))
        return [str(self.data), *(word for flag, path in others if path for word in (flag, str(path)))]


@dataclass(frozen=True)
class OutputFolder:
    """A folder for results; whether to overwrite earlier ones in it, or to resume its run."""

    folder: Path
    overwrite: bool = False
    resume: bool = False


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file completely or not at all; text is written as UTF-8 with ``\\n``.

    The data go to a temporary file in the same folder, are flushed to disk, and then replace the
    target in one step. A crash leaves the previous file.

    Raises:
        UserError: the file cannot be written (disk full, read-only, no permission); no temporary
            file remains.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError("The output must be a file.", f"{path} is a folder.", "Give the name of a file.")
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
    """Refuse output files that cannot be written, before any work is done.

    Args:
        targets: name of the flag -> its output file; None: not requested.
        sources: the input files.

    Raises:
        UserError: two outputs are the same file, an output is a folder or its folder does not
            exist, or an output would overwrite an input.
    """
    requested = {name: Path(path) for name, path in targets.items() if path is not None}
    for name, path in requested.items():
        same = [
            other for other, one in requested.items() if other != name and one.resolve() == path.resolve()
        ]
        if same:
            rule, got = "Each result must have its own file.", f"--{name} and --{same[0]} are both {path}."
            raise UserError(rule, got, "Give another name to one of them.")
        if path.is_dir():
            raise UserError(f"--{name} must be a file.", f"{path} is a folder.", "Give the name of a file.")
        if not path.resolve().parent.is_dir():
            raise UserError(
                f"The folder for --{name} must exist.",
                f"There is no {path.parent}.",
                "Create it, or give another name.",
            )
        if any(
            one is not None and path.exists() and path.resolve() == Path(one).resolve() for one in sources
        ):
            raise UserError(
                "A result must not overwrite its data.",
                f"{path} is the data file.",
                "Give another name.",
            )


def save_json(path: Path, values: JsonMapping) -> None:
    """Write a JSON object with :func:`write_atomic`."""
    write_atomic(path, to_json(values) + "\n")


def to_json(values: JsonMapping) -> str:
    """Return a mapping as JSON text; numbers that are not finite become null."""
    return json.dumps(_plain(values), indent=1, allow_nan=False)


def _plain(value: object) -> object:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def csv_line(fields: Iterable[object]) -> str:
    """Return values as a line of CSV, with its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def load_json(path: Path) -> JsonObject:
    """Read a JSON object, such as ``metrics.json``.

    Raises:
        UserError: the file is missing or holds no JSON object.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error, "Copy the whole folder again, or train again.") from error
    except ValueError as error:
        raise UserError(f"{path} must be a JSON file.", f"It is not: {error}.", "Train again.") from error
    if not isinstance(values, dict):
        raise UserError(
            f"{path} must hold a JSON object.", f"It holds a {type(values).__name__}.", "Train again."
        )
    return values


def new_folder(path: Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Create an output folder, with its parents.

    Args:
        path: the folder; for a new run it must be missing or empty.
        overwrite: accept the folder of an earlier run (one with Holdfast's ``config.toml``) and
            delete the run's files (:data:`RUN_FILES`); other files stay.
        resume: accept a folder that is not empty and keep everything in it.

    Raises:
        UserError: the folder is not empty, is a file, or cannot be created.
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
    """Return the names in a folder that a new run may use (:func:`new_folder`); write nothing.

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
            "The output folder must not be a file.", f"{path} is a file.", "Give another name with --out."
        )


def _check_old(path: Path, names: list[str], overwrite: bool) -> None:
    """Refuse a folder that is not empty, unless it is a run folder and may be overwritten."""
    ours = _is_run(path)
    if ours and overwrite:
        return
    ways = ["Give another folder with --out"]
    ways += ["continue its run with --resume"] if "state.safetensors" in names else []
    ways += ["replace its run with --overwrite"] if ours else []
    what = "" if ours or not overwrite else ", and is not a run folder of Holdfast"
    raise UserError(
        "A new run must have a new or empty folder.",
        f"{path} holds {listed(names)}{what}.",
        ", or ".join(ways) + ".",
    )


def _is_run(path: Path) -> bool:
    """Return whether a folder has a ``config.toml`` of Holdfast, with a format and a task."""
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


def missing_file(path: Path, what: str = "data file") -> UserError:
    """Return the error for a path that does not exist; it gives the most similar name beside it."""
    folder, name = path.parent, path.name
    if not folder.is_dir():
        return UserError(f"The {what} must exist.", f"There is no folder {folder}.", "Check the path.")
    near = get_close_matches(name, [p.name for p in folder.iterdir()], 1, cutoff=0.75)
    fix = f"Did you mean {path.with_name(near[0])}?" if near else "Check the path."
    return UserError(f"The {what} must exist.", f"There is no {path}.", fix)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "window"), counted(2000, "window")
        ('1 window', '2,000 windows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def unreadable(path: object, error: OSError, fix: str = "Check its permissions.") -> UserError:
    """Return the error for a file that the system refuses to read."""
    return UserError(f"{path} must be readable.", f"The system says: {error.strerror or error}.", fix)


def check_data_file(path: Path, rule: str, endings: Collection[str]) -> None:
    """Refuse a path that is no file with content and one of these endings.

    Raises:
        UserError: the path is missing or a folder, or the file has another ending or is empty.
    """
    if not path.exists():
        raise missing_file(path)
    if path.is_dir():
        raise UserError(rule, f"{path} is a folder.", "Name a file in it.")
    if path.suffix.lower() not in endings:
        ending, wanted = path.suffix or "(none)", ", ".join(endings)
        raise UserError(rule, f"{path} has the ending {ending}.", f"Name a file that ends in {wanted}.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} must hold rows.", "It is empty (0 bytes).", "Give a file with rows.")


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Return the first three names, and how many more there are."""
    return separator.join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _refused(rule: str, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        rule,
        f"The system refused: {reason}.",
        "Free some space, change the permissions, or give another folder.",
    )
