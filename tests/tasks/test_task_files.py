"""Files of a task that are imported at first use: each has the function that the core calls."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from holdfast.errors import UserError
from holdfast.tasks.contract import InspectFile, PredictFile, ReportFile
from holdfast.tasks.language.task import LanguageModel
from holdfast.tasks.registry import TASKS

FUNCTIONS = {
    "predict": PredictFile.write_predictions,
    "inspect": InspectFile.inspections,
    "report": ReportFile.sections,
}


@pytest.mark.parametrize("file", FUNCTIONS)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_the_same_functions_in_its_lazy_files(task: str, file: str) -> None:
    wanted = FUNCTIONS[file]
    found = getattr(import_module(f"{TASKS[task].package}.{file}"), wanted.__name__)
    assert list(signature(found).parameters) == list(signature(wanted).parameters)[1:]
    assert signature(found).return_annotation == signature(wanted).return_annotation


class Bare(LanguageModel):
    """A task whose folder, the one of the tests, has none of the files."""

    task = "bare"


def test_a_task_without_these_files_has_no_sections_and_cannot_inspect() -> None:
    assert Bare().report_sections(Path()) == []
    with pytest.raises(UserError, match=r"inspect\.py.*bare has none"):
        Bare().inspections(Path(), 10)


def test_a_subclass_of_a_task_has_its_files() -> None:
    class Own(LanguageModel):
        pass

    assert Own.file("report") is LanguageModel.file("report") is not None
