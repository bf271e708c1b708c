"""Small pieces of music for tests, and runs trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import symusic

from holdfast.data.music.key_detection import Key
from holdfast.data.music.notes import ScoreMeta, save_midi
from holdfast.tasks.music.task import Composer


def tiny(model: str = "roll", **fields: Any) -> dict[str, Any]:
    """Return the settings of a network that trains in a moment."""
    own = {"chord_size": 8} if model == "roll" else {"embedding_size": 8}
    common = {"hidden_size": 16, "epochs": 1, "batch_size": 4, "steps": 16, "device": "cpu"}
    return {"model": model, **common, **own, **fields}


def piece(seed: int, bars: int = 4) -> Any:
    """Return two voices in C major on a flute and a piano, in quavers and quarters."""
    random, score = np.random.default_rng(seed), symusic.Score(480)
    for name, program, low, length in (("tune", 73, 60, 240), ("bass", 0, 36, 480)):
        track = symusic.Track(name, program, False)
        for start in range(0, 4 * 480 * bars, length):
            pitch = low + int(random.choice([0, 2, 4, 5, 7, 9, 11]))
            track.notes.append(symusic.Note(start, length, pitch, 79))
        score.tracks.append(track)
    return ScoreMeta(100, Key.of("C"), (4, 4)).apply_to(score)


def melody(bars: int = 2) -> Any:
    """Return the melody of a piece."""
    score = piece(77, bars)
    score.tracks = [track for track in score.tracks if track.name == "tune"]
    return score


def folder_of(path: Path, pieces: int = 10) -> Path:
    """Write a folder of so many pieces as MIDI."""
    path.mkdir(parents=True, exist_ok=True)
    for seed in range(pieces):
        save_midi(path / f"{seed:02}.mid", piece(seed))
    return path


def trained(folder: Path, out: Path, **fields: Any) -> Path:
    """Train a run on a folder."""
    Composer(**tiny(**({"steps_per_beat": 2} | fields))).fit(folder, out=out)
    return out
