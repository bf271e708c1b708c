"""Text generation: tokens sampled one after the other, by streams of the layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from holdfast.data.text.tokenizers import Tokenizer
from holdfast.decoding.sampling import Filter, sample
from holdfast.models.incremental import IncrementalDecoder

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most."""


def generated(
    writer: IncrementalDecoder,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    length: int,
    through: Sequence[Filter],
    seed: int | None,
) -> Iterator[str]:
    """Yield the text of ``length`` tokens after a prompt; half a character waits for its rest."""
    random = np.random.default_rng(seed)
    so_far = [tokenizer.begin, *prompt]
    for token in so_far[:-1]:
        writer.step(token)
    before, waiting = list(prompt[-1:]), list[int]()
    for _ in range(length):
        so_far.append(sample(writer.step(so_far[-1]), so_far[1:], through, random))
        waiting.append(so_far[-1])
        text = _text_after(tokenizer, before, waiting)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and len(waiting) < _LONGEST_CHARACTER:
            continue
        yield text
        before, waiting = waiting[-1:], []
    if waiting:
        yield _text_after(tokenizer, before, waiting)


def _text_after(tokenizer: Tokenizer, before: list[int], new: list[int]) -> str:
    """Return the text that new tokens add after the one before them, with what joins them."""
    if not tokenizer.separator:
        return tokenizer.decode(new)
    return tokenizer.decode(before + new)[len(tokenizer.decode(before)) :]


def until(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """Yield the text before the first stop string; a piece that may begin one waits."""
    held = ""
    keep = max((len(stop) for stop in stops), default=1) - 1
    for piece in pieces:
        held += piece
        ends = [held.find(stop) for stop in stops if stop in held]
        if ends:
            yield held[: min(ends)]
            return
        ready = len(held) - keep
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    yield held
