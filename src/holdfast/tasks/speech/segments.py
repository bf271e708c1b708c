"""Convert CTC log-probabilities into timed words, segment by segment; a pause ends a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from holdfast._typing import Array
from holdfast.decoding.ctc import BLANK, CTCDecoder, Span, force_align
from holdfast.tasks.speech.tokenizer import CTCTokenizer

FRAME = 0.01
"""Seconds between frames."""
PAUSE, LONGEST = 1.0, 30.0
"""Seconds without a token that end a segment, and its length in seconds from which it ends after
the next whole word. At twice that length it ends at once, so that memory stays bounded."""


@dataclass(frozen=True)
class Word:
    """A word, its start and end in seconds, and the network's confidence in its tokens, 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """Tokens between two pauses, their timed words, and their text."""

    tokens: tuple[int, ...]
    words: tuple[Word, ...]
    text: str


class Segmenter:
    """Decode ``log p`` of frames into segments as they come; keep nothing of those that ended.

    Args:
        decoding: how tokens are found.
        tokenizer: text of the tokens.
        step: seconds between frames of the network.
    """

    def __init__(self, decoding: CTCDecoder, tokenizer: CTCTokenizer, step: float) -> None:
        self.tokenizer, self.step = tokenizer, step
        self.decoder = decoding.stream()
        self.pause, self.longest = round(PAUSE / step), round(LONGEST / step)
        self.first = 0  # number of the segment's first frame
        self.blanks = 0
        self.frames: list[Array] = []

    def accept(self, scores: Array) -> list[Segment]:
        """Return the segments that end within these frames [S, V]."""
        found: list[Segment] = []
        begun = 0
        for place, blank in enumerate((scores.argmax(1) == BLANK).tolist() if len(scores) else []):
            self.blanks = self.blanks + 1 if blank else 0
            held = len(self.frames) + place + 1 - begun
            if self.blanks != self.pause and held < self.longest:
                continue
            self._read(scores[begun : place + 1])
            begun = place + 1
            if self.blanks == self.pause or held >= 2 * self.longest or (blank and self._is_whole()):
                found += self._ended(self.decoder.end_segment())
        self._read(scores[begun:])
        return found

    def _is_whole(self) -> bool:
        """Return whether the last token so far ends a word."""
        best = self.decoder.best()
        return bool(best) and self.tokenizer.pieces[best[-1]].endswith(" ")

    def certain(self) -> str:
        """Return the first words of the open segment that no later sound can change."""
        return self.tokenizer.whole_words(self.decoder.certain())

    def open(self) -> str:
        """Return the text of the open segment so far."""
        return self.tokenizer.decode(self.decoder.best())

    def finish(self) -> list[Segment]:
        """Return the last segment; the next frames begin a new sound."""
        found = self._ended(self.decoder.finish())
        self.first, self.blanks = 0, 0
        return found

    def _read(self, scores: Array) -> None:
        if len(scores):
            self.decoder.accept(scores)
            self.frames += list(scores)

    def _ended(self, tokens: Sequence[int]) -> list[Segment]:
        scores = np.array(self.frames)
        first, self.first, self.frames = self.first, self.first + len(self.frames), []
        if not tokens:
            return []
        text = self.tokenizer.decode(tokens)
        timed = words(force_align(scores, tokens), self.tokenizer, self.step, first)
        return [Segment(tuple(tokens), tuple(timed), text)] if text else []


def segments_of(scores: Array, decoding: CTCDecoder, tokenizer: CTCTokenizer, step: float) -> list[Segment]:
    """Return the segments of a whole utterance [S, V]."""
    segmenter = Segmenter(decoding, tokenizer, step)
    return [*segmenter.accept(scores), *segmenter.finish()]


def text_of(segments: Sequence[Segment]) -> str:
    """Return the text of all segments together; a pause ends a word."""
    return " ".join(segment.text for segment in segments)


def words(spans: Sequence[Span], tokenizer: CTCTokenizer, step: float, first: int = 0) -> list[Word]:
    """Convert timed tokens into timed words; ``first`` is the number of the first frame."""
    found: list[Word] = []
    own: list[Span] = []
    for span in spans:
        piece = tokenizer.pieces[span.token]
        if piece.startswith(" ") and own:
            found, own = [*found, _word(own, tokenizer, step, first)], []
        if piece.strip():
            own.append(span)
        if piece.endswith(" ") and own:
            found, own = [*found, _word(own, tokenizer, step, first)], []
    return [*found, _word(own, tokenizer, step, first)] if own else found


def _word(spans: Sequence[Span], tokenizer: CTCTokenizer, step: float, first: int) -> Word:
    frames = [span.end - span.start for span in spans]
    mean = sum(n * span.log_probability for n, span in zip(frames, spans)) / sum(frames)
    start, end = (first + spans[0].start) * step, (first + spans[-1].end) * step
    return Word(tokenizer.decode([span.token for span in spans]), start, end, exp(mean))
