"""Applications, one folder each, and the table by which their names find their classes.

Nothing heavy is imported until a task is used.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.config import read_config
from holdfast.errors import UserError


class Task(NamedTuple):
    """Where the parts of a task are, as ``module`` or ``module:name``.

    Attributes:
        model: its class: built from its settings, with ``fit``, ``evaluate``, ``predict``, ``save`` and ``load``.
        config: the dataclass of its settings.
        prediction: the dataclass of what may be asked of ``holdfast predict``.
        words: the module that tells its results (``MEASURE``, ``verdict``, ...).
        use: the module of what ``holdfast predict`` writes.
        report: the module of its pages.
        scoring: the dataclass of what may be asked of ``holdfast evaluate``.
        backtest: its walk forward, where it has one.
        inspect: what is looked at in a model: a run's model, a file and a number of steps -> subjects.
    """

    model: str
    config: str
    prediction: str
    words: str
    use: str
    report: str
    scoring: str = "holdfast.config:Scoring"
    backtest: str | None = None
    inspect: str | None = None


TASKS = {
    "forecast": Task(
        "holdfast.tasks.forecast.task:Forecaster",
        "holdfast.tasks.forecast.config:ForecastConfig",
        "holdfast.tasks.forecast.config:Prediction",
        "holdfast.tasks.forecast.summary",
        "holdfast.tasks.forecast.predict",
        "holdfast.tasks.forecast.report",
        backtest="holdfast.experiments.backtest:backtest",
        inspect="holdfast.tasks.forecast.inspect:subjects",
    ),
    "language": Task(
        "holdfast.tasks.language.task:LanguageModel",
        "holdfast.tasks.language.config:LanguageConfig",
        "holdfast.tasks.language.config:Prediction",
        "holdfast.tasks.language.summary",
        "holdfast.tasks.language.predict",
        "holdfast.tasks.language.report",
        scoring="holdfast.tasks.language.config:LanguageScoring",
        inspect="holdfast.tasks.language.inspect:subjects",
    ),
    "classify": Task(
        "holdfast.tasks.classify.task:SequenceClassifier",
        "holdfast.tasks.classify.config:ClassifyConfig",
        "holdfast.tasks.classify.config:Prediction",
        "holdfast.tasks.classify.summary",
        "holdfast.tasks.classify.predict",
        "holdfast.tasks.classify.report",
        inspect="holdfast.tasks.classify.inspect:subjects",
    ),
    "translate": Task(
        "holdfast.tasks.translate.task:Translator",
        "holdfast.tasks.translate.config:TranslateConfig",
        "holdfast.tasks.translate.config:Prediction",
        "holdfast.tasks.translate.summary",
        "holdfast.tasks.translate.predict",
        "holdfast.tasks.translate.report",
        inspect="holdfast.tasks.translate.inspect:subjects",
    ),
    "music": Task(
        "holdfast.tasks.music.task:Composer",
        "holdfast.tasks.music.config:MusicConfig",
        "holdfast.tasks.music.config:Prediction",
        "holdfast.tasks.music.summary",
        "holdfast.tasks.music.predict",
        "holdfast.tasks.music.report",
        inspect="holdfast.tasks.music.inspect:subjects",
    ),
    "speech": Task(
        "holdfast.tasks.speech.task:SpeechRecognizer",
        "holdfast.tasks.speech.config:SpeechConfig",
        "holdfast.tasks.speech.config:Prediction",
        "holdfast.tasks.speech.summary",
        "holdfast.tasks.speech.predict",
        "holdfast.tasks.speech.report",
        scoring="holdfast.tasks.speech.config:SpeechScoring",
        inspect="holdfast.tasks.speech.inspect:subjects",
    ),
}
"""The applications, by name."""

RUN_CONFIG, RUN_STATE, RUN_METRICS = "config.toml", "state.safetensors", "metrics.json"
"""The files by which a run's folder is known: what it is, how far it came, and that it ended."""
_RUN_WEIGHTS = "model.safetensors"
"""What a folder with a model has, and one of a comparison has not."""


def part(task: str, name: str) -> Any:
    """A part of a task, by its name in :class:`Task`.

    Raises:
        UserError: an unknown task, with the nearest one, or one without such a part.
    """
    have = [known for known, entry in TASKS.items() if getattr(entry, name)]
    if task not in have:
        near = get_close_matches(task, have, 1, cutoff=0.4)
        fix = f"Did you mean {near[0]!r}?" if near else "Give one of these."
        raise UserError(f"Tasks are: {', '.join(have)}.", f"It was {task!r}.", fix)
    module, _, attribute = getattr(TASKS[task], name).partition(":")
    found = import_module(module)
    return getattr(found, attribute) if attribute else found


def task_of(folder: Path) -> str | None:
    """The task of the run in a folder; None where there is none."""
    try:
        return read_config(folder / RUN_CONFIG)[0]
    except UserError:
        return None


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
    for other in ("comparison", "backtest", "probe"):
        if (folder / f"{other}.json").exists():
            raise UserError(rule, f"{folder} holds a {other}, which keeps no model.", _nearby(folder))
    if (folder / RUN_STATE).exists() and not (folder / RUN_METRICS).exists():
        raise UserError(
            "A model is used when its training has ended.",
            f"The training in {folder} was stopped before its end.",
            f"Give the command that began it once more, with --out {folder} --resume.",
        )
    task, _ = read_config(folder / RUN_CONFIG)
    return part(task, "model").load(folder)


def _nearby(folder: Path) -> str:
    """What to do about a missing folder: names those beside it that hold a run."""
    try:
        runs = sorted(path.parent for path in folder.parent.glob(f"*/{_RUN_WEIGHTS}"))
    except OSError:
        runs = []
    if runs:
        return f"Beside it are: {', '.join(map(str, runs[:5]))}."
    return "Give the folder that --out named when the model was trained."
