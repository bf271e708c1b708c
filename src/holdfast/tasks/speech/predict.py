"""Output of ``holdfast predict`` for a speech recognizer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from holdfast._typing import Array
from holdfast.data.audio.sound_files import read_blocks
from holdfast.data.tabular.records import READERS
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.tasks.speech.config import Prediction
from holdfast.tasks.speech.decoder import BLOCK, StreamingRecognizer
from holdfast.tasks.speech.segments import Segment, Word, text_of
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.training.progress import notice


def write_predictions(model: SpeechRecognizer, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield a line of text for each sound, or words of live sound as they are recognized."""
    data = None if str(data) == "-" else data
    if options.live:
        return _live(model, data, options)
    if data is None:
        raise UserError(
            "Sounds must come from files.",
            "None was given.",
            "Give a sound, a folder of sounds or a manifest. Or give --live for 16-bit PCM from stdin.",
        )
    found = ((one.name, segments) for one, segments in model.stream(data, options))
    if options.plot is not None:
        _plot(model, data, options, options.plot)
    return _lines(_counted(model, found), options.times, alone=data.is_file() and not _is_manifest(data))


def _plot(model: SpeechRecognizer, data: Path, options: Prediction, path: Path) -> None:
    """Plot the first sound."""
    from holdfast.tasks.speech.plots import aligned_plot, alignment  # loads matplotlib

    recognizer = model.recognizer(options)
    one, frames = next(model.frames_of(data))
    aligned_plot([alignment(recognizer, one.name, frames)], recognizer.tokenizer.pieces, path)


def _counted(
    model: SpeechRecognizer, found: Iterable[tuple[str, list[Segment]]]
) -> Iterator[tuple[str, list[Segment]]]:
    """Yield the same; at the end, set a note on the sounds in which nothing was recognized."""
    empty = 0
    for name, segments in found:
        empty += not segments
        yield name, segments
    model.notes = (f"nothing was recognized in {counted(empty, 'sound')}",) if empty else ()


def _is_manifest(data: Path) -> bool:
    return data.suffix.lower() in READERS


def _lines(found: Iterable[tuple[str, list[Segment]]], times: bool, alone: bool) -> Iterator[str]:
    """Yield the text of each sound, or its timed words; after its name where there are several."""
    for name, segments in found:
        lead = "" if alone else f"{name}\t"
        if times:
            yield from (f"{lead}{_timed(word)}\n" for segment in segments for word in segment.words)
        else:
            yield f"{lead}{text_of(segments)}\n"


def _timed(word: Word) -> str:
    """Return start and end in seconds, the word, and its confidence."""
    return f"{word.start:.2f}\t{word.end:.2f}\t{word.text}\t{word.confidence:.2f}"


# -- live ------------------------------------------------------------------------------------------


def _live(model: SpeechRecognizer, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield words as they become certain, a line per segment; or timed words at its end."""
    stream = model.streaming_recognizer(options)
    if options.pcm_rate is not None and data is not None:
        raise UserError(
            "--pcm-rate must be used with sound from stdin.",
            f"{data} was given, which has its own rate.",
            "Leave one of the two out.",
        )
    if data is not None and _is_manifest(data):
        raise UserError(
            "Live sound must be a single sound.",
            f"{data} is a manifest.",
            "Give a sound, or leave out --live. To score a manifest: holdfast evaluate RUN MANIFEST --live.",
        )
    blocks = read_blocks(data or sys.stdin.buffer, stream.rate, BLOCK, pcm_rate=options.pcm_rate)
    if data is None:
        notice(f"Listening to 16-bit mono samples, {options.pcm_rate or stream.rate:,} per second.")
    return _timed_words(stream, blocks) if options.times else _settling(stream, blocks)


def _timed_words(stream: StreamingRecognizer, blocks: Iterable[Array]) -> Iterator[str]:
    for segment in _segments(stream, blocks):
        yield from (f"{_timed(word)}\n" for word in (segment.words if segment else ()))


def _settling(stream: StreamingRecognizer, blocks: Iterable[Array]) -> Iterator[str]:
    """Yield the certain words of the open segment at once, and the rest when the segment ends."""
    written = ""
    for segment in _segments(stream, blocks):
        if segment is not None:
            yield segment.text[len(written) :] + "\n"
            written = ""
        elif len(certain := stream.certain()) > len(written):
            yield certain[len(written) :]
            written = certain


def _segments(stream: StreamingRecognizer, blocks: Iterable[Array]) -> Iterator[Segment | None]:
    """Yield segments as they end, and None after each block; Ctrl-C ends the sound."""
    try:
        for block in blocks:
            yield from stream.accept(block)
            yield None
    except KeyboardInterrupt:
        yield from stream.finish()
        raise
    yield from stream.finish()
