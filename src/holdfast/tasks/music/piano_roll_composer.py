"""Composing with a model of rolls: frame after frame, freely or under a melody."""

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
from holdfast.tasks.music.request import Wish, cut, put_behind

ALIKE = 0.5
"""Share of proposals that still count, below which the likely ones take the place of the others."""


@torch.no_grad()
def composed(module: PianoRollNetwork, corpus: TrainingNotes, steps_per_beat: int, wish: Wish) -> Any:
    """Symusic's score of a piece: it begins as a training piece does, or goes on behind its primer."""
    module = copy.deepcopy(module).cpu().eval()  # step by step a CPU is faster
    random = generator(wish.seed)
    frames = ceil(wish.beats * steps_per_beat - 1e-9)  # of the last one, as much as is wished
    known = np.full((frames, KEYS), FREE)
    known[:, ~wish.scale[(np.arange(KEYS) + LOWEST) % 12]] = SILENT
    if wish.primer is None:
        first = beginning(corpus, wish, random)
        roll = np.concatenate([first, drawn(module, first, known[1:], wish, random)])
        return cut(score_of_roll(roll, steps_per_beat, wish.heading), wish.beats)
    first = roll_of(wish.primer, steps_per_beat)
    length = round(wish.start * steps_per_beat)
    first = np.pad(first[:length], ((0, max(0, length - len(first))), (0, 0)))
    new = score_of_roll(drawn(module, first, known, wish, random), steps_per_beat, wish.heading)
    new = cut(new, wish.beats)

    def place(tracks: Sequence[Any], number: int, _: Any) -> int | None:
        """The voices from the top go to the primer's tracks from the top; more than it has, to tracks of their own."""
        pitched = [i for i, track in enumerate(tracks) if not track.is_drum and len(track.notes)]
        pitched.sort(key=lambda i: -float(tracks[i].notes.numpy()["pitch"].mean()))
        at = number * max(len(pitched), len(new.tracks)) // len(new.tracks)
        return pitched[at] if at < len(pitched) else None

    return put_behind(wish.primer.score, new, wish.start, place)


def drawn(module: PianoRollNetwork, first: Roll, known: Any, wish: Wish, random: torch.Generator) -> Roll:
    """Frames [T, K] behind the first ones [S, K], by what is known [T, K] of them."""
    frames = torch.from_numpy(first.astype(np.float32))[:, None]
    state: list[State] | None = None
    found = [torch.zeros(0, KEYS)]
    for each in torch.from_numpy(known):
        context, state = module(frames, state)
        frames = module.output.sample(context[-1], wish.temperature, each[None], random).frames.float()[None]
        found.append(frames[0])
    return torch.cat(found).bool().numpy()


def beginning(corpus: TrainingNotes, wish: Wish, random: torch.Generator) -> Roll:
    """The first frame [1, K] of a training piece, in the key that is held."""
    notes = one_of(corpus, random)
    keys = notes.pitches[notes.starts == notes.starts.min()] - LOWEST
    if wish.heading.key is not None:
        up = (wish.heading.key.tonic - likeliest_key(notes.classes).tonic + 6) % 12 - 6
        keys = keys + up
        keys = keys[wish.scale[(keys + LOWEST) % 12]]
    roll = np.zeros((1, KEYS), np.bool_)
    roll[0, keys[(keys >= 0) & (keys < KEYS)]] = True
    return roll


def one_of(corpus: TrainingNotes, random: torch.Generator) -> NoteArrays:
    """A training piece that has notes."""
    places = corpus.sounding
    return corpus.piece(places[int(torch.randint(len(places), (1,), generator=random))])


