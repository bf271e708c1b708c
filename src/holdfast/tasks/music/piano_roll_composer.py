"""Composing with a model of piano rolls: frame by frame, freely or under a melody."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast.data.music.key_detection import likeliest_key
from holdfast.data.music.midi import ScorePiece, roll_of
from holdfast.data.music.notes import score_of_roll, score_of_voices, split_voices
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll
from holdfast.errors import UserError
from holdfast.models.music import FREE, SILENT, SOUNDS, PianoRollNetwork
from holdfast.nn.cells import State
from holdfast.tasks.music.request import CompositionRequest, clipped, merged

_RESAMPLED_BELOW = 0.5
"""Effective share of the proposals below which they are resampled by their weights."""


@torch.no_grad()
def compose(
    module: PianoRollNetwork, training_notes: TrainingNotes, steps_per_beat: int, request: CompositionRequest
) -> Any:
    """Return symusic's score of a piece that begins as a training piece does, or of a primer and its continuation."""
    module = copy.deepcopy(module).cpu().eval()  # step by step a CPU is faster
    random = generator(request.seed)
    frames = ceil(request.beats * steps_per_beat - 1e-9)  # the last one may be clipped
    known = np.full((frames, KEYS), FREE)
    known[:, ~request.scale[(np.arange(KEYS) + LOWEST) % 12]] = SILENT
    if request.primer is None:
        first = _first_frame(training_notes, request, random)
        roll = np.concatenate([first, _sampled(module, first, known[1:], request, random)])
        return clipped(score_of_roll(roll, steps_per_beat, request.meta), request.beats)
    first = roll_of(request.primer, steps_per_beat)
    length = round(request.start * steps_per_beat)
    first = np.pad(first[:length], ((0, max(0, length - len(first))), (0, 0)))
    new = score_of_roll(_sampled(module, first, known, request, random), steps_per_beat, request.meta)
    new = clipped(new, request.beats)

    def place(tracks: Sequence[Any], number: int, _: Any) -> int | None:
        """Match voices to the primer's tracks from the top down; further voices get tracks of their own."""
        pitched = [i for i, track in enumerate(tracks) if not track.is_drum and len(track.notes)]
        pitched.sort(key=lambda i: -float(tracks[i].notes.numpy()["pitch"].mean()))
        at = number * max(len(pitched), len(new.tracks)) // len(new.tracks)
        return pitched[at] if at < len(pitched) else None

    return merged(request.primer.score, new, request.start, place)


def _sampled(
    module: PianoRollNetwork, first: Roll, known: Any, request: CompositionRequest, random: torch.Generator
) -> Roll:
    """Return frames [T, K] after the first ones [S, K], under constraints [T, K]."""
    frames = torch.from_numpy(first.astype(np.float32))[:, None]
    state: list[State] | None = None
    found = [torch.zeros(0, KEYS)]
    for each in torch.from_numpy(known):
        context, state = module(frames, state)
        frames = module.output.sample(context[-1], request.temperature, each[None], random).frames.float()[
            None
        ]
        found.append(frames[0])
    return torch.cat(found).bool().numpy()


def _first_frame(training_notes: TrainingNotes, request: CompositionRequest, random: torch.Generator) -> Roll:
    """Return the first frame [1, K] of a training piece, moved to the requested key."""
    notes = _random_piece(training_notes, random)
    keys = notes.pitches[notes.starts == notes.starts.min()] - LOWEST
    if request.meta.key is not None:
        up = (request.meta.key.tonic - likeliest_key(notes.classes).tonic + 6) % 12 - 6
        keys = keys + up
        keys = keys[request.scale[(keys + LOWEST) % 12]]
    roll = np.zeros((1, KEYS), np.bool_)
    roll[0, keys[(keys >= 0) & (keys < KEYS)]] = True
    return roll


def _random_piece(training_notes: TrainingNotes, random: torch.Generator) -> NoteArrays:
    """Return a training piece that has notes."""
    places = training_notes.sounding
    return training_notes.piece(places[int(torch.randint(len(places), (1,), generator=random))])


