"""What the report of a language model adds: text that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.reporting.html import Section

if TYPE_CHECKING:
    from holdfast.tasks.language.task import LanguageModel

_TEMPERATURES = (0.5, 0.8, 1.0)
_LENGTH = {"character": 400, "byte": 400, "word": 80, "subword": 120}
"""Tokens of a sample."""


def sections(model: LanguageModel, plots: Path) -> list[Section]:
    """Return samples at several temperatures; there are no plots."""
    length = _LENGTH[model.metrics["token"]]
    rows = [["temperature", "text"]]
    rows += [[str(t), model.generate(length=length, temperature=t, seed=0)] for t in _TEMPERATURES]
    words = ["Without a prompt, with seed 0, not chosen from several."]
    return [Section("What it writes", words, rows, prose=True)]
