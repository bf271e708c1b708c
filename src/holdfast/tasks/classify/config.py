"""Settings of a classifier: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.config import Training, fractions
from holdfast.errors import UserError
from holdfast.models.options import ClassifierOptions
from holdfast.validation import check_at_least, check_sizes, invalid_setting


@dataclass(kw_only=True)
class DataConfig:
    """The examples: texts, or series of measurements in long form, and their labels.

    Attributes:
        text: column with the texts.
        series: column that names the series of each row.
        step: column that orders the rows of a series; file order when not given.
        channels: columns of measurements; all except series, step and label when not given.
        label: column with the labels.
        separator: character between several labels of one example, such as ";"; one label each when
            not given.
        token: kind of token: word (lower case, punctuation apart), character, byte or subword.
        vocabulary: number of tokens, the most frequent ones; all when not given (8,000 subwords).
        vectors: file of word vectors that initialize the embedding (GloVe, word2vec or fastText, as
            text).
        max_length: most time steps; longer texts and series are cut.
        encoding: encoding of text files, such as utf-8, latin-1 or utf-16.
        split: training, validation and test split as fractions; each keeps the class frequencies.
    """

    text: str | None = None
    series: str | None = None
    step: str | None = None
    channels: tuple[str, ...] = ()
    label: str = "label"
    separator: str | None = None
    token: Literal["word", "character", "byte", "subword"] = "word"
    vocabulary: int | None = None
    vectors: str | None = None
    max_length: int | None = None
    encoding: str = "utf-8"
    split: str = "0.8/0.1/0.1"

    def __post_init__(self) -> None:
        check_at_least("vocabulary", self.vocabulary, 2, 20000)
        check_at_least("max_length", self.max_length, 1, 400)
        if self.separator == "":
            raise invalid_setting("separator", "at least one character", "''", "';'")
        if self.vectors is not None and self.token != "word":
            raise UserError(
                "--vectors must come with --token word.", f"--token was {self.token}.", "Give --token word."
            )
        fractions(self.split)

    def kind(self) -> Literal["text", "series"]:
        """Return what the examples are.

        Raises:
            UserError: neither ``text`` nor ``series`` is given, or both, or a setting of the other
                one.
        """
        if (self.text is None) == (self.series is None):
            got = "Neither was given." if self.text is None else "Both were given."
            rule = "The examples must be texts (--text COLUMN) or series of numbers (--series COLUMN)."
            raise UserError(rule, got, "Give one of the two.")
        foreign = ("step", "channels") if self.text is not None else ("vectors", "vocabulary")
        given = [name for name in foreign if getattr(self, name)]
        if given:
            kind = "series of numbers" if self.text is not None else "texts"
            other = "--series" if self.text is not None else "--text"
            raise UserError(f"--{given[0]} must come with {kind}.", f"There is no {other}.", "Leave it out.")
        return "text" if self.text is not None else "series"


@dataclass(kw_only=True)
class ClassifyTraining(Training):
    """The training run: batches of examples of similar length.

    Attributes:
        batch_size: maximum number of examples in a batch.
        tokens: most time steps in a batch, padding included.
        class_weights: balanced weighs rare classes like frequent ones; none weighs every example
            alike.
        select_by: validation metric that selects the best epoch: the loss or the share of errors.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2e-3
    patience: int = 5
    tokens: int = 16384
    class_weights: Literal["none", "balanced"] = "none"
    select_by: Literal["loss", "error"] = "loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "tokens")


@dataclass(kw_only=True)
class ClassifyConfig:
    """A network that labels texts or series.

    Attributes:
        data: the examples.
        network: the network.
        training: the training run.
    """

    data: DataConfig = field(default_factory=DataConfig)
    network: ClassifierOptions = field(default_factory=ClassifierOptions)
    training: ClassifyTraining = field(default_factory=ClassifyTraining)


@dataclass(kw_only=True)
class Prediction:
    """Label texts or series.

    Attributes:
        text: a text to classify, instead of a file.
        weights: also print the weight of each time step in the decision: the attention weight where
            the network has attention, else gradient times input.
    """

    text: str | None = None
    weights: bool = False
