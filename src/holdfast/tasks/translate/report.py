"""The page of a translator's training run."""

from __future__ import annotations

from pathlib import Path

from holdfast.files import write_atomic
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.sections import data_section, metrics_section, result_section
from holdfast.tasks.translate.plots import attention_plot
from holdfast.tasks.translate.summary import verdict
from holdfast.tasks.translate.task import Translator

EXAMPLES = 20
"""Translations that are shown beside their references."""
PICTURES = 2
"""Translations whose attention is drawn."""


def run_report(model: Translator, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures, learning curves, first translations and their attention.

    The translations are in ``plots/translations.tsv`` as well.
    """
    result, history = model.metrics, model.history
    assert history is not None
    prepared = model.prepared
    part = (prepared.test or prepared.valid)[range(min(EXAMPLES, len(prepared.test or prepared.valid)))]
    found = [those[0] for those in model.interpreter().all(part.pairs.sources)]
    rows = [["source", "translation", "reference"]]
    rows += [[s, one.text, t] for (s, t), one in zip(part.pairs, found, strict=True)]
    plots = folder / "plots"
    figures = result_section(result, history, model.scoreboard, verdict(result), plots)
    write_atomic(plots / "translations.tsv", "".join("\t".join(row) + "\n" for row in rows))
    some = [one for one in found if one.target][:PICTURES]
    pictures = [attention_plot(some, plots / "attention.png")] if some else []
    sections = [
        figures,
        Section(
            "First translations", [f"The first {len(part)} of the {result['split']} split, not chosen."], rows
        ),
        Section("Attention", ["Dark: what a target unit looks at in the source."], pictures=pictures),
        data_section(result["notes"]),
        metrics_section(model.scoreboard.known(result["model"])),
    ]
    return write_report(folder / "report.html", "Translation", sections)
