"""A composed piece: its files, and its summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast._deprecated import OldAttributes
from holdfast._json import JsonObject
from holdfast.data.music.key_detection import likeliest_key
from holdfast.data.music.meta import score_end, seconds_of
from holdfast.data.music.notes import save_midi
from holdfast.data.music.novelty import ALL, Overlap, TrainingNotes, repetition
from holdfast.data.music.synthesis import find_soundfont, save_wav, sound_of
from holdfast.files import check_targets
from holdfast.tasks.music.request import CompositionRequest, notes_in

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score


@dataclass(frozen=True)
class Composition(OldAttributes):
    """A piece, its request, and the training pieces that it is compared with."""

    score: Score
    request: CompositionRequest
    training_notes: TrainingNotes
    steps_per_beat: int

    @property
    def seconds(self) -> float:
        """Length in seconds: as requested, or that of the harmonized melody."""
        beats = self.request.beats
        return seconds_of(self.score, self.request.start + beats if beats else score_end(self.score))

    def summary(self) -> JsonObject:
        """Return length, key, voices and overlap with the training pieces, for JSON."""
        request, training = self.request, self.training_notes
        notes = notes_in(self.score, self.steps_per_beat, request.start if request.beats else 0.0)
        return {
            "seconds": self.seconds,
            "tempo": request.meta.tempo,
            "signature": "/".join(map(str, request.meta.signature)),
            "key": None if request.meta.key is None else str(request.meta.key),
            "likeliest_key": str(likeliest_key(notes.classes)) if len(notes) else None,
            "voices": [
                {"name": t.name, "program": t.program, "drums": t.is_drum, "notes": len(t.notes)}
                for t in self.score.tracks
            ],
            "notes": len(notes),
            "pitch_class_distance": training.distance(notes),
            "typical_pitch_class_distance": training.typical_distance,
            "repetition": repetition(notes),
            "typical_repetition": training.typical_repetition(len(notes)),
            "copied": self._passage(training.longest_overlap(notes, transposed=False)),
            "copied_transposed": self._passage(training.longest_overlap(notes, transposed=True)),
        }

    def _passage(self, passage: Overlap | None) -> JsonObject | None:
        if passage is None:
            return None
        line = passage.line
        return {
            "notes": passage.notes,
            "line": self.score.tracks[line].name or f"track {line + 1}" if isinstance(line, int) else line,
            "of": passage.line_notes,
            "share": passage.share,
            "is_copy": passage.is_copy,
            "piece": passage.piece,
            "beat": passage.step / self.steps_per_beat,
        }

    def save(
        self,
        midi: Path | str,
        plot: Path | str | None = None,
        wav: Path | str | None = None,
        soundfont: Path | str | None = None,
    ) -> None:
        """Write the named files; soundfont and names are checked before the first is written.

        Raises:
            UserError: there is no soundfont, or a file cannot be written.
        """
        notes = Path(midi)
        image, sound, instruments = (None if p is None else Path(p) for p in (plot, wav, soundfont))
        check_targets({"midi": notes, "plot": image, "wav": sound})
        font = find_soundfont(instruments) if sound is not None else None
        save_midi(notes, self.score)
        if image is not None:
            from holdfast.tasks.music.plots import plot_piece  # loads matplotlib

            plot_piece(self.score, self.request, image)
        if sound is not None and font is not None:
            save_wav(sound, sound_of(self.score, font, self.seconds))


def sentences(summary: JsonObject) -> tuple[str, ...]:
    """Return overlap with training pieces, pitch classes and repetition, in sentences."""
    found = []
    for name, how in (("copied", ""), ("copied_transposed", " in any transposition")):
        passage = summary[name]
        if passage is not None:
            copy = "; most of it is a copy" if passage["is_copy"] else ""
            line = "" if passage["line"] == ALL else f" of its {passage['line']}"
            found.append(
                f"longest passage that is in a training piece{how}: {passage['notes']} of {passage['of']} "
                f"notes{line}, in {passage['piece']} from beat {passage['beat']:g} on{copy}"
            )
    return (
        *found,
        f"distance of its pitch classes from the mean of the training pieces: {summary['pitch_class_distance']:.2f} "
        f"(0 equal, 1 disjoint); a typical training piece has {summary['typical_pitch_class_distance']:.2f}",
        f"passages of eight notes of the top line that repeat an earlier one: {summary['repetition']:.0%}; typical of "
        f"training pieces with as many notes: {summary['typical_repetition']:.0%}",
    )
