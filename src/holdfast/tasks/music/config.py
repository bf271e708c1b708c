"""Every setting of a composer: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.checks import at_least, refused, share
from holdfast.config import Training, fractions

OCTAVE = 12


@dataclass(kw_only=True)
class MusicData:
    """How the pieces are read, and their parts.

    Attributes:
        split: training, validation and test part of files that carry no split: fractions of the pieces.
        transpose: training pieces are moved up or down by up to so many semitones, anew in each epoch.
        steps_per_beat: frames of a beat, of MIDI and ABC; other files have frames already.
    """

    split: str = "0.8/0.1/0.1"
    transpose: int = 5
    steps_per_beat: int = 4

    def __post_init__(self) -> None:
        fractions(self.split)
        if not 0 <= self.transpose <= OCTAVE:
            raise refused("transpose", f"in 0 ... {OCTAVE}", self.transpose, 5)
        at_least("steps_per_beat", self.steps_per_beat, 1, 4)


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
        chord_size: units of the recurrence over the notes of a chord.
        input_dropout: dropout of keys that are read, the same at every frame.
        dropout: dropout between layers and before the output, the same units at every frame.
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

    def __post_init__(self) -> None:
        for name, example in (
            ("hidden_size", 256),
            ("num_layers", 1),
            ("embedding_size", 128),
            ("chord_size", 128),
        ):
            at_least(name, getattr(self, name), 1, example)
        for name in ("input_dropout", "dropout"):
            share(name, getattr(self, name))


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
        at_least("steps", self.steps, 1, 200)


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
    """What is asked of a composer.

    Attributes:
        length: frames to compose.
        temperature: below 1 the likely becomes likelier, 0 takes the likeliest always.
        seed: seed of the drawing; another piece each time when not given.
    """

    length: int = 128
    temperature: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        at_least("length", self.length, 1, 128)
        at_least("temperature", self.temperature, 0, 1.0)
        at_least("seed", self.seed, 0, 0)
