"""Demos: each is found by its name, and their data come with what is installed."""

from __future__ import annotations

from importlib import import_module

import pytest

from holdfast.demos import DEMOS
from holdfast.demos.forecast import co2_csv
from holdfast.demos.language import documentation
from holdfast.tasks import TASKS


@pytest.mark.parametrize("task", DEMOS)
def test_a_demo_is_one_of_a_task(task: str) -> None:
    module, _, name = DEMOS[task].partition(":")
    assert task in TASKS and callable(getattr(import_module(module), name))


def test_the_documentation_holds_each_paragraph_once() -> None:
    text = documentation()
    paragraphs = text.rstrip("\n").split("\n\n")
    assert len(text) > 200_000 and len(set(paragraphs)) == len(paragraphs)


def test_the_series_has_gaps_and_values() -> None:
    header, *rows = co2_csv().splitlines()
    assert header == "date,co2" and len(rows) == 2284
    assert any(row.endswith(",") for row in rows) and rows[0].startswith("1958-03-29,316.1")
