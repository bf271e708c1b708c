"""Music from MIDI files and ABC tunes, by the library symusic and the converter abc2midi that it carries."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.data.music.midi_bytes import check_midi
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece
from holdfast.errors import UserError, missing_library
from holdfast.files import listed

MIDI_ENDINGS, ABC_ENDINGS = (".mid", ".midi", ".kar"), (".abc",)
_MOST_BEATS = 20_000
"""Beats of the longest piece: more than two hours. A longer one has wrong times."""
_SHORT_BAR = 1.0
"""Quarters of a bar that is too short to be meant: it is read as 4/4."""


@dataclass(frozen=True)
class ScorePiece:
    """A piece of music as it was written: the name of its file (and tune), and symusic's score in ticks."""

    name: str
    score: Any


def read_scores(path: Path) -> list[ScorePiece]:
    """The pieces of a file of MIDI or ABC, or of a folder with its folders, by their names.

    Raises:
        UserError: a file that is none, or that has no notes: the first three with their names and what is wrong.
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
        told = listed([f"{error.rule} {error.got}" for error in wrong], " ")
        raise UserError(
            "Every file is music that can be read.",
            f"Of the {len(files):,} files of {path}, {len(wrong):,} are not: {told}.".replace("..", "."),
            "Export them again, or take them out of the folder.",
        )
    return found


def _files(path: Path) -> list[Path]:
    endings = MIDI_ENDINGS + ABC_ENDINGS
    if not path.exists():
        raise UserError("The music is a file or a folder.", f"There is no {path}.", "Check the name.")
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in endings and p.is_file())
        if not found:
            rule = f"A folder of music holds files that end in {', '.join(endings)}."
            raise UserError(rule, f"{path} holds none.", "Give another folder.")
        return found
    if path.suffix.lower() not in endings:
        raise UserError(
            f"MIDI and ABC come in files that end in {', '.join(endings)}.",
            f"It was {path.name}.",
            "Give such a file or a folder of them; piano rolls (.mat, .json) are for --model roll.",
        )
    return [path]


def _read(file: Path, name: str) -> Iterator[ScorePiece]:
    try:
        data = file.read_bytes()
    except OSError as error:
        rule, got = f"{name} must be readable.", f"The system says: {error.strerror or error}."
        raise UserError(rule, got, "Change its permissions, or leave it out.") from error
    if file.suffix.lower() in ABC_ENDINGS:
        return iter(list(_tunes(data, name)))
    return iter([ScorePiece(name, parse_midi(data, name))])


def parse_midi(data: bytes, name: str) -> Any:
    """Symusic's score of the bytes of a MIDI file; bars of one beat are taken for 4/4.

    Raises:
        UserError: they are no MIDI file, or one without notes.
    """
    symusic = load_symusic()
    check_midi(data, name)
    try:
        score = symusic.Score.from_midi(data)
        beats = score.end() / score.ticks_per_quarter
    except Exception as error:  # the library raises errors of many kinds
        rule = f"{name} must be a MIDI file."
        raise UserError(rule, f"It cannot be read: {error}.", "Export it again, or leave it out.") from error
    if not score.note_num():
        raise UserError("Music has notes.", f"{name} has none.", "Leave it out.")
    if beats > _MOST_BEATS:
        raise UserError(
            f"A piece has at most {_MOST_BEATS:,} beats.",
            f"{name} has {beats:,.0f}: its times are wrong.",
            "Export it again, or leave it out.",
        )
    for signature in score.time_signatures:
        if 4 * signature.numerator <= _SHORT_BAR * signature.denominator:
            signature.numerator, signature.denominator = 4, 4
    return score


def _tunes(data: bytes, name: str) -> Iterator[ScorePiece]:
    """The tunes of an ABC file: each begins with a line X: and its number."""
    text = data.decode("utf-8-sig", "replace")  # some editors write a byte order mark
    starts = [match.start() for match in re.finditer(r"^X:", text, re.MULTILINE)]
    if not starts or "\0" in text:
        raise UserError(
            f"{name} must hold tunes in ABC.",
            "No line in it begins with X:, as a tune does.",
            "Correct it, or leave it out.",
        )
    head = text[: starts[0]]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)]), 1):
        tune = name if len(starts) == 1 else f"{name}, tune {number}"
        yield ScorePiece(tune, parse_midi(_converted(head + text[start:end], tune), tune))


def _converted(tune: str, name: str) -> bytes:
    """A tune as the bytes of a MIDI file."""
    converter = Path(str(load_symusic().__file__)).parent / "bin" / "abc2midi"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "tune.abc", Path(folder) / "tune.mid"
        source.write_text(tune, encoding="utf-8")
        try:
            done = subprocess.run(
                [converter, source, "-o", target], capture_output=True, check=False, timeout=60, cwd=folder
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            rule = f"{name} must be a tune in ABC that abc2midi converts."
            raise UserError(rule, f"It does not: {error}.", "Convert it to MIDI otherwise.") from error
        if not target.exists():
            lines = done.stdout.decode("utf-8", "replace").splitlines()
            errors = [line for line in lines if "Error" in line] or ["it says nothing"]
            rule = f"{name} must be a tune in ABC."
            raise UserError(rule, f"abc2midi cannot read it: {errors[0]}.", "Correct it, or leave it out.")
        return target.read_bytes()


# -- rolls -------------------------------------------------------------------------------------------------------


def read_rolls(path: Path, steps_per_beat: int) -> list[RollPiece]:
    """The pieces as rolls of so many frames a beat (a quarter); a note sounds as long as it is written, drums do not.

    Raises:
        UserError: as :func:`read_scores`, and where a piece has drums only, or no note on the keyboard.
    """
    return [
        RollPiece(song.name, roll_of(song, steps_per_beat), omissions(song), first_time_signature(song))
        for song in read_scores(path)
    ]


def first_time_signature(song: ScorePiece) -> tuple[int, int]:
    """Beats of a bar and what a beat is, at the beginning of a piece; 4/4 where nothing is said."""
    return next(((s.numerator, s.denominator) for s in song.score.time_signatures), (4, 4))


def roll_of(song: ScorePiece, steps_per_beat: int) -> Roll:
    """The roll [T, 88] of a piece."""
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
            f"A roll has notes from {LOWEST} to {LOWEST + KEYS - 1}, the keys of a piano.",
            f"{song.name} has none of these{' but drums' * drums}.",
            "Leave it out; --model events reads drums beside other voices."
            if drums
            else "Leave it out, or transpose it by octaves.",
        )
    return roll


def omissions(song: ScorePiece) -> tuple[str, ...]:
    """What of a piece a roll does not hold, as the beginning of a sentence that the piece's name ends."""
    pitches = [track.notes.numpy()["pitch"] for track in song.score.tracks if not track.is_drum]
    beyond = any(len(p) and (p.min() < LOWEST or p.max() >= LOWEST + KEYS) for p in pitches)
    drums = any(track.is_drum and len(track.notes) for track in song.score.tracks)
    return ("drums, left out of",) * drums + ("notes beyond a piano's keys, left out of",) * beyond


def load_symusic() -> Any:
    """The library.

    Raises:
        UserError: it is not installed.
    """
    try:
        import symusic
    except ModuleNotFoundError as error:
        raise missing_library(error, "music") from error
    return symusic
