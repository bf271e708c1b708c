"""What ``holdfast predict`` writes for a translator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.data.stdin import stdin_lines
from holdfast.data.text.parallel import read_lines
from holdfast.tasks.translate.config import Prediction
from holdfast.tasks.translate.inference import Translation

if TYPE_CHECKING:
    from holdfast.tasks.translate.task import Translator

DRAWN = 4
"""Sentences of which the attention is drawn, at most."""


def predicted(model: Translator, data: Path | None, asked: Prediction) -> Iterator[str]:
    """A line for each line of a file, or of stdin (no file, or ``-``), as they come; with ``n_best`` some for each."""
    encoding = model.config.data.encoding
    if data is None or str(data) == "-":
        sentences: Iterable[str] = (line.strip() for line in stdin_lines(encoding))
    else:
        sentences = read_lines(data, encoding)
    found = counted(model, model.stream(sentences, asked))
    if asked.plot is not None:
        found = drawn(found, asked.plot)
    return told(found) if asked.n_best > 1 else (f"{those[0].text}\n" for those in found)


def counted(model: Translator, found: Iterable[list[Translation]]) -> Iterator[list[Translation]]:
    """The same; in the end the model's notes tell how many sentences were cut."""
    cut = 0
    for those in found:
        cut += those[0].cut
        yield those
    most = model.config.data.max_length
    model.notes = (f"cut after {most} tokens (--max-length): {cut:,} of the sentences",) if cut else ()


def told(found: Iterable[list[Translation]]) -> Iterator[str]:
    """The sentence's number from 1, the score and the text of every translation, with tabs between."""
    for number, those in enumerate(found, 1):
        for one in those:
            yield f"{number}\t{one.score:.4f}\t{one.text}\n"


def drawn(found: Iterator[list[Translation]], path: Path) -> Iterator[list[Translation]]:
    """The same, with the attention of the first ones drawn in the end."""
    from holdfast.tasks.translate.plots import attention_plot  # loads matplotlib

    first: list[Translation] = []
    for those in found:
        if len(first) < DRAWN:
            first.append(those[0])
        yield those
    attention_plot(first, path)
