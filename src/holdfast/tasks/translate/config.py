"""Settings of a translator: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.models.options import TranslationOptions
from holdfast.validation import check_at_least, check_at_most, check_fractions, check_sizes

_WIDEST = 1000
"""Most hypotheses of a beam."""


@dataclass(kw_only=True)
class PairsConfig:
    """The sentence pairs: their files, tokens and splits.

    Attributes:
        pair: endings of two parallel files: with de-en, the data train are train.de (source) and
            train.en (target).
        source_field: field of the source in JSON lines or a table with a header, or number of its
            column (default: source, or column 1).
        target_field: field or column of the target (default: target, or column 2).
        encoding: encoding of the files, such as utf-8 or latin-1.
        lower: convert everything to lower case; the metrics then compare lower case.
        token: subword (byte-pair encoding), word (with punctuation apart) or character.
        vocabulary: most tokens of each language, or of both together where they are shared.
        shared: one vocabulary and one embedding for both languages.
        max_length: most tokens of a sentence; longer pairs are left out of training, longer sources
            are cut.
        split: training, validation and test split without files of their own, as fractions or as
            rest/2000/2000 distinct target sentences; pairs that share a sentence stay together.
    """

    pair: str | None = None
    source_field: str | None = None
    target_field: str | None = None
    encoding: str = "utf-8"
    lower: bool = False
    token: Literal["subword", "word", "character"] = "subword"
    vocabulary: int = 4000
    shared: bool = False
    max_length: int = 100
    split: str = "0.9/0.05/0.05"

    def __post_init__(self) -> None:
        check_at_least("vocabulary", self.vocabulary, 16, 4000)
        check_sizes(self, "max_length")
        if self.pair is not None and (self.source_field or self.target_field):
            raise UserError(
                "Parallel files must come without field names.",
                "Both --pair and a field were given.",
                "Leave out --source-field and --target-field.",
            )
        self.parts(1000)

    def parts(self, sentences: int) -> tuple[int, int, int]:
        """Return the numbers of distinct target sentences for validation, test, and neither."""
        words = self.split.split("/")
        try:
            shares = [0.0 if words[0] == "rest" else float(words[0]), *map(float, words[1:])]
        except ValueError:
            shares = []
        if not _is_split(words, shares):
            raise UserError(
                "A split must be train/valid/test, as fractions with a sum of at most 1, or rest/VALID/TEST sentences.",
                f"It was {self.split!r}.",
                "Give for example --split 0.9/0.05/0.05 or --split rest/2000/2000.",
            )
        if words[0] == "rest":
            return int(shares[1]), int(shares[2]), 0
        valid, test, none = (round(share * sentences) for share in (*shares[1:], 1 - sum(shares)))
        return max(valid, 1), test, none


def _is_split(words: list[str], shares: list[float]) -> bool:
    if len(shares) != 3 or not all(0 <= share < 1e9 for share in shares) or shares[1] == 0:
        return False
    if words[0] == "rest":
        return all(share == int(share) for share in shares)
    return shares[0] > 0 and sum(shares) <= 1 + 1e-9


@dataclass(kw_only=True)
class TranslateTraining(Training):
    """The training run: batches of sentences of similar length.

    Attributes:
        batch_size: tokens of the longer side in a batch, padding included.
        label_smoothing: probability that the loss spreads over all tokens.
        sampling: share of target tokens that training replaces by the network's own prediction,
            growing from 0 over the epochs (scheduled sampling).
    """

    epochs: int = 30
    batch_size: int = 1000
    patience: int = 4
    label_smoothing: float = 0.1
    sampling: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self, "label_smoothing", "sampling")


@dataclass(kw_only=True)
class SearchConfig:
    """The search for a translation when the model is scored.

    Attributes:
        beam: hypotheses that the beam search keeps; 1 is greedy search.
        length_penalty: exponent of (5 + length) / 6, which divides the log-probability of a
            hypothesis.
        coverage_penalty: weight of the penalty for source tokens without attention.
    """

    beam: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        _check_search(self.beam, self.length_penalty, self.coverage_penalty)


@dataclass(kw_only=True)
class TranslateConfig:
    """A network that translates sentences.

    Attributes:
        data: the sentences.
        network: the network.
        training: the training run.
        search: the search for a translation.
    """

    data: PairsConfig = field(default_factory=PairsConfig)
    network: TranslationOptions = field(default_factory=TranslationOptions)
    training: TranslateTraining = field(default_factory=TranslateTraining)
    search: SearchConfig = field(default_factory=SearchConfig)


@dataclass(kw_only=True)
class Prediction:
    """Translate sentences.

    Attributes:
        beam: hypotheses that the beam search keeps; as in training when not given.
        length_penalty: higher values give longer translations; as in training when not given.
        coverage_penalty: higher values leave less untranslated; as in training when not given.
        n_best: print this many translations of each sentence, with number and score, separated by
            tabs.
        sample: sample a translation instead of searching for the likeliest.
        temperature: temperature of the sampling; below 1 likely tokens become likelier.
        seed: seed of the sampling.
        plot: PNG file for a plot of the attention of the first sentences.
    """

    beam: int | None = None
    length_penalty: float | None = None
    coverage_penalty: float | None = None
    n_best: int = 1
    sample: bool = False
    temperature: float = 1.0
    seed: int = 0
    plot: Path | None = None

    def __post_init__(self) -> None:
        _check_search(self.beam, self.length_penalty, self.coverage_penalty)
        check_at_least("n_best", self.n_best, 1, 3)
        check_at_least("seed", self.seed, 0, 0)
        if self.plot is not None and Path(self.plot).suffix.lower() != ".png":
            rule = "A plot must be a PNG file."
            raise UserError(rule, f"Its name was {self.plot}.", "Give --plot attention.png.")
        if not self.sample and (self.temperature != 1 or self.seed):
            raise UserError(
                "--temperature and --seed must come with --sample.",
                "There is no --sample.",
                "Give it as well, or leave them out.",
            )
        if self.sample and (self.n_best > 1 or self.beam is not None):
            raise UserError(
                "--sample must come without --beam and --n-best.",
                "It came with one of them.",
                "Leave one out.",
            )


def _check_search(beam: int | None, length: float | None, coverage: float | None) -> None:
    check_at_least("beam", beam, 1, 5)
    check_at_most("beam", beam, _WIDEST, 5)
    check_at_least("length_penalty", length, 0, 1.0)
    check_at_least("coverage_penalty", coverage, 0, 0.2)
