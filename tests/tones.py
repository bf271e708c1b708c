"""A small spoken language for tests: every word is a tone, with silence between words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 8000
TONES = {"low": 400.0, "mid": 900.0, "high": 1800.0, "top": 3000.0}
WORD, GAP = 0.15, 0.1
"""Seconds of a word, and of the silence before each and at the end."""
SMALL: dict[str, Any] = {
    "token": "word",
    "hidden_size": 24,
    "channels": 24,
    "num_layers": 1,
    "bands": 24,
    "batch_size": 8,
    "learning_rate": 0.01,
    "epochs": 12,
    "device": "cpu",
}


def spoken(words: list[str], random: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """Return a sentence [n] with a little noise."""
    pieces = []
    for word in words:
        steps = np.arange(int(WORD * rate)) / rate
        pieces += [np.zeros(int(GAP * rate)), 0.3 * np.sin(2 * np.pi * TONES[word] * steps)]
    sound = np.concatenate([*pieces, np.zeros(int(GAP * rate))])
    return (sound + random.normal(0, 0.003, len(sound))).astype(np.float32)


def write(folder: Path, name: str, count: int, seed: int, longest: int = 4, rate: int = RATE) -> Path:
    """Write so many sentences as wav files with a manifest, by two speakers."""
    random = np.random.default_rng(seed)
    rows = ["path\ttext\tspeaker"]
    (folder / name).mkdir(parents=True)
    for number in range(count):
        words = random.choice(sorted(TONES), random.integers(1, longest + 1)).tolist()
        soundfile.write(folder / name / f"{number}.wav", spoken(words, random, rate), rate)
        rows.append(f"{name}/{number}.wav\t{' '.join(words)}\t{'ann' if number % 2 else 'bob'}")
    path = folder / f"{name}.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path
