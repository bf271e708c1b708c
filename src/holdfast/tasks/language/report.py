"""The page of a language model's training run."""

from __future__ import annotations

from pathlib import Path

from holdfast.reporting.html import Section, write_report
from holdfast.reporting.sections import data_section, meanings_section, result_section
from holdfast.tasks.language.summary import MEANINGS, MEASURE, WHICH_WAY, verdict
from holdfast.tasks.language.task import LanguageModel

_TEMPERATURES = (0.5, 0.8, 1.0)
_LENGTH = {"character": 400, "byte": 400, "word": 80, "subword": 120}
"""Units of a sample."""


def run_report(model: LanguageModel, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures, learning curves, and what the model writes."""
    result, history = model.metrics, model.history
    assert history is not None
    length = _LENGTH[result["unit"]]
    samples = [["temperature", "text"]]
    samples += [[str(t), model.generate(length=length, temperature=t, seed=0)] for t in _TEMPERATURES]
    sections = [
        result_section(result, history, MEASURE, verdict(result), folder / "plots"),
        Section(
            "What it writes", ["Without a prompt, seed 0, not chosen from several."], samples, prose=True
        ),
        data_section(result["notes"]),
        meanings_section(result["model"], MEANINGS, WHICH_WAY),
    ]
    return write_report(folder / "report.html", f"Language model of {result['unit']}s", sections)
