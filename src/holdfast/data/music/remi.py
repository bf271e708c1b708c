"""Expressive MIDI as a sequence of events (REMI: Huang & Yang 2020, arXiv 2002.00212), by the
library MidiTok.

A piece is bars with their time signature, positions within them, and notes: the voice where it
changes, pitch, velocity and length. Tempo and key hold for the whole piece and are not events.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from holdfast._json import JsonMapping, JsonObject
from holdfast.data.music.midi import replace_list
from holdfast.data.music.piano_roll import KEYS, LOWEST
from holdfast.errors import damaged
from holdfast.optional_imports import load_extra

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score
    from symusic.core import TrackTick as Track

HIGHEST = LOWEST + KEYS - 1
"""MIDI pitch of a piano's highest key."""
_LONGEST = 12
"""Maximum length of a note in beats; longer notes are cut."""
_VELOCITIES = 16
"""Number of velocity levels."""
_MOST_VOICES = 16
"""Maximum number of voices by name; with more names, voices are instruments."""
_COMMON_TIME = (4, 4)
"""The time signature that replaces those that the training pieces do not have."""
_DRUMS = -1
"""MidiTok's program number of the drums."""
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class _Voice:
    """A track: its name, its instrument (General MIDI program from 0), and whether it is the drums."""

    name: str
    program: int
    drums: bool = False


def _voices_of(scores: Iterable[Score]) -> list[_Voice]:
    """Return the voices, frequent ones first: by name and instrument, or only by instrument."""
    counts = Counter(
        _Voice(track.name, track.program) for score in scores for track in score.tracks if not track.is_drum
    )
    if len(counts) > _MOST_VOICES:
        programs: Counter[_Voice] = Counter()
        for voice, count in counts.items():
            programs[_Voice("", voice.program)] += count
        counts = programs
    return sorted(counts, key=lambda voice: (-counts[voice], voice.program, voice.name))


