"""Applications, one folder each, and the table by which their names find their classes.

Nothing heavy is imported until a task is used.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from holdfast.config import read_config
from holdfast.errors import UserError

TASKS = {"forecast": "holdfast.tasks.forecast:Forecaster"}
"""Task -> its model class: built from its settings, with ``fit``, ``evaluate``, ``predict``, ``save`` and ``load``."""

CONFIGS = {"forecast": "holdfast.tasks.forecast.config:ForecastConfig"}
"""Task -> the dataclass of its settings."""

REPORTS = {"forecast": "holdfast.tasks.forecast.report"}
"""Task -> the module of its pictures and pages."""

BACKTESTS = {"forecast": "holdfast.tasks.forecast.backtest:backtest"}
"""Task -> its walk forward, where it has one."""

RUN_CONFIG, RUN_STATE, RUN_METRICS = "config.toml", "state.safetensors", "metrics.json"
"""The files by which a run's folder is known: what it is, how far it came, and that it ended."""


def task_class(name: str) -> Any:
    """The model class of a task; an unknown name is a UserError with the nearest one."""
    return _find(TASKS, name)


def config_class(name: str) -> Any:
    """The dataclass of a task's settings; an unknown name is a UserError with the nearest one."""
    return _find(CONFIGS, name)


def report_module(name: str) -> Any:
    """The module with a task's ``run_report``, ``comparison_report`` with its tables, and ``backtest_report``."""
    return _find(REPORTS, name)


def backtest_function(name: str) -> Any:
    """The walk forward of a task; a task without one is a UserError."""
    return _find(BACKTESTS, name)


def load(folder: Path | str) -> Any:
    """The trained model in a run's folder, whatever its task.

    Raises:
        UserError: no such folder, none of a run, a run that has not ended, a damaged file or a newer format.
    """
    folder = Path(folder)
    rule = "A model is loaded from the folder that training wrote."
    if not folder.is_dir():
        got = f"{folder} is a file." if folder.exists() else f"There is no folder {folder}."
        raise UserError(rule, got, _nearby(folder))
    if not (folder / RUN_CONFIG).exists():
        raise UserError(rule, f"{folder} has no {RUN_CONFIG}.", _nearby(folder))
    for other in ("comparison", "backtest"):
        if (folder / f"{other}.json").exists():
            raise UserError(rule, f"{folder} holds a {other}, which keeps no model.", _nearby(folder))
    if (folder / RUN_STATE).exists() and not (folder / RUN_METRICS).exists():
        raise UserError(
            "A model is used when its training has ended.",
            f"The training in {folder} was stopped before its end.",
            f"Give the command that began it once more, with --out {folder} --resume.",
        )
    task, _ = read_config(folder / RUN_CONFIG)
    return task_class(task).load(folder)


def _nearby(folder: Path) -> str:
    """What to do about a missing folder: names those beside it that hold a run."""
    try:
        runs = sorted(path.parent for path in folder.parent.glob(f"*/{RUN_CONFIG}"))
    except OSError:
        runs = []
    if runs:
        return f"Beside it are: {', '.join(map(str, runs[:5]))}."
    return "Give the folder that --out named when the model was trained."


def _find(table: dict[str, str], name: str) -> Any:
    if name not in table:
        near = get_close_matches(name, table, 1, cutoff=0.4)
        fix = f"Did you mean {near[0]!r}?" if near else "Give one of these."
        raise UserError(f"Tasks are: {', '.join(table)}.", f"It was {name!r}.", fix)
    module, _, attribute = table[name].partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
