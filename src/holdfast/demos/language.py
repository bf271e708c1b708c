"""The documentation that comes with Python, character by character."""

from __future__ import annotations

from pathlib import Path

from holdfast.demos.base import Announce, Demo, compared, written
from holdfast.tasks.language.config import LanguageConfig, LanguageTraining, NetworkConfig


def language_demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """GRU and LSTM learn to spell Python's language reference, which ``help("topics")`` shows, among n-grams."""
    config = LanguageConfig(
        network=NetworkConfig(hidden_size=160, num_layers=1, hidden_dropout=0.0, output_dropout=0.1),
        training=LanguageTraining(epochs=6, batch_size=16, steps=64, learning_rate=8e-3),
    )
    text = documentation()
    data = written(out, "language", config, "python.txt", text)
    announce(f"Python's language reference, {len(text):,} characters: {data}")
    title = "Python's language reference, character by character"
    return compared("language", config, data, title, announce, next=lambda cell: _next(data, cell))


def _next(data: Path, cell: str) -> list[list[str]]:
    run = data.parent / "run"
    asked = ["--recipe", str(data.parent / "config.toml"), "--cell", cell]
    return [
        ["holdfast", "train", "language", str(data), *asked, "--out", str(run)],
        ["holdfast", "predict", str(run), "--prompt", "The statement", "--temperature", "0.7"],
        ["holdfast", "predict", str(run), "--prompt", "for x in range(10):", "--score"],
        ["holdfast", "train", "language", "YOUR.txt", "--token", "word"],
    ]


def documentation() -> str:
    """The topics in the order of their names, each paragraph once: many stand under several names."""
    from pydoc_data.topics import topics

    paragraphs = (part for _, text in sorted(topics.items()) for part in text.strip("\n").split("\n\n"))
    return "\n\n".join(dict.fromkeys(paragraphs)) + "\n"
