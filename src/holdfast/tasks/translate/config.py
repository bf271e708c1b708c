"""Every setting of a translator: the flags, the schema of recipes and ``config.toml``, and the constructor."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, invalid_setting

WIDEST = 1000
"""Hypotheses of a beam."""


@dataclass(kw_only=True)
class PairsConfig:
    """The sentences, what they are cut into, and their parts.

    Attributes:
        pair: endings of two parallel files: with de-en the data train are train.de (source) and train.en (target).
        source_field: name of the source in JSON lines or a table with a header, or number of its column (default:
            source, or column 1).
        target_field: the same of the target (default: target, or column 2).
        encoding: of the files, such as utf-8 or latin-1.
        lower: read and write lower case only; figures are then those of lower case.
        token: subword (byte-pair encoding), word (with punctuation apart) or character.
        vocabulary: most units of each language, or of both together where they are shared.
        shared: one vocabulary and one embedding for both languages.
        max_length: longer pairs are left out of training, longer sentences cut in use, in units.
        split: training, validation and test part where they have no files: fractions, or rest/2000/2000 for so many
            distinct target sentences; pairs that share a sentence stay together.
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
        for name, least, example in (("vocabulary", 16, 4000), ("max_length", 1, 100)):
            check_at_least(name, getattr(self, name), least, example)
        if self.pair is not None and (self.source_field or self.target_field):
            raise UserError(
                "Parallel files have no fields.",
                "Both --pair and a field were given.",
                "Leave out --source-field and --target-field.",
            )
        self.parts(1000)

    def parts(self, sentences: int) -> tuple[int, int, int]:
        """How many of the distinct target sentences go to the validation and to the test part, and to none."""
        words = self.split.split("/")
        try:
            shares = [0.0 if words[0] == "rest" else float(words[0]), *map(float, words[1:])]
        except ValueError:
            shares = []
        if not _is_split(words, shares):
            raise UserError(
                "A split is train/valid/test, as fractions with a sum of at most 1, or rest/VALID/TEST sentences.",
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
class NetworkConfig:
    """The network.

    Attributes:
        cell: rnn, gru or lstm.
        hidden_size: units of a layer, in each direction of the encoder.
        embedding_size: numbers that stand for a unit of the text; as the hidden size when not given.
        encoder_layers: recurrent layers that read, in both directions.
        decoder_layers: recurrent layers that write.
        attention: multiplicative (Luong) or additive (Bahdanau).
        input_feeding: the decoder also reads its last attention; slower, since steps then go one by one.
        tied: the output layer's weights are the target embedding's.
        dropout: dropout of embeddings, between layers and of the readout, the same units at every step.
        embedding_dropout: dropout of whole units of the text.
    """

    cell: Literal["rnn", "gru", "lstm"] = "gru"
    hidden_size: int = 256
    embedding_size: int | None = None
    encoder_layers: int = 1
    decoder_layers: int = 2
    attention: Literal["multiplicative", "additive"] = "multiplicative"
    input_feeding: bool = False
    tied: bool = True
    dropout: float = 0.3
    embedding_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hidden_size", "embedding_size", "encoder_layers", "decoder_layers"):
            check_at_least(name, getattr(self, name), 1, 2)
        for name in ("dropout", "embedding_dropout"):
            check_fraction(name, getattr(self, name), 0.2)


@dataclass(kw_only=True)
class TranslateTraining(Training):
    """How a translator is trained: on batches of sentences of like length.

    Attributes:
        batch_size: units of the longer side in a batch, padding counted.
        label_smoothing: share of the probability that is spread over all units in the loss.
        sampling: share of the target units that are replaced by the network's own guess when it is trained, growing
            from none to this over the epochs (scheduled sampling).
    """

    epochs: int = 30
    batch_size: int = 1000
    patience: int = 4
    label_smoothing: float = 0.1
    sampling: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("label_smoothing", "sampling"):
            check_fraction(name, getattr(self, name), 0.1)


@dataclass(kw_only=True)
class SearchConfig:
    """How translations are looked for when the model is scored.

    Attributes:
        beam: hypotheses that are followed at once; 1 is greedy.
        length_penalty: power of (5 + length) / 6 by which a hypothesis' log probability is divided.
        coverage_penalty: weight of the penalty for source units that were not attended to.
    """

    beam: int = 5
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        _check_search(self.beam, self.length_penalty, self.coverage_penalty)


@dataclass(kw_only=True)
class TranslateConfig:
    """A translator.

    Attributes:
        data: the sentences.
        network: the network.
        training: the training run.
        search: how translations are looked for.
    """

    data: PairsConfig = field(default_factory=PairsConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TranslateTraining = field(default_factory=TranslateTraining)
    search: SearchConfig = field(default_factory=SearchConfig)


@dataclass(kw_only=True)
class Prediction:
    """What a translator is asked for.

    Attributes:
        beam: hypotheses that are followed at once; as in training's scores when not given.
        length_penalty: the higher, the longer the translations; as in training's scores when not given.
        coverage_penalty: the higher, the less is left untranslated; as in training's scores when not given.
        n_best: give so many translations of each sentence, with their number and score, separated by tabs.
        sample: draw the translation by chance instead of looking for the likeliest.
        temperature: of the draw; below 1 the likely become likelier.
        seed: of the draw.
        plot: PNG file to draw the attention of the first sentences into.
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
            rule = "A plot is a PNG file."
            raise UserError(rule, f"Its name was {self.plot}.", "Give --plot attention.png.")
        if not self.sample and (self.temperature != 1 or self.seed):
            raise UserError(
                "--temperature and --seed are those of a draw.",
                "--sample was not given.",
                "Give it as well, or leave them out.",
            )
        if self.sample and (self.n_best > 1 or self.beam is not None):
            raise UserError(
                "A drawn translation has no beam and no n best.",
                "--sample came with --beam or --n-best.",
                "Leave one of them out.",
            )


def _check_search(beam: int | None, length: float | None, coverage: float | None) -> None:
    check_at_least("beam", beam, 1, 5)
    if beam is not None and beam > WIDEST:
        raise invalid_setting("beam", f"at most {WIDEST}", beam, 5)
    check_at_least("length_penalty", length, 0, 1.0)
    check_at_least("coverage_penalty", coverage, 0, 0.2)
