"""Output of ``holdfast predict`` for a translator."""

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

_PLOTTED = 4
"""Most sentences whose attention is plotted."""


def write_predictions(model: Translator, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield a line, or ``n_best``, for each line of a file or of stdin (no file, or ``-``)."""
    encoding = model.config.data.encoding
    if data is None or str(data) == "-":
        sentences: Iterable[str] = (line.strip() for line in stdin_lines(encoding))
    else:
        sentences = read_lines(data, encoding)
    found = _counted(model, model.stream(sentences, options))
    if options.plot is not None:
        found = _plotted(found, options.plot)
    return _table(found) if options.n_best > 1 else (f"{best.text}\n" for best, *_ in found)


def _counted(model: Translator, found: Iterable[list[Translation]]) -> Iterator[list[Translation]]:
    """Pass translations on; at the end the model's notes say how many sources were cut."""
    cut = 0
    for candidates in found:
        cut += candidates[0].cut
        yield candidates
    most = model.config.data.max_length
    model.notes = (f"sources cut after {most} tokens (--max-length): {cut:,}",) if cut else ()


def _table(found: Iterable[list[Translation]]) -> Iterator[str]:
    """Yield the sentence's number, the score and the text of each translation, between tabs."""
    for number, candidates in enumerate(found, 1):
        for one in candidates:
            yield f"{number}\t{one.score:.4f}\t{one.text}\n"


def _plotted(found: Iterator[list[Translation]], path: Path) -> Iterator[list[Translation]]:
    """Pass translations on; at the end plot the attention of the first ones."""
    from holdfast.tasks.translate.plots import attention_plot  # loads matplotlib

    first: list[Translation] = []
    for candidates in found:
        if len(first) < _PLOTTED:
            first.append(candidates[0])
        yield candidates
    attention_plot(first, path)
