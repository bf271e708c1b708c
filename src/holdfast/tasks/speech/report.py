"""The page of a recogniser's training run."""

from __future__ import annotations

from pathlib import Path

from holdfast.files import write_atomic
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.sections import data_section, metrics_section, result_section
from holdfast.tasks.speech.config import DecodingConfig
from holdfast.tasks.speech.plots import aligned_plot, drawing
from holdfast.tasks.speech.summary import verdict
from holdfast.tasks.speech.task import SpeechRecognizer

EXAMPLES = 20
"""Sentences that are shown beside what was said."""
PICTURES = 2
"""Sounds that are drawn."""


def run_report(model: SpeechRecognizer, folder: Path) -> Path:
    """``report.html`` with ``plots/``: figures, learning curves, first sentences, and sounds with their text in time.

    All sentences of the scored part are in ``plots/sentences.tsv`` as well.
    """
    result, history = model.metrics, model.history
    assert history is not None and model.alphabet is not None
    prepared = model.prepared
    part = prepared.test or prepared.valid
    recogniser = model.recogniser(DecodingConfig())
    found = recogniser.texts(part.frames)
    rows = [["sound", "recognised", "said"]]
    rows += [[one.name, text, one.text] for one, text in zip(part.utterances, found, strict=True)]
    plots = folder / "plots"
    figures = result_section(result, history, model.scoreboard, verdict(result), plots)
    write_atomic(plots / "sentences.tsv", "".join("\t".join(row) + "\n" for row in rows))
    drawings = [
        drawing(recogniser, f"{one.name}: {one.text}", frames)
        for one, frames in list(zip(part.utterances, part.frames))[:PICTURES]
    ]
    pictures = [aligned_plot(drawings, model.alphabet.pieces, plots / "words.png")]
    wrong = sum(row[1] != row[2] for row in rows[1:])
    sections = [
        figures,
        Section(
            "First sentences",
            [
                f"The first {min(EXAMPLES, len(part))} of the {result['split']} split, not chosen; {wrong:,} of all "
                f"{len(part):,} have an error. All are in plots/sentences.tsv."
            ],
            rows[: EXAMPLES + 1],
        ),
        Section(
            "Sound and text in time",
            ["Above the frames as the network reads them, below the units where it is sure of them."],
            pictures=pictures,
        ),
        data_section(result["notes"]),
        metrics_section(model.scoreboard.known(result["model"])),
    ]
    return write_report(folder / "report.html", "Speech recognition", sections)
