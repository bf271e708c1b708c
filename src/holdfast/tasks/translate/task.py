"""The translator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import exp
from pathlib import Path
from typing import Any

from holdfast._json import JsonMapping, JsonObject
from holdfast.models.translate import TranslationNetwork
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.dataset import evenly
from holdfast.tasks.task import Task
from holdfast.tasks.translate.baselines import baseline_set
from holdfast.tasks.translate.config import Prediction, TranslateConfig
from holdfast.tasks.translate.dataset import read_dataset, read_whole
from holdfast.tasks.translate.inference import BatchTranslator, Translation, search_of
from holdfast.tasks.translate.metrics import SCOREBOARD, Scorer
from holdfast.tasks.translate.preprocessing import PairDataset, PairPreprocessing, PairSplit
from holdfast.tasks.translate.trainable import PairTraining, build, mean_nats

_LOSS_PAIRS = 2000
"""Training pairs, spread evenly, on which the training loss is measured without dropout."""


class Translator(Task[TranslateConfig, PairSplit, PairPreprocessing, list[str], TranslationNetwork]):
    """An LSTM, GRU or RNN that reads a sentence and writes its translation, with attention.

    Give its settings by name, such as ``pair="de-en", cell="lstm", hidden_size=512`` (see
    :class:`TranslateConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> rows = [f"{a} {b}\\t{b.upper()} {a.upper()}\\n" for a in "abcdefgh" for b in "abcdefgh"]
        >>> _ = (folder / "pairs.tsv").write_text("".join(rows))
        >>> model = Translator(token="character", hidden_size=16, epochs=1, batch_size=50)
        >>> _ = model.fit(folder / "pairs.tsv")
        >>> len(model.predict(["a b", "", "c d"]))
        3
    """

    task = "translate"
    config_class = TranslateConfig
    preprocessing_class = PairPreprocessing
    scoreboard = SCOREBOARD
    size = "{sentences:,} sentences"
    title = "Translation"
    data_settings = (
        *("pair", "source_field", "target_field", "encoding", "lower", "token", "vocabulary", "split"),
    )
    sentence = "The network's BLEU is {own:.1f}; {bar}"

    def __init__(self, config: TranslateConfig | None = None, **fields: object) -> None:
        super().__init__(config, **fields)
        self.scorer = Scorer(self.config.data.lower)

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> PairDataset:
        """Read the files and number their tokens."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[PairSplit, tuple[str, ...]]:
        """Read a file as one split."""
        return read_whole(path, self.config.data, self.fitted()[1])

    def baseline_set(self, preprocessing: PairPreprocessing) -> BaselineSet[PairSplit, list[str]]:
        """Return the source unchanged, and the likeliest translation of each word."""
        return baseline_set(self.config.data.lower)

    def network(self, preprocessing: PairPreprocessing) -> TranslationNetwork:
        """Build the untrained network."""
        return build(self.config, preprocessing)

    def trainable(self, module: TranslationNetwork, dataset: PairDataset) -> PairTraining:
        """Return batches of pairs of similar length."""
        splits = dataset.train, dataset.valid
        return PairTraining(module, self.config, splits, dataset.preprocessing.ends)

    # -- results -----------------------------------------------------------------------------------

    def predictions(self, split: PairSplit) -> list[str]:
        """Return the best translation of every source."""
        return self.translator().texts(split.pairs.sources)

    def score(self, split: PairSplit, predictions: list[str]) -> dict[str, float]:
        """Return ``bleu`` and ``chrf``."""
        return self.scorer(predictions, split.pairs.targets)

    def network_metrics(self, split: PairSplit) -> dict[str, float]:
        """Return the perplexity as well."""
        module, preprocessing = self.fitted()
        nats = mean_nats(module, split, preprocessing.ends)
        return super().network_metrics(split) | {"perplexity": exp(min(nats, 700.0))}

    def measure(self, split: PairSplit) -> JsonObject:
        """Return the number of sentences, and how BLEU and chrF were computed."""
        return {"sentences": len(split), "signatures": self.scorer.signatures}

    def losses(self, dataset: PairDataset) -> dict[str, float]:
        """Return the losses in nats per target token, and how many tokens an epoch reads."""
        module, train, ends = self.fitted_module(), dataset.train, dataset.preprocessing.ends
        some = train[evenly(len(train), _LOSS_PAIRS)]
        return {
            "train_loss": mean_nats(module, some, ends),
            "valid_loss": mean_nats(module, dataset.valid, ends),
            "training_steps": sum(map(len, [*train.sources, *train.targets])),
        }

    @classmethod
    def result_keys(cls) -> list[str]:
        """Return the keys that ``evaluate --json`` prints."""
        return [*super().result_keys(), "signatures"]

    @classmethod
    def remarks(cls, result: JsonMapping) -> list[str]:
        """Return how BLEU was computed."""
        return [f"BLEU by sacrebleu: {result['signatures']['bleu']}."]

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that translate."""
        return [
            ["holdfast", "predict", run, "SENTENCES.txt", "--plot", "attention.png"],
            ["holdfast", "predict", run, "SENTENCES.txt", "--beam", "5", "--n-best", "3"],
        ]

    # -- use ---------------------------------------------------------------------------------------

    def predict(self, sentences: Iterable[str], **options: Any) -> list[str]:
        """Return the best translation of every sentence.

        Args:
            sentences: of the source language; an empty one has an empty translation.
            options: ``beam``, ``length_penalty``, ``coverage_penalty``, ``sample``,
                ``temperature``, ``seed`` (see :class:`Prediction`).

        Raises:
            UserError: a value is outside its rule.
        """
        return [found[0].text for found in self.stream(sentences, Prediction(**options))]

    def stream(self, sentences: Iterable[str], options: Prediction) -> Iterator[list[Translation]]:
        """Yield the translations of each sentence as it comes, at most ``n_best``, best first."""
        return (found[: options.n_best] for found in self.translator(options).stream(sentences))

    def translator(self, options: Prediction | None = None) -> BatchTranslator:
        """Return the network with its vocabularies and a search."""
        module, preprocessing = self.fitted()
        search = search_of(self.config.search, options or Prediction())
        return BatchTranslator(module, preprocessing, search, self.config.data.max_length)
