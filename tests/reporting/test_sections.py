"""Sections of reports."""

from __future__ import annotations

from holdfast.reporting.sections import data_section


def test_notes_on_the_data_become_sentences() -> None:
    section = data_section(["time column found: 'date'", "Two rows are empty."])
    assert list(section.words) == ["Time column found: 'date'.", "Two rows are empty."]
    assert list(data_section([]).words) == ["There is nothing to remark."]
