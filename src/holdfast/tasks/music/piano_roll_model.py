"""Backend of piano rolls: which keys sound in the next frame."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.music.key_detection import likeliest_key
from holdfast.data.music.midi import roll_of
from holdfast.data.music.notes import score_of_roll, score_of_voices, split_voices
from holdfast.data.music.novelty import NoteArrays, TrainingNotes
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece, RollPieces
from holdfast.data.music.pieces import SPLITS, digest, read_pieces
from holdfast.errors import UserError
from holdfast.models.music import FREE, SILENT, SOUNDS, PianoRollNetwork
from holdfast.nn.cells import State
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.music.backend import MusicBackend
from holdfast.tasks.music.baselines import Marginal, Markov
from holdfast.tasks.music.config import PROPOSALS, MusicData
from holdfast.tasks.music.metrics import RollPredictions, score_rolls
from holdfast.tasks.music.preprocessing import RollDataset, RollPreprocessing, RollSplit
from holdfast.tasks.music.request import CompositionRequest, clipped, merged
from holdfast.tasks.music.trainable import RollTraining, mean_nats, predict_rolls

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score
    from symusic.core import TrackTick as Track

_RESAMPLED_BELOW = 0.5
"""Effective share of the proposals below which they are resampled by their weights."""


class PianoRollBackend(
    MusicBackend[RollPiece, RollSplit, RollPreprocessing, RollPredictions, PianoRollNetwork]
):
    """Models that read and compose piano rolls."""

    preprocessing = RollPreprocessing
    encode = staticmethod(RollPreprocessing.encode)
    predictions = staticmethod(predict_rolls)
    score = staticmethod(score_rolls)
    loss = staticmethod(mean_nats)

    def read_pieces(self, path: Path) -> dict[str, RollPieces]:
        """Read the pieces of a file as rolls."""
        return read_pieces(path, self.config.data.steps_per_beat)

    def fit_preprocessing(self, pieces: RollPieces) -> RollPreprocessing:
        """Find the most frequent time signature."""
        return RollPreprocessing.fit(pieces, self.config.data)

    def digest(self, splits: Mapping[str, RollSplit]) -> str:
        """Return a hash of all rolls."""
        return digest(splits[name].pieces if name in splits else () for name in SPLITS)

    def data_notes(self, train: RollSplit) -> tuple[str, ...]:
        """Return a note where neither the file nor the user says how long a frame is."""
        steps, default = self.config.data.steps_per_beat, MusicData().steps_per_beat
        if steps != default or any(piece.signature for piece in train.pieces):
            return ()
        return (f"the file has no frame length: a beat is taken as {default} frames (--steps-per-beat)",)

    def network(self, preprocessing: RollPreprocessing) -> PianoRollNetwork:
        """Build the untrained network."""
        return PianoRollNetwork(KEYS, self.config.network)

    def trainable(self, module: PianoRollNetwork, dataset: RollDataset) -> RollTraining:
        """Return batches of segments of the training pieces."""
        return RollTraining(module, self.config, dataset)

    def baselines(self, preprocessing: RollPreprocessing) -> BaselineSet[RollSplit, RollPredictions]:
        """Return the frequency of each key, and a first-order Markov model of each key."""
        return BaselineSet([Marginal(), Markov()])

    @torch.no_grad()
    def compose(
        self,
        module: PianoRollNetwork,
        preprocessing: RollPreprocessing,
        training_notes: TrainingNotes,
        request: CompositionRequest,
    ) -> Score:
        """Return a piece that begins as a training piece does, or a primer and its continuation."""
        if request.asked.top_p is not None:
            raise UserError(
                "--top-p must be used with a model of events.",
                "This is a model of piano rolls.",
                "Leave it out, or give a lower --temperature.",
            )
        steps_per_beat = self.config.data.steps_per_beat
        module = copy.deepcopy(module).cpu().eval()  # step by step a CPU is faster
        random = generator(request.asked.seed)
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

        def place(tracks: Sequence[Track], number: int, _: object) -> int | None:
            """Match voices to the primer's tracks from the top down; others get their own."""
            pitched = [i for i, track in enumerate(tracks) if not track.is_drum and len(track.notes)]
            pitched.sort(key=lambda i: -float(tracks[i].notes.numpy()["pitch"].mean()))
            at = number * max(len(pitched), len(new.tracks)) // len(new.tracks)
            return pitched[at] if at < len(pitched) else None

        return merged(request.primer.score, new, request.start, place)

    @torch.no_grad()
    def harmonize(
        self, module: PianoRollNetwork, training_notes: TrainingNotes, request: CompositionRequest
    ) -> Score:
        """Return a melody with other voices under it; the melody stays as it is."""
        melody, steps_per_beat = request.primer, self.config.data.steps_per_beat
        assert melody is not None
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


