"""Scores and piano rolls from MIDI files and ABC tunes, by symusic and its converter abc2midi."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece
from holdfast.errors import UserError
from holdfast.files import listed, missing_file, unreadable
from holdfast.optional_imports import load_extra

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score

_MIDI_ENDINGS, _ABC_ENDINGS = (".mid", ".midi", ".kar"), (".abc",)
_MOST_BEATS = 20_000
"""Maximum number of beats, more than two hours: a longer piece has wrong times."""
_SHORT_BAR = 1.0
"""Quarter notes of a bar that is too short to be meant: it is read as 4/4."""


@dataclass(frozen=True)
class ScorePiece:
    """A piece of music as a score: the name of its file (and tune), and symusic's score in ticks."""

    name: str
    score: Score


def read_scores(path: Path) -> list[ScorePiece]:
    """Read the pieces of a MIDI or ABC file, or of a folder tree, sorted by name.

    Raises:
        UserError: a file is not music or has no notes (the error names the first three, with
            reasons).
    """
    path = Path(path)
    files = _files(path)
    found: list[ScorePiece] = []
    wrong: list[UserError] = []
    for file in files:
        try:
            found += _read(file, str(file.relative_to(path)) if path.is_dir() else file.name)
        except UserError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        reasons = listed([f"{error.rule} {error.got}" for error in wrong], " ")
        raise UserError(
            "Every file must be readable music.",
            f"Of the {len(files):,} files in {path}, {len(wrong):,} are not: {reasons}.".replace("..", "."),
            "Export them again, or take them out of the folder.",
        )
    return found


def _files(path: Path) -> list[Path]:
    endings = _MIDI_ENDINGS + _ABC_ENDINGS
    if not path.exists():
        raise missing_file(path, "music file or folder")
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in endings and p.is_file())
        if not found:
            rule = f"A folder of music must hold files that end in {', '.join(endings)}."
            raise UserError(rule, f"{path} holds none.", "Give another folder.")
        return found
    if path.suffix.lower() not in endings:
        raise UserError(
            f"A file of MIDI or ABC must end in {', '.join(endings)}.",
            f"It was {path.name}.",
            "Give such a file or a folder of them; or give --model roll for piano rolls (.mat, .json).",
        )
    return [path]


def _read(file: Path, name: str) -> Iterator[ScorePiece]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise unreadable(name, error, "Change its permissions, or leave it out.") from error
    if file.suffix.lower() in _ABC_ENDINGS:
        return iter(list(_tunes(data, name)))
    return iter([ScorePiece(name, parse_midi(data, name))])


def parse_midi(data: bytes, name: str) -> Score:
    """Parse the bytes of a MIDI file into symusic's score; bars of one beat are read as 4/4.

    Raises:
        UserError: the bytes are not a MIDI file, or the file has no notes.
    """
    symusic = load_symusic()
    check_midi(data, name)
    try:
        score: Score = symusic.Score.from_midi(data)
        beats = score.end() / score.ticks_per_quarter
    except Exception as error:  # the library raises errors of many kinds
        rule = f"{name} must be a MIDI file."
        raise UserError(rule, f"It cannot be read: {error}.", "Export it again, or leave it out.") from error
    if not score.note_num():
        raise UserError("Music must have notes.", f"{name} has none.", "Leave it out.")
    if beats > _MOST_BEATS:
        raise UserError(
            f"A piece must have at most {_MOST_BEATS:,} beats.",
            f"{name} has {beats:,.0f}: its times are wrong.",
            "Export it again, or leave it out.",
        )
    for signature in score.time_signatures:
        if 4 * signature.numerator <= _SHORT_BAR * signature.denominator:
            signature.numerator, signature.denominator = 4, 4
    return score


