"""A piece that was composed: its files, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.data.music.key_detection import likeliest_key
from holdfast.data.music.meta import score_end, seconds_of
from holdfast.data.music.notes import save_midi
from holdfast.data.music.novelty import ALL, Overlap, TrainingNotes, repetition
from holdfast.data.music.synthesis import find_soundfont, save_wav, sound_of
from holdfast.files import check_targets
from holdfast.tasks.music.request import Wish, notes_in


@dataclass(frozen=True)
class Composition:
    """A piece, with its wish, and the training pieces that it is held against."""

    score: Any
    wish: Wish
    corpus: TrainingNotes
    steps_per_beat: int

    @property
    def seconds(self) -> float:
        """How long it is: as wished, or as a harmonised melody is."""
        beats = self.wish.beats
        return seconds_of(self.score, self.wish.start + beats if beats else score_end(self.score))

    def told(self) -> dict[str, Any]:
        """What it is, for JSON: how long, in which key, which voices; and what it has of the training pieces."""
        notes = notes_in(self.score, self.steps_per_beat, self.wish.start if self.wish.beats else 0.0)
        heading = self.wish.heading
        return {
            "seconds": self.seconds,
            "tempo": heading.tempo,
            "signature": "/".join(map(str, heading.signature)),
            "key": None if heading.key is None else str(heading.key),
            "likeliest_key": str(likeliest_key(notes.classes)) if len(notes) else None,
            "voices": [
                {"name": t.name, "program": t.program, "drums": t.is_drum, "notes": len(t.notes)}
                for t in self.score.tracks
            ],
            "notes": len(notes),
            "pitch_class_distance": self.corpus.distance(notes),
            "typical_pitch_class_distance": self.corpus.typical_distance,
            "repetition": repetition(notes),
            "typical_repetition": self.corpus.typical_repetition(len(notes)),
            "copied": self._passage(self.corpus.longest_overlap(notes, transposed=False)),
            "copied_transposed": self._passage(self.corpus.longest_overlap(notes, transposed=True)),
        }

    def _passage(self, passage: Overlap | None) -> dict[str, Any] | None:
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
        """Write the files that are asked for; the soundfont and their places are looked at before any of them is.

        Raises:
            UserError: there is no soundfont, or a file cannot be written.
        """
        notes = Path(midi)
        picture, sound, instruments = (None if p is None else Path(p) for p in (plot, wav, soundfont))
        check_targets({"midi": notes, "plot": picture, "wav": sound})
        font = find_soundfont(instruments) if sound is not None else None
        save_midi(notes, self.score)
        if picture is not None:
            from holdfast.tasks.music.plots import piano_roll  # loads matplotlib

            piano_roll(self.score, self.wish, picture)
        if sound is not None and font is not None:
            save_wav(sound, sound_of(self.score, font, self.seconds))


def sentences(told: dict[str, Any]) -> tuple[str, ...]:
    """What a user should know of a piece: of what it copies, and of its notes."""
    found = []
    for name, how in (("copied", ""), ("copied_transposed", ", transposed or not")):
        passage = told[name]
        if passage is not None:
            much = ": most of it is a copy" if passage["is_copy"] else ""
            line = "" if passage["line"] == ALL else f" of its {passage['line']}"
            found.append(
                f"the longest passage that stands in a training piece{how}: {passage['notes']} of {passage['of']} "
                f"notes{line}, in {passage['piece']} from beat {passage['beat']:g} on{much}"
            )
    return (
        *found,
        f"its pitch classes differ by {told['pitch_class_distance']:.2f} from those of the training pieces, which "
        f"differ by {told['typical_pitch_class_distance']:.2f} from their mean",
        f"passages of eight notes of the top line that stood earlier in it: {told['repetition']:.0%}; in training "
        f"pieces of as many notes {told['typical_repetition']:.0%}",
    )
