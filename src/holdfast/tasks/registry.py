"""Applications, one folder each, and the table by which their names find their classes.

Nothing heavy is imported until a task is used.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from holdfast.config import Scoring, read_config
from holdfast.errors import UserError
from holdfast.validation import did_you_mean

if TYPE_CHECKING:
    from holdfast.tasks.dataset import Dataset
    from holdfast.tasks.task import Task

    AnyDataset = Dataset[Any, Any]
    AnyTask = Task[Any, Any, Any, Any, Any]


class Entry(NamedTuple):
    """Where a task is: its package, and the names of its classes.

    Attributes:
        package: package with the modules ``config``, which loads without torch, and ``task``.
        model: class in ``task``: a subclass of :class:`holdfast.tasks.task.Task`.
        config: dataclass of its settings, in ``config``.
        prediction: dataclass of the settings of ``holdfast predict``, in ``config``.
        scoring: dataclass of the settings of ``holdfast evaluate``, in ``config``; None for those
            that all tasks share.
        trains_on: the data that ``train`` and ``evaluate`` read, for their help.
        predicts_from: the data that ``predict`` reads, for its help.
    """

    package: str
    model: str
    config: str
    prediction: str = "Prediction"
    scoring: str | None = None
    trains_on: str = "Data file."
    predicts_from: str = "Data file."


TASKS = {
    "forecast": Entry(
        "holdfast.tasks.forecast",
        "Forecaster",
        "ForecastConfig",
        trains_on="Table with a row for each time, or for each time of each series (CSV, TSV, Parquet).",
        predicts_from="Table of the same columns; the forecast begins where it ends.",
    ),
    "language": Entry(
        "holdfast.tasks.language",
        "LanguageModel",
        "LanguageConfig",
        scoring="LanguageScoring",
        trains_on="Text file, or a folder of text files.",
        predicts_from="Text to score, with --score; stdin when not given.",
    ),
    "classify": Entry(
        "holdfast.tasks.classify",
        "SequenceClassifier",
        "ClassifyConfig",
        trains_on="Table of texts and labels, or of series with a row for each step (CSV, TSV, JSON lines, "
        "Parquet).",
        predicts_from="Table of the same columns; when not given, stdin with one text in each line.",
    ),
    "translate": Entry(
        "holdfast.tasks.translate",
        "Translator",
        "TranslateConfig",
        trains_on="Sentence pairs: two columns separated by tabs, JSON lines, or two parallel files with "
        "--pair.",
        predicts_from="Text with one sentence in each line; stdin when not given.",
    ),
    "music": Entry(
        "holdfast.tasks.music",
        "Composer",
        "MusicConfig",
        trains_on="MIDI or ABC file, a folder of such files, or piano rolls (.mat, .json).",
        predicts_from="File with the primer: the piece that the composition continues.",
    ),
    "speech": Entry(
        "holdfast.tasks.speech",
        "SpeechRecognizer",
        "SpeechConfig",
        scoring="SpeechScoring",
        trains_on="Manifest of sound files and transcripts (CSV, TSV, JSON lines, Parquet), or a folder like "
        "LibriSpeech's.",
        predicts_from="Sound file, folder of sound files, or manifest; stdin with --live when not given.",
    ),
}
"""The applications, by name."""

BACKTESTS = {"forecast": "holdfast.experiments.backtest:backtest"}
"""Tasks whose data have an order in time -> how they are backtested."""

RUN_CONFIG, RUN_STATE, _RUN_METRICS = "config.toml", "state.safetensors", "metrics.json"
"""The files by which a run's folder is known: what it is, how far it came, and that it ended."""
_RUN_WEIGHTS = "model.safetensors"
"""What a folder with a model has, and one of a comparison has not."""


def entry(task: str, known: Collection[str] = TASKS.keys()) -> Entry:
    """Return the entry of a task.

    Raises:
        UserError: the task is unknown, or not among ``known``.
    """
    if task not in known:
        fix = did_you_mean(task, known, "Give one of these.", cutoff=0.4)
        raise UserError(f"The task must be one of {', '.join(known)}.", f"It was {task!r}.", fix)
    return TASKS[task]


def task_class(task: str) -> type[AnyTask]:
    """Return the class of a task, such as :class:`holdfast.Forecaster`; loads torch.

    Raises:
        UserError: the task is unknown.
    """
    found = entry(task)
    model: type[AnyTask] = getattr(import_module(f"{found.package}.task"), found.model)
    return model


def settings_class(task: str, kind: Literal["config", "prediction", "scoring"]) -> Any:
    """Return a dataclass of a task's settings; does not load torch.

    Raises:
        UserError: the task is unknown.
    """
    found = entry(task)
    name = getattr(found, kind)
    return Scoring if name is None else getattr(import_module(f"{found.package}.config"), name)


def backtest_of(task: str) -> Any:
    """Return the function that backtests a task.

    Raises:
        UserError: the task has none.
    """
    entry(task, BACKTESTS.keys())
    module, _, name = BACKTESTS[task].partition(":")
    return getattr(import_module(module), name)


def task_of(folder: Path) -> str | None:
    """The task of the run in a folder; None where there is none."""
    try:
        return read_config(folder / RUN_CONFIG)[0]
    except UserError:
        return None


def load(folder: Path | str) -> Any:
    """The trained model in a run's folder, whatever its task.

    Raises:
        UserError: no such folder, none of a run, a run that has not ended, a damaged file or a
            newer format.
    """
    folder = Path(folder)
    rule = "A model must be loaded from a run folder that training wrote."
    if not folder.is_dir():
        got = f"{folder} is a file." if folder.exists() else f"There is no folder {folder}."
        raise UserError(rule, got, _nearby(folder))
    if not (folder / RUN_CONFIG).exists():
        raise UserError(rule, f"{folder} has no {RUN_CONFIG}.", _nearby(folder))
    for other in ("comparison", "backtest", "probe"):
        if (folder / f"{other}.json").exists():
            raise UserError(rule, f"{folder} holds a {other}, which keeps no model.", _nearby(folder))
    if (folder / RUN_STATE).exists() and not (folder / _RUN_METRICS).exists():
        raise UserError(
            "The training of a model must have ended before it is used.",
            f"The training in {folder} was stopped before its end.",
            f"Repeat the command that started it with --out {folder} --resume.",
        )
    task, _ = read_config(folder / RUN_CONFIG)
    return task_class(task).load(folder)


def _nearby(folder: Path) -> str:
    """Return what to do about a missing folder: the run folders next to it."""
    try:
        runs = sorted(path.parent for path in folder.parent.glob(f"*/{_RUN_WEIGHTS}"))
    except OSError:
        runs = []
    if runs:
        return f"Run folders next to it: {', '.join(map(str, runs[:5]))}."
    return "Give the folder that --out named when the model was trained."
