"""Every setting of a classifier: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from holdfast.config import Training, fractions
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, invalid_setting


@dataclass(kw_only=True)
class DataConfig:
    """The file: texts, or series of measurements in long form, and their labels.

    Attributes:
        text: column of the texts.
        series: column that names the series that a row belongs to.
        step: column by which the rows of a series are ordered; their order in the file when not given.
        channels: columns of measurements; all but series, step and label when not given.
        label: column of the labels.
        separator: what stands between several labels of one example, such as ";"; one label each when not given.
        token: what a text is cut into: word (lower case, punctuation apart), character, byte or subword.
        vocabulary: size of the vocabulary, the most frequent units; all when not given (8,000 subwords).
        vectors: file of word vectors that the embedding begins with (GloVe, word2vec or fastText, as text).
        max_length: longer texts and series are cut to so many steps.
        encoding: of text files, such as utf-8, latin-1 or utf-16.
        split: training, validation and test part as fractions; each keeps the shares of the classes.
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
        for name in ("vocabulary", "max_length"):
            least, example = (2, 20000) if name == "vocabulary" else (1, 400)
            check_at_least(name, getattr(self, name), least, example)
        if self.separator == "":
            raise invalid_setting("separator", "at least one character", "''", "';'")
        if self.vectors is not None and self.token != "word":
            raise UserError(
                "--vectors are those of words.", f"--token was {self.token}.", "Give --token word."
            )
        fractions(self.split)

    def kind(self) -> Literal["text", "series"]:
        """What the examples are.

        Raises:
            UserError: neither ``text`` nor ``series`` is given, or both, or what belongs to the other one.
        """
        if (self.text is None) == (self.series is None):
            got = "Neither was given." if self.text is None else "Both were given."
            rule = "The examples are texts (--text COLUMN) or series of numbers (--series COLUMN)."
            raise UserError(rule, got, "Give one of the two.")
        foreign = ("step", "channels") if self.text is not None else ("vectors", "vocabulary")
        given = [name for name in foreign if getattr(self, name)]
        if given:
            kind = "series of numbers" if self.text is not None else "texts"
            other = "--series" if self.text is not None else "--text"
            raise UserError(f"--{given[0]} is for {kind}.", f"{other} was not given.", "Leave it out.")
        return "text" if self.text is not None else "series"


@dataclass(kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: units of a layer, in each direction.
        embedding_size: numbers that stand for a unit of a text, or that the channels are mapped to; that of the
            vectors, or else 100, when not given.
        num_layers: recurrent layers.
        bidirectional: read in both directions.
        pooling: how the steps become one vector: last, mean, max, attention (a learnt mean), or concat of the first
            three.
        word_dropout: probability that a unit of a text is hidden in training.
        input_dropout: dropout of the numbers of each step's input.
        hidden_dropout: dropout between layers.
        output_dropout: dropout before the output layer.
    """

    cell: Literal["rnn", "gru", "lstm"] = "gru"
    hidden_size: int = 64
    embedding_size: int | None = None
    num_layers: int = 1
    bidirectional: bool = True
    pooling: Literal["last", "mean", "max", "attention", "concat"] = "max"
    word_dropout: float = 0.1
    input_dropout: float = 0.2
    hidden_dropout: float = 0.2
    output_dropout: float = 0.3

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "embedding_size"):
            check_at_least(name, getattr(self, name), 1, 64 if name != "num_layers" else 1)
        for name in ("word", "input", "hidden", "output"):
            check_fraction(f"{name}_dropout", getattr(self, f"{name}_dropout"))


@dataclass(kw_only=True)
class ClassifyTraining(Training):
    """How a classifier is trained: on batches of examples of like length.

    Attributes:
        batch_size: examples in a batch, at most.
        tokens: steps in a batch, at most, padding counted.
        class_weights: balanced lets a rare class count as much as a frequent one; none counts every example alike.
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
        check_at_least("tokens", self.tokens, 1, 16384)


@dataclass(kw_only=True)
class ClassifyConfig:
    """A classifier.

    Attributes:
        data: the file.
        network: the network.
        training: the training run.
    """

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: ClassifyTraining = field(default_factory=ClassifyTraining)


@dataclass(kw_only=True)
class Prediction:
    """What is asked of a classifier.

    Attributes:
        text: a text to classify, instead of a file.
        weights: also the weight of each step in the decision: of attention where it pools by it, else gradient times
            input.
    """

    text: str | None = None
    weights: bool = False