def _tunes(data: bytes, name: str) -> Iterator[ScorePiece]:
    """Yield the tunes of an ABC file; each begins with a line ``X:`` and its number."""
    text = data.decode("utf-8-sig", "replace")  # some editors write a byte order mark
    starts = [match.start() for match in re.finditer(r"^X:", text, re.MULTILINE)]
    if not starts or "\0" in text:
        raise UserError(
            f"{name} must hold ABC tunes.",
            "No line begins with X:, as a tune does.",
            "Correct it, or leave it out.",
        )
    head = text[: starts[0]]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)]), 1):
        tune = name if len(starts) == 1 else f"{name}, tune {number}"
        yield ScorePiece(tune, parse_midi(_converted(head + text[start:end], tune), tune))


def _converted(tune: str, name: str) -> bytes:
    """Convert a tune to the bytes of a MIDI file."""
    converter = Path(str(load_symusic().__file__)).parent / "bin" / "abc2midi"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "tune.abc", Path(folder) / "tune.mid"
        source.write_text(tune, encoding="utf-8")
        try:
            done = subprocess.run(
                [converter, source, "-o", target], capture_output=True, check=False, timeout=60, cwd=folder
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            rule = f"{name} must be an ABC tune that abc2midi can convert."
            raise UserError(rule, f"It fails: {error}.", "Convert the tune to MIDI yourself.") from error
        if not target.exists():
            lines = done.stdout.decode("utf-8", "replace").splitlines()
            errors = [line for line in lines if "Error" in line] or ["it gives no reason"]
            rule = f"{name} must be an ABC tune."
            raise UserError(rule, f"abc2midi cannot read it: {errors[0]}.", "Correct it, or leave it out.")
        return target.read_bytes()


# -- piano rolls----------------------------------------------------------------------------------------------------


def read_rolls(path: Path, steps_per_beat: int) -> list[RollPiece]:
    """Read pieces as piano rolls, without drums; a beat is a quarter note.

    Raises:
        UserError: as :func:`read_scores`; or a piece has only drums, or no note on the keyboard.
    """
    return [
        RollPiece(song.name, roll_of(song, steps_per_beat), omissions(song), first_time_signature(song))
        for song in read_scores(path)
    ]


def first_time_signature(song: ScorePiece) -> tuple[int, int]:
    """Return the first time signature of a piece; 4/4 if there is none."""
    return next(((s.numerator, s.denominator) for s in song.score.time_signatures), (4, 4))


def roll_of(song: ScorePiece, steps_per_beat: int) -> Roll:
    """Convert a piece to a piano roll [T, 88]."""
    score = song.score.resample(steps_per_beat, min_dur=1)
    notes = [track.notes.numpy() for track in score.tracks if not track.is_drum and len(track.notes)]
    frames = max((int((n["time"] + n["duration"]).max()) for n in notes), default=0)
    roll = np.zeros((frames, KEYS), np.bool_)
    for track in notes:
        for time, duration, pitch in zip(track["time"], track["duration"], track["pitch"], strict=True):
            if LOWEST <= pitch < LOWEST + KEYS:
                roll[time : time + duration, pitch - LOWEST] = True
    if not roll.any():
        drums = any(track.is_drum and len(track.notes) for track in score.tracks)
        raise UserError(
            f"A piano roll must have notes from {LOWEST} to {LOWEST + KEYS - 1}, the keys of a piano.",
            f"{song.name} has none{', only drums' * drums}.",
            "Leave it out, or use --model events, which reads drums too."
            if drums
            else "Leave it out, or transpose it by octaves.",
        )
    return roll


def omissions(song: ScorePiece) -> tuple[str, ...]:
    """Return what a piano roll of the piece leaves out, as clauses before the piece's name."""
    pitches = [track.notes.numpy()["pitch"] for track in song.score.tracks if not track.is_drum]
    beyond = any(len(p) and (p.min() < LOWEST or p.max() >= LOWEST + KEYS) for p in pitches)
    drums = any(track.is_drum and len(track.notes) for track in song.score.tracks)
    return ("drums, left out of",) * drums + ("notes beyond a piano's keys, left out of",) * beyond


def replace_list(score: Score, name: str, items: Sequence[object]) -> None:
    """Replace a list of a score, such as its ``tracks``; symusic's types allow no assignment."""
    setattr(score, name, items)


def load_symusic() -> Any:
    """Import symusic.

    Raises:
        UserError: the library is not installed.
    """
    return load_extra("symusic", "music")


# -- a check of MIDI bytes against the standard (RP-001): symusic may crash on damaged files -------------------------

_HEADER, _TRACK = b"MThd", b"MTrk"
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
"""Upper half of a status byte -> number of data bytes that follow."""
_META, _SYSEX, _END, _TEMPO = 0xFF, (0xF0, 0xF7), 0x2F, 0x51


class _DamagedError(Exception):
    """The bytes are damaged; the message is a clause."""


def check_midi(data: bytes, name: str) -> None:
    """Refuse bytes that are not a complete MIDI file in ticks per beat, and tempos of 0.

    Raises:
        UserError: the bytes break the standard (the error names the file and the reason).

    Example:
        >>> check_midi(b"RIFF....WAVE", "a.mid")
        Traceback (most recent call last):
            ...
        holdfast.errors.UserError: a.mid must be a MIDI file. It does not begin with MThd, ...
    """
    try:
        at = _header(data)
        for number in range(1, int.from_bytes(data[10:12], "big") + 1):
            at = _chunk(data, at, number)
    except (_DamagedError, IndexError) as error:
        cause = str(error) if isinstance(error, _DamagedError) else "it ends in the middle of an event"
        raise UserError(
            f"{name} must be a MIDI file.",
            f"{cause[0].upper()}{cause[1:]}.",
            "Export it again, or leave it out.",
        ) from error


def _header(data: bytes) -> int:
    """Return where the first track begins."""
    if not data:
        raise _DamagedError("it is empty")
    if data[:4] != _HEADER:
        raise _DamagedError("it does not begin with MThd, as MIDI files do")
    length, kind, division = (int.from_bytes(data[a:b], "big") for a, b in ((4, 8), (8, 10), (12, 14)))
    if len(data) < 14 or length < 6 or kind > 2:
        raise _DamagedError("its header is damaged")
    if division == 0 or division >= 1 << 15:
        raise _DamagedError("its times are not in ticks per beat")
    return 8 + length


def _chunk(data: bytes, at: int, number: int) -> int:
    """Check a track and return where the next chunk begins; skip other chunks before the track."""
    while at < len(data) and data[at : at + 4] != _TRACK:
        if not data[at : at + 4].isalnum():
            raise _DamagedError(f"track {number} does not begin with MTrk")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    length = int.from_bytes(data[at + 4 : at + 8], "big")
    if at + 8 + length > len(data):
        raise _DamagedError(f"it ends before its track {number} does")
    _events(data[at + 8 : at + 8 + length], number)
    return at + 8 + length


def _events(track: bytes, number: int) -> None:
    """Check a track's events up to its end."""
    at = status = 0
    while at < len(track):
        _, at = _number(track, at)
        if track[at] >= 0x80:
            status, at = track[at], at + 1
        elif not status:
            raise _DamagedError(f"track {number} has data without a status byte")
        if status == _META:
            kind, (length, at) = track[at], _number(track, at + 1)
            _meta(kind, track[at : at + length], length, number)
            if kind == _END:
                return
            at, status = at + length, 0
        elif status in _SYSEX:
            length, at = _number(track, at)
            at, status = at + length, 0
        elif status >> 4 not in _DATA_BYTES:
            raise _DamagedError(f"track {number} has an event of unknown type")
        else:
            end = at + _DATA_BYTES[status >> 4]
            if any(track[i] >= 0x80 for i in range(at, end)):
                raise _DamagedError(f"track {number} has an event with wrong data")
            at = end
    raise _DamagedError(f"track {number} has no end")


def _meta(kind: int, content: bytes, length: int, number: int) -> None:
    if len(content) < length:
        raise _DamagedError(f"track {number} has an event that is cut off")
    if kind == _TEMPO and (length != 3 or not any(content)):
        raise _DamagedError(f"track {number} sets a tempo of 0")


def _number(track: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to four bytes of seven bits; return it and the next position."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | track[place] & 0x7F
        if track[place] < 0x80:
            return value, place + 1
    raise _DamagedError("one of its numbers is too long")
