"""The language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._json import JsonObject
from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer, encode_known
from holdfast.decoding.ngram import MAX_ORDER
from holdfast.decoding.sampling import exclude_token, sampling_filters
from holdfast.errors import UserError
from holdfast.models.incremental import BranchingDecoder, IncrementalDecoder
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.truncated_bptt import StreamTraining, score_chunks, text_nll
from holdfast.tasks.baselines import NGramBaselineSet
from holdfast.tasks.contract import Result
from holdfast.tasks.language import neural_cache, trainable
from holdfast.tasks.language.config import LanguageConfig, LanguageScoring, Prediction
from holdfast.tasks.language.dataset import read_dataset, read_whole
from holdfast.tasks.language.dynamic_evaluation import dynamic_nats
from holdfast.tasks.language.generate import generated, until
from holdfast.tasks.language.metrics import SCOREBOARD, score
from holdfast.tasks.language.preprocessing import TextDataset, TextPreprocessing, TextSplit, unknown_notes
from holdfast.tasks.task import Task

_LOSS_TOKENS = 200_000
"""Last tokens of the training split on which the training loss is measured without dropout."""
_EXACT = 1_000_000
"""Tokens up to which a text is scored in one stream; a longer one in one stream a million."""


class LanguageModel(Task[LanguageConfig, TextSplit, TextPreprocessing, Array, RecurrentLanguageModel]):
    """An LSTM, GRU or RNN that predicts the next token of a text: it scores texts, and writes.

    Give its settings by name, such as ``token="word", cell="gru", hidden_size=400`` (see
    :class:`LanguageConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "text.txt").write_text("to be or not to be\\n" * 200)
        >>> model = LanguageModel(hidden_size=16, steps=16, batch_size=8, epochs=3, learning_rate=0.02)
        >>> _ = model.fit(folder / "text.txt")
        >>> model.metrics["model"]["bits_per_char"] < model.metrics["baselines"]["unigram"]["bits_per_char"]
        True
        >>> len(model.generate("to be", length=20, seed=0))
        20
    """

    task = "language"
    config_class = LanguageConfig
    preprocessing_class = TextPreprocessing
    scoreboard = SCOREBOARD
    renamed = {"units": "tokens", "unit": "token", "nats_per_unit": "nats_per_token"}  # noqa: RUF012
    size = "{tokens:,} {token}s"
    title = "Language model of {token}s"
    data_settings = ("token", "vocabulary", "encoding", "split")
    sentence = "The network needs {own:.4g} nats for each {token}; {bar}"

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> TextDataset:
        """Read the files and number their tokens."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[TextSplit, tuple[str, ...]]:
        """Read a file or folder as one split."""
        _, preprocessing = self.fitted()
        split = read_whole(path, self.config, preprocessing)
        return split, unknown_notes({"scored": split}, preprocessing.tokenizer)

    def baseline_set(self, preprocessing: TextPreprocessing) -> NGramBaselineSet[TextSplit]:
        """Return unigrams and n-grams."""
        tokens = preprocessing.tokenizer
        longest = MAX_ORDER[tokens.kind]
        return NGramBaselineSet(lambda split: split.ids, tokens.size, longest, self.config.order)

    def network(self, preprocessing: TextPreprocessing) -> RecurrentLanguageModel:
        """Build the untrained network."""
        return trainable.build(self.config, preprocessing.tokenizer.size)

    def trainable(self, module: RecurrentLanguageModel, dataset: TextDataset) -> StreamTraining:
        """Return streams of the training split with truncated back-propagation."""
        ids, begin = (dataset.train.ids, dataset.valid.ids), dataset.preprocessing.tokenizer.begin
        return StreamTraining(module, self.config.training, *ids, begin)

    # -- results -----------------------------------------------------------------------------------

    def predictions(self, split: TextSplit) -> Array:
        """Return ``-ln p`` of every token [n]."""
        return text_nll(self.fitted_module(), split.ids, self.tokenizer.begin, max(1, len(split) // _EXACT))

    def score(self, split: TextSplit, predictions: Array) -> dict[str, float]:
        """Return ``nats_per_token``, ``bits_per_char`` and ``perplexity``."""
        return score(split, predictions)

    def measure(self, split: TextSplit) -> JsonObject:
        """Return the number of tokens, and their kind."""
        return {"tokens": len(split), "token": self.tokenizer.kind}

    def losses(self, dataset: TextDataset) -> dict[str, float]:
        """Return the losses in nats per token, and how many tokens an epoch reads."""
        module, latest = self.fitted_module(), dataset.train.ids[-_LOSS_TOKENS:]
        training = self.trainable(module, dataset)
        return {
            "train_loss": float(text_nll(module, latest, self.tokenizer.begin, 8).mean()),
            "valid_loss": float(self.predictions(dataset.valid).mean()),
            "epoch_size": training.steps_per_epoch * training.steps * training.streams,
        }

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False, **asked: Any) -> Result:
        """Score the model and the n-grams on the same text.

        Args:
            data: a file or folder, scored as a whole. None returns the results of the test split
                from training.
            int8: also score the model with its recurrent layers in int8
                (:func:`holdfast.quantize`), on the file.
            asked: ``cache``, ``cache_share``, ``cache_sharpness``, ``dynamic``, ``tune`` (see
                :class:`LanguageScoring`): other ways to score the file.

        Returns:
            as for every task, with the number of ``tokens`` and their kind, ``token``; ``cache``
            (with the ``share`` and ``sharpness`` used) and ``dynamic`` where asked for.
        """
        scoring = LanguageScoring(**asked)
        result = super().evaluate(data, int8=int8)
        if scoring.cache is None and scoring.dynamic is None:
            return result
        if data is None:
            rule = "The cache and dynamic evaluation must score a file."
            raise UserError(rule, "None was given.", "Give one that training did not see.")
        if scoring.tune is not None and Path(scoring.tune).resolve() == Path(data).resolve():
            raise UserError(
                "The cache must be tuned on other text than it scores.",
                f"--tune is {data}, the file to score.",
                "Give the validation split.",
            )
        split, _ = self.read_split(Path(data))
        if scoring.cache is not None:
            result["cache"] = self._with_cache(split, scoring, scoring.cache)
        if scoring.dynamic is not None:
            found = dynamic_nats(self.fitted_module(), split.ids, self.tokenizer.begin, scoring.dynamic)
            result["dynamic"] = score(split, found)
        return result

    def _with_cache(self, split: TextSplit, scoring: LanguageScoring, window: int) -> dict[str, float]:
        module, preprocessing = self.fitted()
        begin = preprocessing.tokenizer.begin
        share, sharpness = scoring.cache_share, scoring.cache_sharpness
        if scoring.tune is not None:
            tune = read_whole(Path(scoring.tune), self.config, preprocessing)
            share, sharpness = neural_cache.tune(score_chunks(module, tune.ids, begin), window)
        found = neural_cache.look_up(score_chunks(module, split.ids, begin), window, [sharpness])[sharpness]
        return score(split, found.mixed(share)) | {"share": share, "sharpness": sharpness}

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that write, and that score each token."""
        return [
            ["holdfast", "predict", run, "--length", "500", "--temperature", "0.8"],
            ["holdfast", "predict", run, files[0], "--score", "--out", "surprise.csv"],
        ]

    # -- use ---------------------------------------------------------------------------------------

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, with the vocabulary of the training split."""
        return self.fitted()[1].tokenizer

    def generate(self, prompt: str = "", **asked: object) -> str:
        """Return text after a prompt, as :meth:`stream` writes it."""
        return "".join(self.stream(prompt, **asked))

    def stream(self, prompt: str = "", **asked: Any) -> Iterator[str]:
        """Write text after a prompt, piece by piece.

        Args:
            prompt: text whose tokens are in the vocabulary.
            asked: ``length``, ``temperature``, ``top_k``, ``top_p``, ``repetition_penalty``,
                ``stop``, ``seed`` (see :class:`Prediction`).

        Raises:
            UserError: a value is outside its rule, or a token of the prompt is unknown.
        """
        wanted = Prediction(prompt=prompt, **asked)
        module, tokens = self.fitted_module(), self.tokenizer
        through = [
            exclude_token(tokens.unknown),
            *sampling_filters(wanted.temperature, wanted.top_k, wanted.top_p, wanted.repetition_penalty),
        ]
        start = encode_known(tokens, prompt, "A prompt") if prompt else np.zeros(0, np.int64)
        if tokens.separator and prompt and not prompt.endswith("\n") and start[-1] == tokens.begin:
            start = start[:-1]  # the prompt's line goes on
        pieces = generated(
            IncrementalDecoder(module), tokens, start.tolist(), wanted.length, through, wanted.seed
        )
        joined = (
            tokens.separator and prompt[-1:].isspace()
        )  # the prompt ends with what joins the first token to it
        return until(_without_first(tokens.separator, pieces) if joined else pieces, wanted.stop or [])

    def surprise(self, text: str) -> tuple[list[str], Array]:
        """Return every token of a text by name, and ``-ln p`` of each [n] after those before it.

        Raises:
            UserError: the text is empty.
        """
        module, tokens = self.fitted_module(), self.tokenizer
        ids = tokens.encode(text)
        if not len(ids):
            raise UserError(
                "A text that is scored must not be empty.", "It was.", "Give some text, or a file."
            )
        return [tokens.token(int(i)) for i in ids], text_nll(module, ids, tokens.begin)

    def reader(self) -> BranchingDecoder:
        """Return the model one token at a time, from any state, for language model fusion."""
        return BranchingDecoder(self.fitted_module(), self.tokenizer)


def _without_first(joint: str, pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        yield piece.removeprefix(joint)
        yield from pieces
