"""Every setting of a composer: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from holdfast.config import Training, fractions
from holdfast.data.music.key_detection import Key
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_at_most, check_fraction, flag_name, invalid_setting

OCTAVE = 12
_MOST_STEPS = 96
"""Steps of a beat."""
PROPOSALS, MOST_PROPOSALS = 32, 4096
"""Accompaniments that are drawn side by side, and at most."""
HOTTEST, MOST_SEED = 100, 2**32 - 1
LONGEST_SECONDS, MOST_BARS = 3600, 2000
"""Of a piece that is composed."""
SLOWEST, FASTEST = 10, 400
"""Tempos, in quarters a minute."""


@dataclass(kw_only=True)
class MusicData:
    """How the pieces are read, and their parts.

    Attributes:
        split: training, validation and test part of files that carry no split: fractions of the pieces.
        transpose: training pieces are moved up or down by up to so many semitones, anew in each epoch.
        steps_per_beat: frames of a beat (a quarter), of MIDI and ABC; other files have frames already, for which this
            says how they are written when composing.
    """

    split: str = "0.8/0.1/0.1"
    transpose: int = 5
    steps_per_beat: int = 4

    def __post_init__(self) -> None:
        fractions(self.split)
        if not 0 <= self.transpose <= OCTAVE:
            raise invalid_setting("transpose", f"in 0 ... {OCTAVE}", self.transpose, 5)
        check_at_least("steps_per_beat", self.steps_per_beat, 1, 4)
        check_at_most("steps_per_beat", self.steps_per_beat, _MOST_STEPS, 4)


@dataclass(kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        model: roll (which keys sound in each frame) or events (expressive MIDI, one token after the other).
        output: of a roll: autoregressive (a chord as a whole, note by note) or independent (each key by itself).
        cell: rnn, gru or lstm.
        hidden_size: units of a layer.
        num_layers: recurrent layers over time.
        embedding_size: numbers that stand for a token of events.
        chord_size: units that choose the next note of a chord.
        input_dropout: dropout of keys that are read, the same at every frame.
        dropout: dropout between layers and before the output, the same units at every frame.
        weight_drop: dropout of the recurrent weights.
    """

    model: Literal["roll", "events"] = "roll"
    output: Literal["autoregressive", "independent"] = "autoregressive"
    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    hidden_size: int = 256
    num_layers: int = 1
    embedding_size: int = 128
    chord_size: int = 128
    input_dropout: float = 0.0
    dropout: float = 0.3
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        self._check_kind()
        for name, example in (
            ("hidden_size", 256),
            ("num_layers", 1),
            ("embedding_size", 128),
            ("chord_size", 128),
        ):
            check_at_least(name, getattr(self, name), 1, example)
        for name in ("input_dropout", "dropout", "weight_drop"):
            check_fraction(name, getattr(self, name))

    def _check_kind(self) -> None:
        """What is of one kind of model is not given to the other."""
        for kind, names in (("roll", ("output", "chord_size")), ("events", ("embedding_size",))):
            for name in names:
                default = type(self).__dataclass_fields__[name].default
                if self.model != kind and getattr(self, name) != default:
                    raise UserError(
                        f"{flag_name(name)} is of --model {kind}.",
                        f"It was given with --model {self.model}.",
                        "Leave it out.",
                    )


@dataclass(kw_only=True)
class MusicTraining(Training):
    """How a composer is trained.

    Attributes:
        batch_size: stretches of pieces in a batch.
        steps: frames or tokens of a stretch, at most: longer pieces are cut into stretches of like length.
    """

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 2e-3
    average: float = 0.99
    steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("steps", self.steps, 1, 200)


@dataclass(kw_only=True)
class MusicConfig:
    """A composer.

    Attributes:
        data: the pieces.
        network: the network.
        training: the training run.
    """

    data: MusicData = field(default_factory=MusicData)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: MusicTraining = field(default_factory=MusicTraining)


@dataclass(kw_only=True)
class Prediction:
    """What is asked of a composer: a new piece, or with a MIDI file behind the run, its primer, one that begins so.

    Attributes:
        bars: bars to compose, behind the primer where there is one; 16 when neither bars nor seconds are given.
        seconds: the same in seconds.
        temperature: below 1 the likely becomes likelier, 0 takes the likeliest always.
        top_p: of events: draw from the likeliest tokens that together have this probability only.
        primer_bars: go on after so many bars of the primer; after all of it when not given.
        key: such as 'D minor', which is held: nothing outside of its scale is composed; any when not given.
        tempo: quarters a minute; the primer's, or 120, when not given.
        harmonize: MIDI file of a melody, under which a roll model puts the other voices.
        proposals: accompaniments that are drawn side by side, of which the likeliest is kept; 32 when not given.
        seed: seed of the drawing; another piece each time when not given.
        midi: MIDI file to write.
        plot: PNG file to draw the notes into.
        wav: WAV file to write the sound into.
        soundfont: SF2 file of the instruments; one that is on this machine when not given.
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
        check_at_least("bars", self.bars, 1, 16)
        check_at_least("primer_bars", self.primer_bars, 1, 4)
        check_at_least("temperature", self.temperature, 0, 1.0)
        check_at_least("proposals", self.proposals, 1, 32)
        check_at_least("seed", self.seed, 0, 0)
        if self.seconds is not None and not 0 < self.seconds <= LONGEST_SECONDS:
            raise invalid_setting("seconds", f"above 0 and at most {LONGEST_SECONDS}", self.seconds, 30)
        for name, most, example in (
            ("bars", MOST_BARS, 16),
            ("proposals", MOST_PROPOSALS, PROPOSALS),
            ("seed", MOST_SEED, 0),
            ("temperature", HOTTEST, 1.0),
        ):
            check_at_most(name, getattr(self, name), most, example)
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
        """What cannot be asked for together."""
        lengths = [name for name in ("bars", "seconds") if getattr(self, name) is not None]
        if len(lengths) == 2:
            raise UserError(
                "A piece has one length.", "--bars and --seconds were given.", "Leave one of them out."
            )
        idle = [
            name for name in ("bars", "seconds", "primer_bars", "top_p") if getattr(self, name) is not None
        ]
        if self.harmonize is not None and idle:
            raise UserError(
                "A melody that is harmonised keeps its length, and its chords are drawn as a whole.",
                f"{flag_name(idle[0])} was given.",
                "Leave it out.",
            )
        if self.harmonize is None and self.proposals is not None:
            raise UserError(
                "--proposals are accompaniments under a melody.",
                "No melody was given.",
                "Give one with --harmonize MELODY.mid, or leave it out.",
            )
        if self.soundfont is not None and self.wav is None:
            rule, got = "A soundfont makes sound.", "--soundfont was given without --wav."
            raise UserError(rule, got, "Give --wav FILE.wav as well.")

    def check_primer(self, primer: Path | str | None) -> None:
        """What cannot be asked for with a primer, or without one.

        Raises:
            UserError: it was asked for.
        """
        if primer is not None and self.harmonize is not None:
            raise UserError(
                "A piece goes on with a primer, or harmonises a melody.",
                f"{primer} and --harmonize were given.",
                "Leave one of them out.",
            )
        if primer is None and self.primer_bars is not None:
            raise UserError(
                "--primer-bars are those of a primer.", "None was given.", "Give a MIDI file behind the run."
            )
