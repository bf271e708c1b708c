"""Settings of a language model: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Literal

from holdfast.config import Scoring, Training, fractions
from holdfast.errors import UserError
from holdfast.models.options import LanguageOptions
from holdfast.validation import check_at_least, check_fraction, check_sizes, invalid_setting


@dataclass(kw_only=True)
class TextConfig:
    """The text: its tokens and its splits.

    Attributes:
        token: character, byte, word (between white space) or subword (byte-pair encoding).
        vocabulary: number of tokens, the most frequent ones; all when not given (8,000 subwords).
        encoding: encoding of the files, such as utf-8, latin-1 or utf-16.
        split: training, validation and test split, in this order, as fractions of the characters.
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
                "A --vocabulary must have at least 256 subwords; bytes have none.",
                f"It was {self.vocabulary} for {self.token}s.",
                "Leave it out, or give for example --token subword --vocabulary 8000.",
            )
        fractions(self.split)


@dataclass(kw_only=True)
class LanguageTraining(Training):
    """The training run: a few streams of the text, whose states are carried on.

    Attributes:
        batch_size: streams that are read in parallel.
        steps: tokens after which back-propagation through time is truncated.
        reset: probability of resetting a stream's state to zeros there, so that the network learns
            beginnings.
        activation: penalty on the size of the last layer's outputs (activation regularization).
        change: penalty on their change from one time step to the next (temporal activation
            regularization).
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
        """Return the number of streams of a text: each has at least twice ``steps`` tokens."""
        return min(self.batch_size, length // (2 * self.steps))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "steps")
        check_fraction("reset", self.reset, 0.01)
        for name in ("activation", "change"):
            check_at_least(name, getattr(self, name), 0, 1)
        if self.change and self.steps < 2:
            raise UserError(
                "--change must come with at least 2 --steps.",
                f"There is {self.steps}.",
                "Give more --steps, or leave --change out.",
            )


@dataclass(kw_only=True)
class LanguageConfig:
    """A network that writes and scores text.

    Attributes:
        text: the text.
        network: the network.
        training: the training run.
        order: order of the n-gram baseline; chosen on the validation split when not given.
    """

    text: TextConfig = field(default_factory=TextConfig)
    network: LanguageOptions = field(default_factory=LanguageOptions)
    training: LanguageTraining = field(default_factory=LanguageTraining)
    order: int | None = None

    def __post_init__(self) -> None:
        check_at_least("order", self.order, 1, 5)


@dataclass(kw_only=True)
class LanguageScoring(Scoring):
    """Options of an evaluation.

    Attributes:
        cache: also score with a neural cache of this many tokens, such as 2000.
        cache_share: weight of the cache in the probability, in (0, 1).
        cache_sharpness: how strongly the cache prefers tokens in similar contexts; 0 weighs all
            alike.
        dynamic: also score with dynamic evaluation at this learning rate, such as 0.05: the weights
            adapt to the text.
        tune: text on which cache-share and cache-sharpness are chosen, such as the validation file.
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
                "--tune must come with --cache.", "There is no --cache.", "Give --cache 2000 as well."
            )


@dataclass(kw_only=True)
class Prediction:
    r"""Write a text, or score one.

    Attributes:
        prompt: text to continue.
        length: tokens to write.
        temperature: below 1 likely tokens become likelier; 0 always takes the likeliest.
        top_k: sample from this many of the likeliest tokens only.
        top_p: sample from the likeliest tokens that together have this probability only.
        repetition_penalty: above 1, tokens that occurred before become less likely.
        stop: end before this text, in which \n is a line end; may be repeated.
        seed: seed of the sampling; a different text each time when not given.
        score: instead of writing, score each token of the prompt or of a file, as CSV.
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
            raise UserError("--stop must not be empty.", "It was.", "Give for example --stop '\\n'.")
        check_at_least("seed", self.seed, 0, 0)
        options = [f.name for f in fields(self)[1:-1] if getattr(self, f.name) != f.default]
        if self.score and options:
            flags = ", ".join("--" + name.replace("_", "-") for name in options)
            raise UserError(
                "--score must come without options for writing.",
                f"Given with it: {flags}.",
                "Leave them out.",
            )
