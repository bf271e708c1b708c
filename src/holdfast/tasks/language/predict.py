"""Output of ``holdfast predict`` for a language model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast.data.stdin import stdin_is_terminal, stdin_lines
from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError
from holdfast.files import csv_line
from holdfast.tasks.language.config import Prediction
from holdfast.tasks.language.metrics import score
from holdfast.tasks.language.preprocessing import TextSplit

if TYPE_CHECKING:
    from holdfast.tasks.language.task import LanguageModel


def write_predictions(model: LanguageModel, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield the prompt and the text after it, or the surprise at each token of a text as CSV."""
    if options.score:
        return _scored(model, _text(model, data, options.prompt))
    if data is not None:
        raise UserError(
            "A language model must get a prompt to write after, or a file to score.",
            f"The file {data} was given without --score.",
            "Give --score as well, or --prompt and no file.",
        )
    wanted = {name: value for name, value in asdict(options).items() if name not in ("score", "prompt")}
    wanted["stop"] = [stop.replace("\\n", "\n") for stop in options.stop or []]
    return chain([options.prompt], model.stream(options.prompt, **wanted))


def _text(model: LanguageModel, data: Path | None, prompt: str) -> Iterator[str]:
    if data is not None and prompt:
        raise UserError(
            "One text must be scored.", "Both a file and a prompt were given.", "Leave one of the two out."
        )
    encoding = model.config.text.encoding
    if data is not None:
        return TextFiles.of(data, encoding).chunks()
    return iter([prompt]) if prompt or stdin_is_terminal() else stdin_lines(encoding)


def _scored(model: LanguageModel, pieces: Iterator[str]) -> Iterator[str]:
    """Yield a line for each token; the means go into the model's notes."""
    text = "".join(pieces)
    names, found = model.surprise(text)
    metrics = score(TextSplit(found, len(text)), found)
    tokens = model.tokenizer
    unknown = 0 if tokens.unknown is None else names.count(tokens.token(tokens.unknown))
    model.notes = (
        f"{metrics['bits_per_char']:.4g} bits per character, perplexity {metrics['perplexity']:.4g} "
        f"over {len(names):,} tokens",
        *([f"{unknown / len(names):.2%} of them are not in the vocabulary"] if unknown else []),
    )
    yield "token,bits\n"
    for name, bits in zip(names, found / np.log(2), strict=True):
        yield csv_line([name, f"{bits:.4f}"])
