"""Settings of a composer: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import ClassVar

from holdfast.config import Training, fractions
from holdfast.data.music.key_detection import Key
from holdfast.errors import UserError
from holdfast.models.options import MusicOptions
from holdfast.validation import check_at_least, check_at_most, check_sizes, flag_name, invalid_setting

_OCTAVE = 12
_MOST_STEPS = 96
"""Most steps of a beat."""
PROPOSALS, _MOST_PROPOSALS = 32, 4096
"""Accompaniments that are sampled in parallel, by default and at most."""
_HOTTEST, _MOST_SEED = 100, 2**32 - 1
_LONGEST_SECONDS, _MOST_BARS = 3600, 2000
"""Longest composition."""
SLOWEST, FASTEST = 10, 400
"""Range of tempos, in quarters per minute."""


@dataclass(kw_only=True)
class MusicData:
    """How the pieces are read and split.

    Attributes:
        split: fractions of the pieces for training, validation and test, where the file has no
            splits.
        transpose: transpose each training piece by up to so many semitones, at random in each
            epoch.
        steps_per_beat: frames per beat (a quarter). Files that have frames already (.mat, .json)
            use it only where pieces are composed.
    """

    split: str = "0.8/0.1/0.1"
    transpose: int = 5
    steps_per_beat: int = 4

    def __post_init__(self) -> None:
        fractions(self.split)
        if not 0 <= self.transpose <= _OCTAVE:
            raise invalid_setting("transpose", f"in 0 ... {_OCTAVE}", self.transpose, 5)
        check_at_least("steps_per_beat", self.steps_per_beat, 1, 4)
        check_at_most("steps_per_beat", self.steps_per_beat, _MOST_STEPS, 4)


@dataclass(kw_only=True)
class MusicTraining(Training):
    """How a composer is trained.

    Attributes:
        batch_size: segments of pieces in a batch, or streams of events.
        steps: maximum number of frames of a segment (longer pieces are cut into segments of similar
            lengths), or tokens after which back-propagation is truncated.
    """

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 2e-3
    average: float = 0.99
    steps: int = 200
    reset: ClassVar[float] = 0.01  # with these, a model of events is trained as a language model is
    activation: ClassVar[float] = 0.0
    change: ClassVar[float] = 0.0

    def streams(self, length: int) -> int:
        """Return the number of streams of a text: each has at least twice ``steps`` tokens."""
        return min(self.batch_size, length // (2 * self.steps))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "steps")


@dataclass(kw_only=True)
class MusicConfig:
    """A network that composes music.

    Attributes:
        data: the pieces.
        network: the network.
        training: the training run.
    """

    data: MusicData = field(default_factory=MusicData)
    network: MusicOptions = field(default_factory=MusicOptions)
    training: MusicTraining = field(default_factory=MusicTraining)


@dataclass(kw_only=True)
class Prediction:
    """Compose a new piece, or continue a primer (a MIDI file given after the run).

    Attributes:
        bars: number of bars to compose, after the primer where there is one; 16 by default.
        seconds: length to compose in seconds, instead of --bars.
        temperature: below 1 makes probable notes more probable, 0 always takes the most probable
            one.
        top_p: events model: sample from the most probable tokens that have this probability
            together.
        primer_bars: continue after so many bars of the primer; after all of it by default.
        key: key of the new bars, such as 'D minor': only notes of its scale are composed; any note
            by default.
        tempo: quarters per minute; that of the primer, or 120, by default.
        harmonize: MIDI file of a melody, under which a roll model composes other voices.
        proposals: accompaniments to sample, of which the most probable is kept; 32 by default.
        seed: seed of the sampling; another piece each time by default.
        midi: MIDI file to write.
        plot: PNG file to plot the notes in.
        wav: WAV file to write the sound in.
        soundfont: SF2 file with the instruments' sounds; an installed one by default.
    """

    bars: int | None = None
    seconds: float | None = None
    temperature: float = 1.0
    top_p: float | None = None
    primer_bars: int | None = None
    key: str | None = None
    tempo: float | None = None
    harmonize: Path | None = None
    proposals: int | None = None
    seed: int | None = None
    midi: Path = Path("composed.mid")
    plot: Path | None = None
    wav: Path | None = None
    soundfont: Path | None = None

    def __post_init__(self) -> None:
        for name, least, most, example in (
            ("bars", 1, _MOST_BARS, 16),
            ("primer_bars", 1, inf, 4),
            ("proposals", 1, _MOST_PROPOSALS, PROPOSALS),
            ("seed", 0, _MOST_SEED, 0),
            ("temperature", 0, _HOTTEST, 1.0),
        ):
            check_at_least(name, getattr(self, name), least, example)
            check_at_most(name, getattr(self, name), most, example)
        if self.seconds is not None and not 0 < self.seconds <= _LONGEST_SECONDS:
            raise invalid_setting("seconds", f"above 0 and at most {_LONGEST_SECONDS}", self.seconds, 30)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise invalid_setting("top_p", "in (0, 1]", self.top_p, 0.95)
        if self.tempo is not None and not SLOWEST <= self.tempo <= FASTEST:
            raise invalid_setting("tempo", f"in {SLOWEST} ... {FASTEST}", self.tempo, 96)
        if self.key is not None:
            Key.of(self.key)
        for name, endings in (("midi", (".mid", ".midi")), ("plot", (".png",)), ("wav", (".wav",))):
            path = getattr(self, name)
            if path is not None and Path(path).suffix.lower() not in endings:
                raise invalid_setting(
                    name, f"a file that ends in {endings[0]}", path, f"composed{endings[0]}"
                )
        self._check_together()

    def _check_together(self) -> None:
        """Refuse settings that exclude each other."""
        lengths = [name for name in ("bars", "seconds") if getattr(self, name) is not None]
        if len(lengths) == 2:
            raise UserError(
                "A piece must have one length.", "--bars and --seconds were given.", "Leave one of them out."
            )
        unused = [
            name for name in ("bars", "seconds", "primer_bars", "top_p") if getattr(self, name) is not None
        ]
        if self.harmonize is not None and unused:
            raise UserError(
                "--harmonize must be used without a length, a primer and --top-p.",
                f"{flag_name(unused[0])} was given.",
                "Leave it out.",
            )
        if self.harmonize is None and self.proposals is not None:
            raise UserError(
                "--proposals must be used with a melody.",
                "None was given.",
                "Give one with --harmonize MELODY.mid, or leave it out.",
            )
        if self.soundfont is not None and self.wav is None:
            rule, got = "--soundfont must be used with --wav.", "--wav was not given."
            raise UserError(rule, got, "Give --wav FILE.wav as well.")

    def check_primer(self, primer: Path | str | None) -> None:
        """Check the settings against the primer.

        Raises:
            UserError: a setting needs a primer and there is none, or excludes one.
        """
        if primer is not None and self.harmonize is not None:
            raise UserError(
                "A piece must continue a primer or harmonize a melody, not both.",
                f"{primer} and --harmonize were given.",
                "Leave one of them out.",
            )
        if primer is None and self.primer_bars is not None:
            raise UserError(
                "--primer-bars must be used with a primer.",
                "None was given.",
                "Give a MIDI file after the run.",
            )
