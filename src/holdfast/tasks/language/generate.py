"""Writing on: units drawn one after the other, by streams of the layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from holdfast.data.text.tokenizers import Tokenizer
from holdfast.decoding.sampling import Filter, sample
from holdfast.models.incremental import IncrementalDecoder

_LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most."""


def written(
    writer: IncrementalDecoder,
    units: Tokenizer,
    prompt: Sequence[int],
    length: int,
    through: Sequence[Filter],
    seed: int | None,
) -> Iterator[str]:
    """The ``length`` units after a prompt, as text, piece by piece; part of a character waits for the rest of it."""
    random = np.random.default_rng(seed)
    so_far = [units.begin, *prompt]
    for unit in so_far[:-1]:
        writer.step(unit)
    before, waiting = list(prompt[-1:]), list[int]()
    for _ in range(length):
        so_far.append(sample(writer.step(so_far[-1]), so_far[1:], through, random))
        waiting.append(so_far[-1])
        text = _behind(units, before, waiting)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and len(waiting) < _LONGEST_CHARACTER:
            continue
        yield text
        before, waiting = waiting[-1:], []
    if waiting:
        yield _behind(units, before, waiting)


def _behind(units: Tokenizer, before: list[int], new: list[int]) -> str:
    """The text of new units behind the one before them, with what joins them."""
    if not units.separator:
        return units.decode(new)
    return units.decode(before + new)[len(units.decode(before)) :]


def until(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The text before the first of some strings; what may be the beginning of one waits for the rest."""
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
