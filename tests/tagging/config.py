"""Settings of a tagger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.config import Training, fractions
from holdfast.validation import check_at_least


@dataclass(kw_only=True)
class TagData:
    """The sentences.

    Attributes:
        separator: character between a word and its tag.
        split: training, validation and test split, as fractions of the sentences.
    """

    separator: str = "/"
    split: str = "0.6/0.2/0.2"

    def __post_init__(self) -> None:
        fractions(self.split)


@dataclass(kw_only=True)
class TagNetwork:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: units of the layer in each direction.
    """

    cell: Literal["rnn", "gru", "lstm"] = "gru"
    hidden_size: int = 16

    def __post_init__(self) -> None:
        check_at_least("hidden_size", self.hidden_size, 1, 16)


@dataclass(kw_only=True)
class TagConfig:
    """A tagger.

    Attributes:
        data: the sentences.
        network: the network.
        training: the training run.
    """

    data: TagData = field(default_factory=TagData)
    network: TagNetwork = field(default_factory=TagNetwork)
    training: Training = field(default_factory=Training)


@dataclass(kw_only=True)
class Prediction:
    """Options of a prediction.

    Attributes:
        words: print the words as well.
    """

    words: bool = False
