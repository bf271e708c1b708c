"""Pieces of music as piano rolls: which of a piano's 88 keys sound in each frame.

Files: ``.mat`` with cells of rolls (Boulanger-Lewandowski et al. 2012), JSON with the pitches of each frame, and
files or folders of MIDI and ABC, of which :mod:`holdfast.data.music.midi` makes rolls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece, RollPieces
from holdfast.errors import UserError, missing_library

SPLITS = ("train", "valid", "test")
"""Parts of a file that carries its split."""
UNSPLIT = "whole"
"""The only part of a file that carries none."""


def read_pieces(path: Path, steps_per_beat: int = 4) -> dict[str, RollPieces]:
    """The pieces of a file or folder, by part: ``train``, ``valid`` and ``test`` where it carries them, or ``whole``.

    Args:
        path: ``.mat``, ``.json``, or a file or folder of MIDI or ABC.
        steps_per_beat: frames of a beat, for MIDI and ABC; the others have frames already.

    Raises:
        UserError: a file that cannot be read, or is not as it should be, with the piece and the frame.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "scales.json"
        >>> _ = path.write_text('{"train": [[[60], [62, 65], []]]}')
        >>> read_pieces(path)["train"][0].roll[1].nonzero()[0] + 21
        array([62, 65])
    """
    path = Path(path)
    if not path.exists():
        raise UserError("The data are a file or a folder.", f"There is no {path}.", "Check the name.")
    reader = READERS.get(path.suffix.lower()) if path.is_file() else None
    return reader(path) if reader else _read_midi(path, steps_per_beat)


def digest(parts: Iterable[RollPieces]) -> str:
    """A hash of all rolls of some parts: the same data, the same hash."""
    found = sha256()
    for pieces in parts:
        found.update(f"{len(pieces)};".encode())
        for piece in pieces:
            found.update(f"{piece.roll.shape};".encode() + np.packbits(piece.roll).tobytes())
    return found.hexdigest()


def transposed(roll: Roll, semitones: int) -> Roll:
    """The roll [T, K] higher (or lower) by some semitones; no key may leave the keyboard.

    Example:
        >>> transposed(np.eye(3, dtype=bool)[:2], 1).astype(int)
        array([[0, 1, 0],
               [0, 0, 1]])
    """
    return np.roll(roll, semitones, axis=1)


def transposition_range(roll: Roll, most: int) -> tuple[int, int]:
    """How far a roll can be transposed: the lowest and highest number of semitones, ``-most`` and ``most`` at most."""
    used = np.flatnonzero(roll.any(0))
    if not len(used):
        return 0, 0
    return -min(most, int(used[0])), min(most, roll.shape[1] - 1 - int(used[-1]))


# -- .mat --------------------------------------------------------------------------------------------------------


def _read_mat(path: Path) -> dict[str, RollPieces]:
    """Cells ``traindata``, ``validdata``, ``testdata`` of arrays [T, 88] of 0 and 1."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise missing_library(error, "music") from error
    rule = f"{path} must be a MATLAB file (to version 7.2) with cells traindata, validdata, testdata."
    try:
        values: Mapping[str, Any] = loadmat(path)
    except Exception as error:  # scipy raises errors of many kinds for a damaged file
        raise UserError(
            rule, f"It cannot be read: {error}.", "Copy it again, or save it with -v7."
        ) from error
    names = {part: f"{part}data" for part in SPLITS}
    found = {part: values[name] for part, name in names.items() if name in values}
    if not found:
        have = ", ".join(name for name in values if not name.startswith("__")) or "nothing"
        raise UserError(rule, f"It holds {have}.", "Name the cells so; one of them is enough.")
    return {
        part: tuple(
            RollPiece(f"{names[part]}{{{i}}}", _checked(roll, path, f"{names[part]}{{{i}}}"))
            for i, roll in enumerate(np.ravel(cells), 1)
        )
        for part, cells in found.items()
    }


def _checked(roll: object, path: Path, name: str) -> Roll:
    rule = f"A piece in a .mat file is a matrix of 0 and 1, a row for each frame and {KEYS} columns."
    fix = "Correct that cell."
    if not isinstance(roll, np.ndarray) or roll.ndim != 2 or (roll.size and roll.shape[1] != KEYS):
        shape = f"the shape {roll.shape}" if isinstance(roll, np.ndarray) else "no shape"
        raise UserError(rule, f"{name} in {path} has {shape}.", fix)
    if roll.dtype.kind not in "buif" or not np.isin(roll, (0, 1)).all():
        raise UserError(rule, f"{name} in {path} holds something else.", fix)
    return roll.reshape(-1, KEYS).astype(np.bool_)


# -- JSON --------------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> dict[str, RollPieces]:
    """``{"train": [[[60, 64], ...], ...], ...}``: parts of pieces of frames of MIDI pitches; or a list of pieces."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        got = f"The system says: {error.strerror or error}."
        raise UserError(f"{path} must be readable.", got, "Check the name.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} must be a JSON file.", f"It is not: {error}.", "Correct that place."
        ) from error
    rule = f"{path} must hold a list of pieces, or an object of such lists with the names train, valid, test."
    fix = 'Write for example {"train": [[[60, 64], [62]]]}: pieces of frames of MIDI pitches.'
    parts = values if isinstance(values, dict) else {UNSPLIT: values}
    strange = [name for name in parts if name not in (*SPLITS, UNSPLIT)]
    if strange or not parts:
        raise UserError(rule, f"It has {', '.join(map(repr, strange)) or 'nothing'}.", fix)
    for name, pieces in parts.items():
        if not isinstance(pieces, list):
            raise UserError(rule, f"{name} is {_kind(pieces)}.", fix)
    return {
        part: tuple(
            RollPiece(f"{part}[{i}]", _roll(piece, f"{part}[{i}]", path)) for i, piece in enumerate(pieces)
        )
        for part, pieces in parts.items()
    }


def _roll(frames: object, name: str, path: Path) -> Roll:
    """The roll of a piece given as a list of frames, each a list of pitches."""
    rule = f"A piece is a list of frames, each a list of MIDI pitches from {LOWEST} to {LOWEST + KEYS - 1}."
    fix = "Correct that place."
    if not isinstance(frames, list):
        raise UserError(rule, f"{name} in {path} is {_kind(frames)}.", fix)
    roll = np.zeros((len(frames), KEYS), np.bool_)
    for t, pitches in enumerate(frames):
        if not isinstance(pitches, list):
            raise UserError(rule, f"Frame {t} of {name} in {path} is {_kind(pitches)}.", fix)
        for pitch in pitches:
            if not _is_pitch(pitch):
                raise UserError(rule, f"Frame {t} of {name} in {path} has {pitch!r}.", fix)
            roll[t, int(pitch) - LOWEST] = True
    return roll


def _is_pitch(value: object) -> bool:
    """A whole number of a key; 60.0 is one, as some writers of JSON have it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value in range(LOWEST, LOWEST + KEYS)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"


# -- MIDI and ABC ------------------------------------------------------------------------------------------------


def _read_midi(path: Path, steps_per_beat: int) -> dict[str, RollPieces]:
    from holdfast.data.music.midi import read_rolls

    return {UNSPLIT: tuple(read_rolls(path, steps_per_beat))}


READERS: dict[str, Callable[[Path], dict[str, RollPieces]]] = {".mat": _read_mat, ".json": _read_json}
"""Ending of a file -> its reader; all others are MIDI or ABC."""