class EventVocabulary:
    """The vocabulary of REMI events, fitted on pieces.

    Args:
        tokenizer: MidiTok's tokenizer.
        voices: the voice of each of its program numbers.
    """

    def __init__(self, tokenizer: Any, voices: Sequence[_Voice]) -> None:
        self.tokenizer, self.voices = tokenizer, list(voices)
        names = sorted(tokenizer.vocab, key=tokenizer.vocab.get)
        self.names: list[str] = names
        self.begin: int = tokenizer.vocab["EOS_None"]
        self.steps: int = tokenizer.config.max_num_pos_per_beat
        self.signatures = [tuple(map(int, n[8:].split("/"))) for n in names if n.startswith("TimeSig_")]

    @property
    def drums(self) -> int | None:
        """The event that precedes drums; None if the training pieces have none."""
        found: int | None = self.tokenizer.vocab.get(f"Program_{_DRUMS}")
        return found

    @property
    def size(self) -> int:
        """The number of events."""
        return len(self.names)

    @classmethod
    def fit(cls, scores: Sequence[Score], steps_per_beat: int) -> Self:
        """Fit the vocabulary on pieces."""
        miditok = load_extra("miditok", "music")
        voices = _voices_of(scores)
        drums = any(track.is_drum for score in scores for track in score.tracks)
        signatures: dict[int, list[int]] = {_COMMON_TIME[1]: [_COMMON_TIME[0]]}
        for n, d in sorted({(s.numerator, s.denominator) for one in scores for s in one.time_signatures}):
            signatures[d] = sorted({*signatures.get(d, []), n})
        config = miditok.TokenizerConfig(
            pitch_range=(LOWEST, HIGHEST + 1),
            beat_res={(0, _LONGEST): steps_per_beat},
            num_velocities=_VELOCITIES,
            special_tokens=["EOS"],
            remove_duplicated_notes=True,
            use_time_signatures=True,
            time_signature_range=signatures,
            use_programs=True,
            programs=[*range(len(voices)), *([_DRUMS] if drums else [])],
            one_token_stream_for_programs=True,
            program_changes=True,
        )
        return cls(miditok.REMI(config), voices)

    def encode(self, score: Score) -> Ids:
        """Return a piece's events [n]: simultaneous notes by voice and pitch, no unknown drums."""
        score = score.resample(self.steps, min_dur=1)
        if self.drums is None:
            replace_list(score, "tracks", [track for track in score.tracks if not track.is_drum])
        if not score.note_num():
            return np.zeros(0, np.int64)
        for track in score.tracks:
            track.program = _DRUMS % 128 if track.is_drum else self.voice(track)
            track.notes.sort(key=lambda note: (note.time, note.pitch, note.duration), inplace=True)
        in_order = sorted(score.tracks, key=lambda track: (track.is_drum, track.program))
        replace_list(score, "tracks", in_order)
        for signature in score.time_signatures:
            if (signature.numerator, signature.denominator) not in self.signatures:
                signature.numerator, signature.denominator = _COMMON_TIME
        return np.asarray(self.tokenizer(score).ids, np.int64)

    def voice(self, track: Track) -> int:
        """Return a track's voice by name and instrument, name, or instrument; else the first."""
        tests = (
            lambda v: (v.name, v.program) == (track.name, track.program),
            lambda v: v.name == track.name,
            lambda v: v.program == track.program,
        )
        found = (i for test in tests for i, voice in enumerate(self.voices) if test(voice))
        return next(found, 0)

    def decode(self, ids: Iterable[int]) -> Score:
        """Convert events to a piece (symusic's score, in ticks); invalid events are left out."""
        score: Score = self.tokenizer.decode([int(i) for i in ids if int(i) != self.begin])
        for track in score.tracks:
            if not track.is_drum:
                voice = self.voices[track.program]
                track.name, track.program = voice.name, voice.program
        return score

    def transposition(self, semitones: int) -> Ids:
        """Return the event [V] that each event becomes; pitches beyond the piano stay."""
        table = np.arange(self.size)
        for pitch in range(LOWEST, HIGHEST + 1):
            if LOWEST <= pitch + semitones <= HIGHEST:
                table[self.pitch(pitch)] = self.pitch(pitch + semitones)
        return table

    def pitch(self, pitch: int) -> int:
        """Return the event of a pitch."""
        return int(self.tokenizer.vocab[f"Pitch_{pitch}"])

    def pitches(self) -> Ids:
        """Return the pitch [V] of each event; -1 if it has none."""
        return np.array([int(n[6:]) if n.startswith("Pitch_") else -1 for n in self.names], np.int64)

    def is_note(self) -> NDArray[np.bool_]:
        """Return whether each event [V] is a note: a pitch or a drum."""
        return np.array([name.startswith(("Pitch_", "PitchDrum_")) for name in self.names])

    def changes(self, score: Score) -> tuple[str, ...]:
        """Return what the events leave out of a piece, or change in it."""
        notes = [(track.is_drum, track.notes.numpy()) for track in score.tracks if len(track.notes)]
        pitched = [found for drums, found in notes if not drums]
        far = any((found["pitch"] < LOWEST).any() or (found["pitch"] > HIGHEST).any() for found in pitched)
        most = _LONGEST * score.ticks_per_quarter
        long = any((found["duration"] > most).any() for _, found in notes)
        changed = {
            "drums, left out of": self.drums is None and any(drums for drums, _ in notes),
            "notes beyond a piano's keys, left out of": far,
            f"notes of more than {_LONGEST} beats, cut in": long,
        }
        return tuple(change for change, so in changed.items() if so)

    def room(self, ids: Ids, most: int) -> tuple[int, int]:
        """Return the lowest and highest transposition, within ``-most`` ... ``most`` semitones."""
        found = self.pitches()[ids]
        found = found[found >= 0]
        if not len(found):
            return 0, 0
        return -min(most, int(found.min()) - LOWEST), min(most, HIGHEST - int(found.max()))

    def state(self) -> JsonObject:
        """Return MidiTok's state and the voices as JSON can hold them."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tokenizer.json"
            self.tokenizer.save(path)
            found = json.loads(path.read_text(encoding="utf-8"))
        return {"events": self.names, "tokenizer": found, "voices": [asdict(voice) for voice in self.voices]}

    @classmethod
    def from_state(cls, values: JsonMapping) -> Self:
        """Restore what :meth:`state` returned.

        Raises:
            UserError: the values are damaged.
        """
        miditok = load_extra("miditok", "music")
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "tokenizer.json"
                path.write_text(json.dumps(values["tokenizer"]), encoding="utf-8")
                found = cls(miditok.REMI(params=path), [_Voice(**voice) for voice in values["voices"]])
            if found.names != values["events"]:
                raise ValueError("this version of MidiTok gives other events")
        except Exception as error:  # the library raises errors of many kinds
            raise damaged("data.json", f"Its events are damaged: {error}.") from error
        return found
