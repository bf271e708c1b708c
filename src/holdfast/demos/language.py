"""Demo of language: the documentation that comes with Python, character by character."""

from __future__ import annotations

from pathlib import Path

from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.models.options import LanguageOptions
from holdfast.tasks.language.config import LanguageConfig, LanguageTraining


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM with n-grams on Python's reference, which ``help("topics")`` shows."""
    config = LanguageConfig(
        network=LanguageOptions(hidden_size=160, num_layers=1, hidden_dropout=0.0, output_dropout=0.1),
        training=LanguageTraining(epochs=6, batch_size=16, steps=64, learning_rate=8e-3),
    )
    text = documentation()
    data = write_data(out, "language", config, "python.txt", text)
    announce(f"Python's language reference, {len(text):,} characters: {data}")
    title = "Python's language reference, character by character"
    return compare_cells("language", config, data, title, announce, next=_next)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    return [
        ["holdfast", "predict", run, "--prompt", "The statement", "--temperature", "0.7"],
        ["holdfast", "predict", run, "--prompt", "for x in range(10):", "--score"],
        ["holdfast", "train", "language", "YOUR.txt", "--token", "word"],
    ]


def documentation() -> str:
    """Return the topics sorted by name, each paragraph once, as many occur under several names."""
    from pydoc_data.topics import topics

    paragraphs = (part for _, text in sorted(topics.items()) for part in text.strip("\n").split("\n\n"))
    return "\n\n".join(dict.fromkeys(paragraphs)) + "\n"
