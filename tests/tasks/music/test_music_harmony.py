"""Harmonization against enumeration: few keys, few frames, every chord under a melody."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.data.music.midi import ScorePiece
from holdfast.data.music.notes import score_of_roll
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.piano_roll import KEYS, LOWEST
from holdfast.models.music import PianoRollNetwork
from holdfast.models.options import MusicOptions
from holdfast.tasks.music import piano_roll_model
from holdfast.tasks.music.config import Prediction
from holdfast.tasks.music.request import CompositionRequest

MELODY = 3
"""Key of the melody; three more are below it."""
FRAMES = 3


@pytest.fixture
def model() -> PianoRollNetwork:
    """Return a model with wide logits, so that the probabilities of chords differ much."""
    torch.manual_seed(3)
    module = PianoRollNetwork(KEYS, MusicOptions(hidden_size=6, chord_size=4, cell="gru")).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module


def tune(frames: int = FRAMES) -> Any:
    roll = np.zeros((frames, KEYS), np.bool_)
    roll[:, MELODY] = True
    return roll


def request(proposals: int, seed: int, frames: int = FRAMES) -> CompositionRequest:
    song = ScorePiece("tune", score_of_roll(tune(frames), 2))
    options = Prediction(harmonize=Path("tune.mid"), proposals=proposals, seed=seed)
    return CompositionRequest.of(options, song)


TRAINING = TrainingNotes.of([("one", NoteArrays.of(np.zeros(1), np.array([MELODY + LOWEST]), np.ones(1)))])


def likelihoods(model: PianoRollNetwork) -> dict[tuple[int, ...], float]:
    """Return ``log p`` of every accompaniment: numbers of the chords in frames 1 and later."""
    chords = list(product([0, 1], repeat=MELODY))
    found = {}
    for ways in product(range(len(chords)), repeat=FRAMES - 1):
        frames = torch.from_numpy(tune()).float()
        for t, way in enumerate(ways, 1):
            frames[t, :MELODY] = torch.tensor(chords[way], dtype=torch.float32)
        with torch.no_grad():
            context = model(frames[:-1, None])[0][:, 0]
            found[ways] = -float(model.output.nll(context, frames[1:]).sum())
    return found


def sampled(model: PianoRollNetwork, proposals: int, seed: int) -> tuple[int, ...]:
    with torch.no_grad():
        roll = piano_roll_model.accompanied(model, TRAINING, tune(), request(proposals, seed))
    assert roll[:, MELODY].all() and not roll[:, MELODY + 1 :].any()
    return tuple(int(way) for way in roll[1:, :MELODY] @ [4, 2, 1])


def test_the_most_probable_of_many_proposals_is_kept(model: PianoRollNetwork) -> None:
    exact = likelihoods(model)
    best = max(exact, key=lambda ways: exact[ways])
    assert [sampled(model, 1000, seed) for seed in range(2)] == [best, best]


def test_proposals_that_make_the_melody_improbable_are_dropped(
    model: PianoRollNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mean(share: float) -> float:
        monkeypatch.setattr(piano_roll_model, "_RESAMPLED_BELOW", share)
        with torch.no_grad():
            rolls = [
                piano_roll_model.accompanied(model, TRAINING, tune(16), request(8, seed, 16))
                for seed in range(12)
            ]
            found = torch.from_numpy(np.stack(rolls, 1)).float()
            context = model(found[:-1])[0]
            nats = model.output.nll(context[torch.ones(15, 12, dtype=torch.bool)], found[1:].flatten(0, 1))
        return -float(nats.sum()) / 12

    assert mean(piano_roll_model._RESAMPLED_BELOW) > mean(0.0) + 1  # 0: never
