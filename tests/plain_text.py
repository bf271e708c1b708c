"""A small text to train language models on."""

from __future__ import annotations

import numpy as np

SENTENCES = ["the cat sat on the mat", "a dog saw the cat", "it rained", "the dog sat and the cat ran"]


def text(lines: int = 90) -> str:
    """Return so many sentences, one a line, in an order that is always the same."""
    random = np.random.default_rng(0)
    return "".join(f"{SENTENCES[i]}\n" for i in random.integers(0, len(SENTENCES), lines))
