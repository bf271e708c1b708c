"""What ``holdfast predict`` writes for a speech recogniser."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from holdfast._typing import Array
from holdfast.data.audio.sound_files import read_blocks
from holdfast.errors import UserError
from holdfast.tasks.speech.config import Prediction
from holdfast.tasks.speech.decoder import BLOCK, Ear
from holdfast.tasks.speech.segments import Segment, Word, text_of
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.training.progress import notice


def predicted(model: SpeechRecognizer, data: Path | None, asked: Prediction) -> Iterator[str]:
    """A line for each sound, or what is heard as it comes."""
    if asked.live:
        return live(model, data, asked)
    if data is None or str(data) == "-":
        raise UserError(
            "Sounds come from files.",
            "None was given.",
            "Give a sound, a folder of sounds or a manifest; --live listens to 16-bit PCM from stdin.",
        )
    found = ((one.name, segments) for one, segments in model.stream(data, asked))
    if asked.plot is not None:
        _draw(model, data, asked, asked.plot)
    return _lines(_counted(model, found), asked.times, alone=data.is_file() and not _listing(data))


def _draw(model: SpeechRecognizer, data: Path, asked: Prediction, path: Path) -> None:
    """The first sound as a picture."""
    from holdfast.tasks.speech.plots import aligned_plot, drawing  # loads matplotlib

    assert model.alphabet is not None
    one, frames = next(model.sounds_of(data))
    aligned_plot([drawing(model.recogniser(asked), one.name, frames)], model.alphabet.pieces, path)


def _counted(
    model: SpeechRecognizer, found: Iterable[tuple[str, list[Segment]]]
) -> Iterator[tuple[str, list[Segment]]]:
    """The same; in the end the model's notes tell in how many sounds nothing was recognised."""
    empty = 0
    for name, segments in found:
        empty += not segments
        yield name, segments
    model.notes = (f"in {empty:,} of the sounds nothing was recognised",) if empty else ()


def _listing(data: Path) -> bool:
    from holdfast.data.tabular.records import READERS

    return data.suffix.lower() in READERS


def _lines(found: Iterable[tuple[str, list[Segment]]], times: bool, alone: bool) -> Iterator[str]:
    """The text of each sound, behind its name where there are several; or its words in time."""
    for name, segments in found:
        lead = "" if alone else f"{name}\t"
        if times:
            yield from (f"{lead}{timed(word)}\n" for segment in segments for word in segment.words)
        else:
            yield f"{lead}{text_of(segments)}\n"


def timed(word: Word) -> str:
    """Begin and end in seconds, the word, and how sure the network is."""
    return f"{word.start:.2f}\t{word.end:.2f}\t{word.text}\t{word.confidence:.2f}"


# -- live --------------------------------------------------------------------------------------------------------


def live(model: SpeechRecognizer, data: Path | None, asked: Prediction) -> Iterator[str]:
    """Words as they settle, a line for each segment; or each word in time, when its segment ends."""
    ear = model.ear(asked)
    if asked.pcm_rate is not None and data is not None and str(data) != "-":
        raise UserError(
            "--pcm-rate is that of sound from stdin.",
            f"{data} was given, which says its own.",
            "Leave one of the two out.",
        )
    source = sys.stdin.buffer if data is None or str(data) == "-" else data
    if isinstance(source, Path) and _listing(source):
        raise UserError(
            "What is heard live is one sound.",
            f"{source} is a manifest.",
            "Name a sound, or leave --live out; holdfast evaluate RUN MANIFEST --live scores all of them.",
        )
    blocks = read_blocks(source, ear.rate, BLOCK, pcm_rate=asked.pcm_rate)
    if not isinstance(source, Path):
        notice(f"Listening to 16-bit samples of one channel, {asked.pcm_rate or ear.rate:,} a second.")
    return _timed(ear, blocks) if asked.times else _settling(ear, blocks)


def _timed(ear: Ear, blocks: Iterable[Array]) -> Iterator[str]:
    for segment in _segments(ear, blocks):
        yield from (f"{timed(word)}\n" for word in (segment.words if segment else ()))


def _settling(ear: Ear, blocks: Iterable[Array]) -> Iterator[str]:
    """What is certain of the open segment is written at once, the rest when the segment ends."""
    written = ""
    for segment in _segments(ear, blocks):
        if segment is not None:
            yield segment.text[len(written) :] + "\n"
            written = ""
        elif len(certain := ear.certain()) > len(written):
            yield certain[len(written) :]
            written = certain


def _segments(ear: Ear, blocks: Iterable[Array]) -> Iterator[Segment | None]:
    """The segments as they end, and None behind each block; Ctrl-C ends the sound."""
    try:
        for block in blocks:
            yield from ear.accept(block)
            yield None
    except KeyboardInterrupt:
        yield from ear.finish()
        raise
    yield from ear.finish()
