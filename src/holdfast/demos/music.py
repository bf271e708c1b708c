"""Demo of music: chorales by Bach, which come with the library music21."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from holdfast._json import Keywords
from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.errors import missing_library
from holdfast.models.options import MusicOptions
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import best_cell
from holdfast.tasks.music.config import MusicConfig, MusicData, MusicTraining
from holdfast.tasks.music.result import sentences
from holdfast.tasks.music.task import Composer

CHORALES = 120
"""The number of chorales to read, of 371. The first reading of a chorale takes 0.1 s."""
_VOICES = 4
_STEPS_PER_BEAT = 2
"""Frames of a quarter note; a frame is an eighth note."""
_PIECE: Keywords = {"bars": 8, "tempo": 80, "key": "C major", "temperature": 0.8, "seed": 1}
"""The request for the composed chorale."""


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM on chorales in four voices, and compose a chorale with the better one."""
    config = MusicConfig(
        data=MusicData(steps_per_beat=_STEPS_PER_BEAT),
        network=MusicOptions(hidden_size=128, chord_size=64, dropout=0.2),
        training=MusicTraining(epochs=40, batch_size=8, learning_rate=5e-3, steps=120),
    )
    announce(f"Reading {CHORALES} chorales ...")
    data = write_data(out, "music", config, "chorales.json", chorales())
    announce(f"{CHORALES} chorales by Bach: {data}")
    found = compare_cells("music", config, data, "Chorales by Bach", announce, next=_next)
    _compose(config, found.comparison, data, announce)
    return found


def _compose(config: MusicConfig, comparison: Comparison, data: Path, announce: Announce) -> None:
    """Train the better cell again, save the run, and write a chorale as MIDI, plot and audio."""
    cell = best_cell(comparison)
    epochs = max(run["epochs"] for run in comparison.runs if run["cell"] == cell)
    network: MusicOptions = replace(config.network, cell=cast(Any, cell))
    own = replace(config, network=network, training=replace(config.training, epochs=epochs))
    announce(f"composing a chorale with the {cell.upper()} ...")
    model = Composer(own).fit(data, out=data.parent / "composer", overwrite=True)
    piece = model.compose(**_PIECE)
    files = [data.parent / f"chorale.{ending}" for ending in ("mid", "png", "wav")]
    piece.save(files[0], plot=files[1], wav=files[2])
    for line in (f"a chorale: {', '.join(map(str, files))}", *sentences(piece.summary())):
        announce(line)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    files = ["--midi", str(data.parent / "mine.mid"), "--plot", str(data.parent / "mine.png")]
    return [
        ["holdfast", "predict", run, "--key", "D minor", "--bars", "8", *files],
        ["holdfast", "predict", run, "--harmonize", "MELODY.mid", *files],
        ["holdfast", "train", "music", "FOLDER_OF_MIDI", "--model", "events", "--steps-per-beat", "8"],
    ]


def chorales() -> str:
    """Return the first chorales with four voices as JSON: a list of pieces, of frames, of pitches."""
    try:
        from music21 import corpus
    except ModuleNotFoundError as error:
        raise missing_library(error, "music") from error
    found: list[list[list[int]]] = []
    for name in corpus.chorales.Iterator(returnType="filename"):
        score = corpus.parse(name)
        if len(score.parts) == _VOICES:
            found.append(_frames(score))
        if len(found) == CHORALES:
            break
    return json.dumps(found)


def _frames(score: Any) -> list[list[int]]:
    """Return the pitches that sound at the start of each frame: T lists."""
    notes = [
        (float(note.offset), float(note.offset + note.quarterLength), pitch.midi)
        for part in score.parts
        for note in part.flatten().notes
        for pitch in note.pitches
    ]
    length = round(max(end for _, end, _ in notes) * _STEPS_PER_BEAT)
    found: list[set[int]] = [set() for _ in range(length)]
    for start, end, pitch in notes:
        for frame in range(-int(-start * _STEPS_PER_BEAT // 1), -int(-end * _STEPS_PER_BEAT // 1)):
            found[min(frame, length - 1)].add(pitch)
    return [sorted(chord) for chord in found]