@torch.no_grad()
def harmonised(
    module: PianoRollNetwork, corpus: TrainingNotes, steps_per_beat: int, melody: ScorePiece, wish: Wish
) -> Any:
    """Symusic's score of a melody with the other voices under it; the first chord is one with which a training piece
    begins, moved under the first note.

    Several proposals are drawn side by side. Each is weighed by how likely it makes the melody so far; where few still
    count, the likely ones are taken several times (a particle filter: Gordon, Salmond & Smith 1993). Of those in the
    end the one is kept that is likeliest as a whole.
    """
    module = copy.deepcopy(module).cpu().eval()  # step by step a CPU is faster
    tune = roll_of(melody, steps_per_beat)
    if tune.sum(1).max() > 1:
        beat = int(tune.sum(1).argmax()) / steps_per_beat
        raise UserError(
            "A melody has one note at a time.",
            f"{melody.name} has {int(tune.sum(1).max())} at once, first at beat {beat:g}.",
            "Give the melody alone, without chords, and end each note before the next one begins.",
        )
    chosen = accompanied(module, corpus, tune, wish)
    under = score_of_voices(split_voices(chosen & ~tune), steps_per_beat, wish.heading, first=2)
    return put_behind(melody.score, under, 0.0, lambda *_: None)


def accompanied(module: PianoRollNetwork, corpus: TrainingNotes, tune: Roll, wish: Wish) -> Roll:
    """The likeliest of some rolls [T, K] that have a tune [T, K] at their top."""
    random, count = generator(wish.seed), wish.proposals
    rest = int(np.flatnonzero(tune.any(1))[0])
    chords = [_chord_under(tune[rest], corpus, wish, random) for _ in range(count)]
    rolls = torch.zeros(len(tune), count, KEYS)
    rolls[rest] = torch.from_numpy(np.array(chords, np.float32))
    frames = rolls[rest][None]
    total, weight = torch.zeros(count), torch.zeros(count)
    state: list[State] | None = None
    for step, known in enumerate(torch.from_numpy(melody_known(tune, wish))[rest + 1 :], rest + 1):
        context, state = module(frames, state)
        found = module.output.sample(context[-1], wish.temperature, known.expand(count, -1), random)
        rolls[step] = found.frames
        total = total - module.output.nll(context[-1], found.frames.float())
        weight = weight + found.weight
        share = weight.softmax(0)
        if 1 / float(share.square().sum()) < ALIKE * count:
            places = torch.multinomial(share, count, replacement=True, generator=random)
            rolls, total, weight = rolls[:, places], total[places], torch.zeros(count)
            state = [_taken(one, places) for one in state]
        frames = rolls[step][None]
    return rolls[:, int(total.argmax())].bool().numpy()


def _chord_under(top: Roll, corpus: TrainingNotes, wish: Wish, random: torch.Generator) -> Roll:
    """The first chord of a training piece [K], moved so that its highest note is the melody's; in the key."""
    notes = one_of(corpus, random)
    keys = notes.pitches[notes.starts == notes.starts.min()] - LOWEST
    keys = keys + int(np.flatnonzero(top)[0]) - keys.max()
    keys = keys[(keys >= 0) & wish.scale[(keys + LOWEST) % 12]]
    chord = top.copy()
    chord[keys] = True
    return chord


def melody_known(tune: Roll, wish: Wish) -> Any:
    """What is known [T, K] under a tune: its keys sound, those above are silent, those below are free, in the key."""
    known = np.full(tune.shape, FREE)
    known[:, ~wish.scale[(np.arange(KEYS) + LOWEST) % 12]] = SILENT
    above = np.cumsum(tune, 1) - tune > 0  # a key under it sounds
    known[above] = SILENT
    known[tune] = SOUNDS
    return known


def _taken(state: Any, places: Tensor) -> Any:
    """A layer's state, one or two tensors [1, B, H], of other proposals."""
    return tuple(part[:, places] for part in state) if isinstance(state, tuple) else state[:, places]


def generator(seed: int | None) -> torch.Generator:
    """A source of random numbers; another one each time without a seed."""
    random = torch.Generator()
    random.manual_seed(seed) if seed is not None else random.seed()
    return random
