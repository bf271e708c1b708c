"""Every setting of a language model: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Literal

from holdfast.config import Scoring, Training, fractions
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, invalid_setting


@dataclass(kw_only=True)
class TextConfig:
    """What the text is cut into, and its parts.

    Attributes:
        token: character, byte, word (between white space) or subword (byte-pair encoding).
        vocabulary: size of the vocabulary, the most frequent units; all when not given (8,000 subwords).
        encoding: of the files, such as utf-8, latin-1 or utf-16.
        split: training, validation and test part, in order: fractions of the characters.
    """

    token: Literal["character", "byte", "word", "subword"] = "character"
    vocabulary: int | None = None
    encoding: str = "utf-8"
    split: str = "0.9/0.05/0.05"

    def __post_init__(self) -> None:
        check_at_least("vocabulary", self.vocabulary, 2, 10000)
        least = {"byte": inf, "subword": 256}.get(self.token, 0)
        if self.vocabulary is not None and self.vocabulary < least:
            raise UserError(
                "Bytes have no --vocabulary, and subwords one of 256 or more.",
                f"It was {self.vocabulary} for {self.token}s.",
                "Leave it out, or give for example --token subword --vocabulary 8000.",
            )
        fractions(self.split)


@dataclass(kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: units of a layer.
        embedding_size: numbers that stand for a unit of the text; as the hidden size when not given.
        num_layers: recurrent layers.
        tied: the output layer's weights are the embedding's; the last layer then has the embedding's size.
        sampled: units of the softmax that are computed in training, such as 2000 of 10000, half of them always (of
            words the most frequent ones) and the others drawn anew in each step; all when 0.
        adaptive: cuts of the vocabulary, below its size, for an adaptive softmax, such as 2000,10000; a full softmax
            when not given.
        input_dropout: dropout of the embedding's numbers, the same at every step.
        hidden_dropout: dropout between layers, the same units at every step.
        output_dropout: dropout before the output layer, the same units at every step.
        embedding_dropout: dropout of whole units of the text.
        weight_drop: dropout of the recurrent weights.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    hidden_size: int = 256
    embedding_size: int | None = None
    num_layers: int = 2
    tied: bool = True
    sampled: int = 0
    adaptive: tuple[int, ...] = ()
    input_dropout: float = 0.0
    hidden_dropout: float = 0.2
    output_dropout: float = 0.2
    embedding_dropout: float = 0.0
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "embedding_size"):
            check_at_least(name, getattr(self, name), 1, 256 if name != "num_layers" else 2)
        for name in ("input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_drop"):
            check_fraction(name, getattr(self, name))
        if list(self.adaptive) != sorted({cut for cut in self.adaptive if cut > 0}):
            raise UserError(
                "The cuts of an adaptive softmax are increasing and above 0.",
                f"They were {', '.join(map(str, self.adaptive))}.",
                "Give for example --adaptive 2000,10000.",
            )
        if self.sampled < 0 or (self.sampled and self.adaptive):
            raise UserError(
                "--sampled is at least 0, and no part of an adaptive softmax.",
                f"It was {self.sampled}{' with --adaptive' if self.adaptive else ''}.",
                "Give for example --sampled 2000 alone.",
            )
        if self.tied and self.num_layers == 1 and self.embedding_size not in (None, self.hidden_size):
            raise UserError(
                "With tied weights the last layer has the embedding's size.",
                f"The only layer was to have {self.hidden_size} units, and the embedding {self.embedding_size}.",
                "Give one of the two alone, or --no-tied.",
            )
        if self.adaptive and self.tied:
            raise UserError(
                "An adaptive softmax has weights of its own.",
                "tied was on as well.",
                "Give --no-tied with --adaptive.",
            )


@dataclass(kw_only=True)
class LanguageTraining(Training):
    """How a language model is trained: along a few streams of the text, with the state carried on.

    Attributes:
        batch_size: streams that are read side by side.
        steps: units after which back-propagation is cut.
        reset: probability that a stream's state is set back to zeros there, so that beginnings are learnt.
        activation: penalty on the size of the last layer's outputs (activation regularisation).
        change: penalty on their change from step to step (temporal activation regularisation).
    """

    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 2e-3
    patience: int = 4
    steps: int = 64
    reset: float = 0.01
    activation: float = 0.0
    change: float = 0.0

    def streams(self, length: int) -> int:
        """Streams that a text of so many units is read in: each has two pieces of ``steps`` or more."""
        return min(self.batch_size, length // (2 * self.steps))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("steps", self.steps, 1, 64)
        check_fraction("reset", self.reset, 0.01)
        for name in ("activation", "change"):
            check_at_least(name, getattr(self, name), 0, 1)
        if self.change and self.steps < 2:
            raise UserError(
                "--change is about two steps or more.",
                f"--steps was {self.steps}.",
                "Give more --steps, or leave --change out.",
            )


@dataclass(kw_only=True)
class LanguageConfig:
    """A language model.

    Attributes:
        text: the text.
        network: the network.
        training: the training run.
        order: longest n-gram of the simple method beside the network; found on the validation part when not given.
    """

    text: TextConfig = field(default_factory=TextConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: LanguageTraining = field(default_factory=LanguageTraining)
    order: int | None = None

    def __post_init__(self) -> None:
        check_at_least("order", self.order, 1, 5)


@dataclass(kw_only=True)
class LanguageScoring(Scoring):
    """What is asked of an evaluation.

    Attributes:
        cache: also score with a neural cache of so many units, such as 2000.
        cache_share: share of the cache in the probability, in (0, 1).
        cache_sharpness: how much more the cache looks at the units that stood in a similar place; 0 looks at all alike.
        dynamic: also score with weights that go on learning from the text, at this learning rate, such as 0.05.
        tune: text, such as the validation file, on which cache-share and cache-sharpness are chosen.
    """

    cache: int | None = None
    cache_share: float = 0.1
    cache_sharpness: float = 0.3
    dynamic: float | None = None
    tune: Path | None = None

    def __post_init__(self) -> None:
        check_at_least("cache", self.cache, 1, 2000)
        check_at_least("cache_sharpness", self.cache_sharpness, 0, 0.3)
        if not 0 < self.cache_share < 1:
            raise invalid_setting("cache_share", "in (0, 1)", self.cache_share, 0.1)
        if self.dynamic is not None and not 0 < self.dynamic < inf:
            raise invalid_setting("dynamic", "above 0", self.dynamic, 0.05)
        if self.tune is not None and self.cache is None:
            raise UserError(
                "--tune chooses how a cache is used.", "No --cache was given.", "Give --cache 2000 as well."
            )


@dataclass(kw_only=True)
class Prediction:
    r"""What is asked of a language model: to write, or to score a text.

    Attributes:
        prompt: text that is written on.
        length: units to write.
        temperature: below 1 the likely becomes likelier, 0 takes the likeliest always.
        top_k: draw from so many of the likeliest units only.
        top_p: draw from the likeliest units that together have this probability only.
        repetition_penalty: above 1 makes units rarer that have come before.
        stop: end before this text, in which \n is a line's end; may be given several times.
        seed: seed of the drawing; another text each time when not given.
        score: no writing: the surprise at each unit of the prompt or of a file, as CSV.
    """

    prompt: str = ""
    length: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    stop: list[str] | None = None
    seed: int | None = None
    score: bool = False

    def __post_init__(self) -> None:
        check_at_least("length", self.length, 1, 500)
        if "" in (self.stop or []):
            raise UserError("--stop is some text.", "It was empty.", "Give for example --stop '\\n'.")
        check_at_least("seed", self.seed, 0, 0)
        drawing = [f.name for f in fields(self)[1:-1] if getattr(self, f.name) != f.default]
        if self.score and drawing:
            flags = ", ".join("--" + name.replace("_", "-") for name in drawing)
            raise UserError(
                "--score writes nothing, so nothing is drawn.", f"Given with it: {flags}.", "Leave that out."
            )
