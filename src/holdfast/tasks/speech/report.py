"""Report of a speech recognizer: recognized sentences, and sounds with their text over time."""

from __future__ import annotations

from pathlib import Path

from holdfast.files import write_atomic
from holdfast.reporting.html import Section
from holdfast.tasks.speech.config import DecodingConfig
from holdfast.tasks.speech.plots import aligned_plot, alignment
from holdfast.tasks.speech.task import SpeechRecognizer

_SENTENCES = 20
"""Sentences in the table."""
_SOUNDS = 2
"""Sounds in the plot."""


def sections(model: SpeechRecognizer, plots: Path) -> list[Section]:
    """Return the first sentences and plots of sounds; all sentences go to ``sentences.tsv``."""
    assert model.dataset is not None
    name, split = model.dataset.scored
    recognizer = model.recognizer(DecodingConfig())
    rows = [["sound", "recognized", "transcript"]]
    texts = recognizer.texts(split.frames)
    rows += [[one.name, text, one.text] for one, text in zip(split.utterances, texts, strict=True)]
    write_atomic(plots / "sentences.tsv", "".join("\t".join(row) + "\n" for row in rows))
    alignments = [
        alignment(recognizer, f"{one.name}: {one.text}", frames)
        for one, frames in list(zip(split.utterances, split.frames))[:_SOUNDS]
    ]
    plot = aligned_plot(alignments, recognizer.tokenizer.pieces, plots / "words.png")
    wrong = sum(row[1] != row[2] for row in rows[1:])
    shown = min(_SENTENCES, len(split))
    first = f"The first {shown} sentences" if shown > 1 else "The first sentence"
    have = f"{wrong:,} of {len(split):,} sentences {'has' if wrong == 1 else 'have'} an error"
    return [
        Section(
            "First sentences",
            [f"{first} of the {name} split, not selected. {have}. All are in plots/sentences.tsv."],
            rows[: _SENTENCES + 1],
        ),
        Section(
            "Sounds and their text over time",
            ["From top to bottom: normalized frames, probabilities of the tokens, and words."],
            pictures=[plot],
        ),
    ]
