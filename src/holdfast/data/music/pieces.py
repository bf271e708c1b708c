"""Readers of piano rolls.

Formats: ``.mat`` with cells of rolls (Boulanger-Lewandowski et al. 2012), JSON with the pitches of
each frame, and files or folders of MIDI and ABC (:mod:`holdfast.data.music.midi`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np

from holdfast._json import JsonMapping
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece, RollPieces
from holdfast.errors import UserError
from holdfast.files import missing_file, unreadable
from holdfast.optional_imports import load_extra

SPLITS = ("train", "valid", "test")
"""Names of the splits in a file that is already split."""
UNSPLIT = "whole"
"""Name for all pieces of a file that is not split."""


def read_pieces(path: Path, steps_per_beat: int = 4) -> dict[str, RollPieces]:
    """Read pieces by split: ``train``, ``valid`` and ``test`` if the file has them, else ``whole``.

    Args:
        path: ``.mat``, ``.json``, or a file or folder of MIDI or ABC.
        steps_per_beat: frames per beat, for MIDI and ABC only.

    Raises:
        UserError: a file is unreadable or malformed (the error names the piece and the frame).

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "scales.json"
        >>> _ = path.write_text('{"train": [[[60], [62, 65], []]]}')
        >>> read_pieces(path)["train"][0].roll[1].nonzero()[0] + 21
        array([62, 65])
    """
    path = Path(path)
    if not path.exists():
        raise missing_file(path, "music file or folder")
    reader = READERS.get(path.suffix.lower()) if path.is_file() else None
    return reader(path) if reader else _read_midi(path, steps_per_beat)


def digest(splits: Iterable[RollPieces]) -> str:
    """Return a hash of all rolls of the splits; equal data have equal hashes."""
    found = sha256()
    for pieces in splits:
        found.update(f"{len(pieces)};".encode())
        for piece in pieces:
            found.update(f"{piece.roll.shape};".encode() + np.packbits(piece.roll).tobytes())
    return found.hexdigest()


def transposed(roll: Roll, semitones: int) -> Roll:
    """Transpose a roll [T, K] by semitones; no key may leave the keyboard.

    Example:
        >>> transposed(np.eye(3, dtype=bool)[:2], 1).astype(int)
        array([[0, 1, 0],
               [0, 0, 1]])
    """
    return np.roll(roll, semitones, axis=1)


def transposition_range(roll: Roll, most: int) -> tuple[int, int]:
    """Return the lowest and highest transposition, within ``-most`` ... ``most`` semitones."""
    used = np.flatnonzero(roll.any(0))
    if not len(used):
        return 0, 0
    return -min(most, int(used[0])), min(most, roll.shape[1] - 1 - int(used[-1]))


# -- .mat --------------------------------------------------------------------------------------------------------


def _read_mat(path: Path) -> dict[str, RollPieces]:
    """Read the cells ``traindata``, ``validdata``, ``testdata`` of arrays [T, 88] of 0 and 1."""
    loadmat = load_extra("scipy.io", "music").loadmat
    rule = f"{path} must be a MATLAB file (to version 7.2) with cells traindata, validdata, testdata."
    try:
        values: JsonMapping = loadmat(path)
    except Exception as error:  # scipy raises errors of many kinds for a damaged file
        raise UserError(
            rule, f"It cannot be read: {error}.", "Copy it again, or save it with -v7."
        ) from error
    names = {split: f"{split}data" for split in SPLITS}
    found = {split: values[name] for split, name in names.items() if name in values}
    if not found:
        have = ", ".join(name for name in values if not name.startswith("__")) or "nothing"
        raise UserError(rule, f"It holds {have}.", "Rename the cells; one of the three is enough.")
    return {
        split: tuple(
            RollPiece(f"{names[split]}{{{i}}}", _checked(roll, path, f"{names[split]}{{{i}}}"))
            for i, roll in enumerate(np.ravel(cells), 1)
        )
        for split, cells in found.items()
    }


def _checked(roll: object, path: Path, name: str) -> Roll:
    rule = (
        f"A piece in a .mat file must be a matrix of 0 and 1, with a row for each frame and {KEYS} columns."
    )
    fix = "Correct that cell."
    if not isinstance(roll, np.ndarray) or roll.ndim != 2 or (roll.size and roll.shape[1] != KEYS):
        shape = f"the shape {roll.shape}" if isinstance(roll, np.ndarray) else "no shape"
        raise UserError(rule, f"{name} in {path} has {shape}.", fix)
    if roll.dtype.kind not in "buif" or not np.isin(roll, (0, 1)).all():
        raise UserError(rule, f"{name} in {path} has other values.", fix)
    return roll.reshape(-1, KEYS).astype(np.bool_)


# -- JSON --------------------------------------------------------------------------------------------------------


def _read_json(path: Path) -> dict[str, RollPieces]:
    """Read pieces, or splits of pieces: lists of frames, which are lists of MIDI pitches."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} must be a JSON file.", f"It is not: {error}.", "Correct that place."
        ) from error
    rule = f"{path} must hold a list of pieces, or an object of such lists with the names train, valid, test."
    fix = 'Write for example {"train": [[[60, 64], [62]]]}: pieces of frames of MIDI pitches.'
    splits = values if isinstance(values, dict) else {UNSPLIT: values}
    strange = [name for name in splits if name not in (*SPLITS, UNSPLIT)]
    if strange or not splits:
        raise UserError(rule, f"It has {', '.join(map(repr, strange)) or 'nothing'}.", fix)
    for name, pieces in splits.items():
        if not isinstance(pieces, list):
            raise UserError(rule, f"{name} is {_kind(pieces)}.", fix)
    return {
        split: tuple(
            RollPiece(f"{split}[{i}]", _roll(piece, f"{split}[{i}]", path)) for i, piece in enumerate(pieces)
        )
        for split, pieces in splits.items()
    }


def _roll(frames: object, name: str, path: Path) -> Roll:
    """Convert a list of frames, each a list of pitches, to a roll."""
    rule = (
        f"A piece must be a list of frames, each a list of MIDI pitches from {LOWEST} to {LOWEST + KEYS - 1}."
    )
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
    """Return whether a value is the number of a key; 60.0 counts, as some writers produce it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value in range(LOWEST, LOWEST + KEYS)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"


# -- MIDI and ABC ------------------------------------------------------------------------------------------------


def _read_midi(path: Path, steps_per_beat: int) -> dict[str, RollPieces]:
    from holdfast.data.music.midi import read_rolls

    return {UNSPLIT: tuple(read_rolls(path, steps_per_beat))}


READERS: dict[str, Callable[[Path], dict[str, RollPieces]]] = {".mat": _read_mat, ".json": _read_json}
"""File ending -> reader; all other files are MIDI or ABC."""
