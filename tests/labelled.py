"""Small labelled datasets with simple rules."""

from __future__ import annotations

import random
from pathlib import Path

GOOD, BAD, OTHER = ("fine", "great", "lovely"), ("awful", "poor", "dull"), ("the", "a", "film", "play", "was")
QUICK = ["--epochs", "2", "--hidden-size", "4", "--embedding-size", "6"]


def sentence(rng: random.Random, words: tuple[str, ...]) -> str:
    """Return some words, one of them decisive."""
    found = rng.choices(OTHER, k=rng.randint(2, 7))
    found.insert(rng.randint(0, len(found)), rng.choice(words))
    return " ".join(found) + "."


def texts(count: int = 120, seed: int = 0) -> str:
    """Return a CSV of sentences that are good or bad."""
    rng = random.Random(seed)
    rows = [f"{sentence(rng, GOOD if k % 2 else BAD)},{'good' if k % 2 else 'bad'}" for k in range(count)]
    return "\n".join(["text,label", *rows]) + "\n"


def several(count: int = 160) -> str:
    """Return JSON lines of sentences with no, one or two labels."""
    rng = random.Random(1)
    lines = []
    for _ in range(count):
        own = [name for name in ("good", "bad") if rng.random() < 0.5]
        words = [w for name in own for w in rng.choices(GOOD if name == "good" else BAD, k=1)]
        words += rng.choices(OTHER, k=rng.randint(1, 4))
        rng.shuffle(words)
        lines.append(f'{{"text": "{" ".join(words)}", "label": "{";".join(own)}"}}')
    return "\n".join(lines) + "\n"


def series(count: int = 60, seed: int = 0) -> str:
    """Return a CSV of series that rise or fall, with 3 to 8 steps and two channels."""
    rng = random.Random(seed)
    rows = ["series,step,x,y,label"]
    for k in range(count):
        slope = 1 if k % 2 else -1
        for step in range(rng.randint(3, 8)):
            x, y = slope * step + rng.gauss(0, 0.2), rng.gauss(5, 2)
            rows.append(f"s{k},{step},{x:.4f},{y:.4f},{'up' if k % 2 else 'down'}")
    return "\n".join(rows) + "\n"


def file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