@torch.no_grad()
def harmonize(
    module: PianoRollNetwork,
    training_notes: TrainingNotes,
    steps_per_beat: int,
    melody: ScorePiece,
    request: CompositionRequest,
) -> Any:
    """Return symusic's score of a melody with other voices under it; the melody stays as it is.

    Raises:
        UserError: the melody has several notes at a time.
    """
    module = copy.deepcopy(module).cpu().eval()  # step by step a CPU is faster
    tune = roll_of(melody, steps_per_beat)
    if tune.sum(1).max() > 1:
        beat = int(tune.sum(1).argmax()) / steps_per_beat
        raise UserError(
            "A melody must have one note at a time.",
            f"{melody.name} has {int(tune.sum(1).max())} at once, first at beat {beat:g}.",
            "Give the melody alone, without chords, and end each note before the next one begins.",
        )
    chosen = accompanied(module, training_notes, tune, request)
    under = score_of_voices(split_voices(chosen & ~tune), steps_per_beat, request.meta, first=2)
    return merged(melody.score, under, 0.0, lambda *_: None)


def accompanied(
    module: PianoRollNetwork, training_notes: TrainingNotes, tune: Roll, request: CompositionRequest
) -> Roll:
    """Return the likeliest of several rolls [T, K] with a tune [T, K] at the top.

    The proposals are sampled in parallel by a particle filter (Gordon, Salmond & Smith 1993). Each is weighted by how
    likely it makes the melody so far. Where the weights are too unequal, the proposals are resampled by them. The first
    chord is that of a training piece, moved under the first note.
    """
    random, count = generator(request.seed), request.proposals
    rest = int(np.flatnonzero(tune.any(1))[0])
    chords = [_chord_under(tune[rest], training_notes, request, random) for _ in range(count)]
    rolls = torch.zeros(len(tune), count, KEYS)
    rolls[rest] = torch.from_numpy(np.array(chords, np.float32))
    frames = rolls[rest][None]
    total, weight = torch.zeros(count), torch.zeros(count)
    state: list[State] | None = None
    for step, known in enumerate(torch.from_numpy(known_under(tune, request))[rest + 1 :], rest + 1):
        context, state = module(frames, state)
        found = module.output.sample(context[-1], request.temperature, known.expand(count, -1), random)
        rolls[step] = found.frames
        total = total - module.output.nll(context[-1], found.frames.float())
        weight = weight + found.weight
        share = weight.softmax(0)
        if 1 / float(share.square().sum()) < _RESAMPLED_BELOW * count:
            places = torch.multinomial(share, count, replacement=True, generator=random)
            rolls, total, weight = rolls[:, places], total[places], torch.zeros(count)
            state = [_selected(one, places) for one in state]
        frames = rolls[step][None]
    return rolls[:, int(total.argmax())].bool().numpy()


def _chord_under(
    top: Roll, training_notes: TrainingNotes, request: CompositionRequest, random: torch.Generator
) -> Roll:
    """Return the first chord of a training piece [K], in the key, moved so that its top is the melody's note."""
    notes = _random_piece(training_notes, random)
    keys = notes.pitches[notes.starts == notes.starts.min()] - LOWEST
    keys = keys + int(np.flatnonzero(top)[0]) - keys.max()
    keys = keys[(keys >= 0) & request.scale[(keys + LOWEST) % 12]]
    chord = top.copy()
    chord[keys] = True
    return chord


def known_under(tune: Roll, request: CompositionRequest) -> Any:
    """Return constraints [T, K]: a tune's keys sound, those above are silent, those below in the scale are free."""
    known = np.full(tune.shape, FREE)
    known[:, ~request.scale[(np.arange(KEYS) + LOWEST) % 12]] = SILENT
    above = np.cumsum(tune, 1) - tune > 0  # a key under it sounds
    known[above] = SILENT
    known[tune] = SOUNDS
    return known


def _selected(state: Any, places: Tensor) -> Any:
    """Return a layer's state, one or two tensors [1, B, H], of some proposals."""
    return tuple(part[:, places] for part in state) if isinstance(state, tuple) else state[:, places]


def generator(seed: int | None) -> torch.Generator:
    """Return a source of random numbers, seeded at random where there is no seed."""
    random = torch.Generator()
    random.manual_seed(seed) if seed is not None else random.seed()
    return random
