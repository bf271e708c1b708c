"""From what the network hears to words in time, segment by segment: a segment ends with a pause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from holdfast._typing import Array
from holdfast.decoding.ctc import BLANK, CTCDecoder, Span, force_align
from holdfast.tasks.speech.tokenizer import Alphabet

FRAME = 0.01
"""Seconds from one frame of sound to the next."""
PAUSE, LONGEST = 1.0, 30.0
"""Seconds without a unit after which a segment ends, and seconds after which it ends behind the next whole word; after
twice as many it ends where it is, so that memory stays bounded."""


@dataclass(frozen=True)
class Word:
    """A word, its begin and end in seconds, and how sure the network is of its units: 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """Units between two pauses, their words in time, and their text."""

    units: tuple[int, ...]
    words: tuple[Word, ...]
    text: str


class Listener:
    """Reads ``log p`` of frames as they come, and gives segments as they end; it keeps nothing of what has ended.

    Args:
        decoding: how units are found.
        alphabet: the units.
        step: seconds from one frame of the network to the next.
    """

    def __init__(self, decoding: CTCDecoder, alphabet: Alphabet, step: float) -> None:
        self.alphabet, self.step = alphabet, step
        self.decoder = decoding.stream()
        self.pause, self.longest = round(PAUSE / step), round(LONGEST / step)
        self.first = 0  # number of the segment's first frame
        self.blanks = 0
        self.frames: list[Array] = []

    def accept(self, scores: Array) -> list[Segment]:
        """The segments that end within these frames [S, V]."""
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
        """Whether the last unit that is known ends a word."""
        best = self.decoder.best()
        return bool(best) and self.alphabet.pieces[best[-1]].endswith(" ")

    def certain(self) -> str:
        """The first words of the segment that has not ended, as far as no later sound can change them."""
        return self.alphabet.whole_words(self.decoder.certain())

    def open(self) -> str:
        """The text of that segment as it looks now."""
        return self.alphabet.decode(self.decoder.best())

    def finish(self) -> list[Segment]:
        """The last segment; the listener then begins anew."""
        found = self._ended(self.decoder.finish())
        self.first, self.blanks = 0, 0
        return found

    def _read(self, scores: Array) -> None:
        if len(scores):
            self.decoder.accept(scores)
            self.frames += list(scores)

    def _ended(self, units: Sequence[int]) -> list[Segment]:
        scores = np.array(self.frames)
        first, self.first, self.frames = self.first, self.first + len(self.frames), []
        if not units:
            return []
        text = self.alphabet.decode(units)
        in_time = words(force_align(scores, units), self.alphabet, self.step, first)
        return [Segment(tuple(units), tuple(in_time), text)] if text else []


def heard(scores: Array, decoding: CTCDecoder, alphabet: Alphabet, step: float) -> list[Segment]:
    """The segments of a whole utterance [S, V]."""
    listener = Listener(decoding, alphabet, step)
    return [*listener.accept(scores), *listener.finish()]


def text_of(segments: Sequence[Segment]) -> str:
    """The text of all segments together: a pause ends a word."""
    return " ".join(segment.text for segment in segments)


def words(spans: Sequence[Span], alphabet: Alphabet, step: float, first: int = 0) -> list[Word]:
    """Units in time as words in time; ``first`` is the number of the first frame."""
    found: list[Word] = []
    own: list[Span] = []
    for span in spans:
        piece = alphabet.pieces[span.token]
        if piece.startswith(" ") and own:
            found, own = [*found, _word(own, alphabet, step, first)], []
        if piece.strip():
            own.append(span)
        if piece.endswith(" ") and own:
            found, own = [*found, _word(own, alphabet, step, first)], []
    return [*found, _word(own, alphabet, step, first)] if own else found


def _word(spans: Sequence[Span], alphabet: Alphabet, step: float, first: int) -> Word:
    frames = [span.end - span.start for span in spans]
    mean = sum(n * span.log_probability for n, span in zip(frames, spans)) / sum(frames)
    start, end = (first + spans[0].start) * step, (first + spans[-1].end) * step
    return Word(alphabet.decode([span.token for span in spans]), start, end, exp(mean))
