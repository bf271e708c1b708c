"""What the report of a translator adds: the first translations, and their attention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.files import write_atomic
from holdfast.reporting.html import Section
from holdfast.tasks.translate.plots import attention_plot

if TYPE_CHECKING:
    from holdfast.tasks.translate.task import Translator

_EXAMPLES = 20
"""Translations that are shown next to their references."""
_PLOTTED = 2
"""Translations whose attention is plotted."""


def sections(model: Translator, plots: Path) -> list[Section]:
    """Return the first translations, also written to ``translations.tsv``, and their attention."""
    assert model.dataset is not None
    name, split = model.dataset.scored
    split = split[range(min(_EXAMPLES, len(split)))]
    found = [best for best, *_ in model.translator().all(split.pairs.sources)]
    rows = [["source", "translation", "reference"]]
    rows += [[s, one.text, t] for (s, t), one in zip(split.pairs, found, strict=True)]
    write_atomic(plots / "translations.tsv", "".join("\t".join(row) + "\n" for row in rows))
    some = [one for one in found if one.target][:_PLOTTED]
    pictures = [attention_plot(some, plots / "attention.png")] if some else []
    words = "Dark cells show the source tokens that the network attended to while it wrote each target token."
    return [
        Section(
            "First translations", [f"The first {len(split)} pairs of the {name} split, not chosen."], rows
        ),
        Section("Attention", [words], pictures=pictures),
    ]