# -- composing -------------------------------------------------------------------------------------


def _sampled(
    module: PianoRollNetwork, first: Roll, known: object, request: CompositionRequest, random: torch.Generator
) -> Roll:
    """Return frames [T, K] after the first ones [S, K], under constraints [T, K]."""
    frames = torch.from_numpy(first.astype(np.float32))[:, None]
    state: list[State] | None = None
    found = [torch.zeros(0, KEYS)]
    for each in torch.from_numpy(known):
        context, state = module(frames, state)
        sampled = module.output.sample(context[-1], request.temperature, each[None], random)
        frames = sampled.frames.float()[None]
        found.append(frames[0])
    return torch.cat(found).bool().numpy()


def _first_frame(training_notes: TrainingNotes, request: CompositionRequest, random: torch.Generator) -> Roll:
    """Return the first frame [1, K] of a training piece, moved to the requested key."""
    notes, keys = _first_chord(training_notes, random)
    if request.meta.key is not None:
        up = (request.meta.key.tonic - likeliest_key(notes.classes).tonic + 6) % 12 - 6
        keys = keys + up
        keys = keys[request.scale[(keys + LOWEST) % 12]]
    roll = np.zeros((1, KEYS), np.bool_)
    roll[0, keys[(keys >= 0) & (keys < KEYS)]] = True
    return roll


def _first_chord(training_notes: TrainingNotes, random: torch.Generator) -> tuple[NoteArrays, Array]:
    """Return a random training piece that has notes, and the keys of its first chord."""
    places = training_notes.sounding
    notes = training_notes.piece(places[int(torch.randint(len(places), (1,), generator=random))])
    return notes, notes.pitches[notes.starts == notes.starts.min()] - LOWEST


def accompanied(
    module: PianoRollNetwork, training_notes: TrainingNotes, tune: Roll, request: CompositionRequest
) -> Roll:
    """Return the likeliest of several rolls [T, K] with a tune [T, K] at the top.

    The proposals are sampled in parallel by a particle filter (Gordon, Salmond & Smith 1993). Each
    is weighted by how likely it makes the melody so far. Where the weights are too unequal, the
    proposals are resampled by them. The first chord is that of a training piece, moved under the
    first note.
    """
    random, count = generator(request.asked.seed), request.asked.proposals or PROPOSALS
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
    """Return the first chord of a training piece [K], in the key, moved under the melody's note."""
    _, keys = _first_chord(training_notes, random)
    keys = keys + int(np.flatnonzero(top)[0]) - keys.max()
    keys = keys[(keys >= 0) & request.scale[(keys + LOWEST) % 12]]
    chord = top.copy()
    chord[keys] = True
    return chord


def known_under(tune: Roll, request: CompositionRequest) -> Array:
    """Return constraints [T, K]: the tune's keys sound, keys above are silent, below are free."""
    known = np.full(tune.shape, FREE)
    known[:, ~request.scale[(np.arange(KEYS) + LOWEST) % 12]] = SILENT
    above = np.cumsum(tune, 1) - tune > 0  # a key under it sounds
    known[above] = SILENT
    known[tune] = SOUNDS
    return known


def _selected(state: State, places: Tensor) -> State:
    """Return a layer's state, one or two tensors [1, B, H], of some proposals."""
    return tuple(part[:, places] for part in state) if isinstance(state, tuple) else state[:, places]


def generator(seed: int | None) -> torch.Generator:
    """Return a source of random numbers, seeded at random where there is no seed."""
    random = torch.Generator()
    random.manual_seed(seed) if seed is not None else random.seed()
    return random
