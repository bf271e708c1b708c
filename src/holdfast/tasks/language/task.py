"""The language model: fit, evaluate, write, score, save and load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer, encode_known, tokenizer_from_dict, tokenizer_to_dict
from holdfast.decoding.ngram import MAX_ORDER, NGramBaselines
from holdfast.decoding.sampling import exclude_token, sampling_filters
from holdfast.errors import UserError
from holdfast.files import load_json, save_json
from holdfast.models.incremental import BranchingDecoder, IncrementalDecoder
from holdfast.models.truncated_bptt import StreamTraining, score_chunks, text_nll
from holdfast.tasks.language import dataset, neural_cache, trainable
from holdfast.tasks.language.config import LanguageConfig, LanguageScoring, Prediction
from holdfast.tasks.language.dataset import Part, Prepared
from holdfast.tasks.language.dynamic_evaluation import dynamic_nats
from holdfast.tasks.language.generate import until, written
from holdfast.tasks.task import LEARNT, TaskModel

_TRAIN_UNITS = 200_000
"""The last units of the training part, on which the training loss is taken again without dropout."""

_EXACT = 1_000_000
"""Units up to which a text is scored in one stream; a longer one in as many streams as it has millions."""


class LanguageModel(TaskModel):
    """An LSTM, GRU or RNN that says which unit of a text comes next: it scores texts, and writes.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``token="word", cell="gru", hidden_size=400`` (see :class:`LanguageConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

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
    settings = LanguageConfig

    def __init__(self, config: LanguageConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.units: Tokenizer | None = None
        self.digest = ""

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the files and number their units; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return dataset.prepare(self.config, Path(data), *others)

    def fit_baselines(self, prepared: Prepared) -> NGramBaselines:
        """N-grams, counted in the same text."""
        longest = MAX_ORDER[prepared.units.kind]
        ids = prepared.train.ids, prepared.valid.ids
        return NGramBaselines.fit(*ids, prepared.units.size, longest, self.config.order)

    def _learn(self, prepared: Prepared) -> None:
        self.units, self.digest = prepared.units, prepared.digest

    def _save_learnt(self, folder: Path) -> None:
        assert self.units is not None
        save_json(folder / LEARNT, {"digest": self.digest, **tokenizer_to_dict(self.units)})

    def _load_learnt(self, path: Path) -> None:
        learnt = load_json(path)
        self.units, self.digest = tokenizer_from_dict(learnt, path), str(learnt.get("digest", ""))

    def _empty(self) -> torch.nn.Module:
        assert self.units is not None
        return trainable.build(self.config, self.units.size)

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        self.baselines = NGramBaselines.from_state(arrays)

    def _is_learnt(self, folder: Path, prepared: Prepared) -> bool:
        return load_json(folder / LEARNT).get("digest") == prepared.digest

    def _network(self, prepared: Prepared) -> tuple[torch.nn.Module, StreamTraining]:
        module = trainable.build(self.config, prepared.units.size)
        begin = prepared.units.begin
        return module, StreamTraining(
            module, self.config.training, prepared.train.ids, prepared.valid.ids, begin
        )

    def _judge(self, prepared: Prepared, training: StreamTraining) -> dict[str, Any]:
        name = "test" if prepared.test else "validation"
        latest = prepared.train.ids[-_TRAIN_UNITS:]
        return self._scores(prepared.test or prepared.valid, name) | {
            "train_loss": float(text_nll(training.module, latest, prepared.units.begin, 8).mean()),
            "valid_loss": float(self._nats(prepared.valid).mean()),
            "training_size": len(prepared.train),
            "epoch_size": training.steps_per_epoch * training.steps * training.streams,
        }

    # -- figures -------------------------------------------------------------------------------------------------

    def _nats(self, part: Part) -> Array:
        _, units = self._fitted()
        return text_nll(self._trained(), part.ids, units.begin, max(1, len(part) // _EXACT))

    def _figures(self, part: Part) -> dict[str, float]:
        return _metrics(self._nats(part), part)

    def _baseline_figures(self, part: Part) -> dict[str, dict[str, float]]:
        return {name: _metrics(found, part) for name, found in self.baselines.each(part.ids)}

    def _size(self, part: Part) -> dict[str, Any]:
        return {"units": len(part), "unit": self._fitted()[1].kind}

    def _read(self, path: Path) -> Part:
        _, units = self._fitted()
        part = dataset.of_file(path, self.config, units)
        self.notes = dataset.unknown_notes({"scored": part}, units)
        return part

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False, **asked: Any) -> dict[str, Any]:
        """Figures of the model and of the n-grams on the same text.

        Args:
            data: a file or folder of which everything is scored; None gives the test part's figures from training.
            int8: also score the model with its recurrent layers in int8 (:func:`holdfast.quantize`), on the file.
            asked: ``cache``, ``cache_share``, ``cache_sharpness``, ``dynamic``, ``tune`` (see
                :class:`LanguageScoring`): other ways to score the file.

        Returns:
            as of every task, with ``units`` scored and their kind, ``unit``; ``cache`` (with the ``share`` and
            ``sharpness`` used) and ``dynamic`` where asked.
        """
        scoring = LanguageScoring(**asked)
        result = super().evaluate(data, int8=int8)
        if scoring.cache is None and scoring.dynamic is None:
            return result
        if data is None:
            rule = "The cache and dynamic evaluation score a file."
            raise UserError(rule, "None was given.", "Give one that training did not see.")
        if scoring.tune is not None and Path(scoring.tune).resolve() == Path(data).resolve():
            raise UserError(
                "The cache is tuned on other text than it scores.",
                f"--tune is {data}, the file to score.",
                "Give the validation part.",
            )
        part = self._read(Path(data))
        if scoring.cache is not None:
            result["cache"] = self._with_cache(part, scoring)
        if scoring.dynamic is not None:
            found = dynamic_nats(self._trained(), part.ids, self._fitted()[1].begin, scoring.dynamic)
            result["dynamic"] = _metrics(found, part)
        return result

    def _with_cache(self, part: Part, scoring: LanguageScoring) -> dict[str, float]:
        module, units = self._fitted()
        assert scoring.cache is not None
        share, sharpness = scoring.cache_share, scoring.cache_sharpness
        if scoring.tune is not None:
            tune = dataset.of_file(Path(scoring.tune), self.config, units)
            share, sharpness = neural_cache.tuned(score_chunks(module, tune.ids, units.begin), scoring.cache)
        found = neural_cache.look_up(score_chunks(module, part.ids, units.begin), scoring.cache, [sharpness])[
            sharpness
        ]
        return _metrics(found.mixed(share), part) | {"share": share, "sharpness": sharpness}

    # -- use -----------------------------------------------------------------------------------------------------

    def generate(self, prompt: str = "", **asked: Any) -> str:
        """Text after a prompt, as :meth:`stream` writes it."""
        return "".join(self.stream(prompt, **asked))

    def stream(self, prompt: str = "", **asked: Any) -> Iterator[str]:
        """Write on after a prompt, piece by piece.

        Args:
            prompt: text of units that the model knows.
            asked: ``length``, ``temperature``, ``top_k``, ``top_p``, ``repetition_penalty``, ``stop``, ``seed`` (see
                :class:`Prediction`).

        Raises:
            UserError: a value outside its rule, or a prompt with something unknown.
        """
        wanted = Prediction(prompt=prompt, **asked)
        module, units = self._fitted()
        through = [
            exclude_token(units.unknown),
            *sampling_filters(wanted.temperature, wanted.top_k, wanted.top_p, wanted.repetition_penalty),
        ]
        start = encode_known(units, prompt, "A prompt") if prompt else np.zeros(0, np.int64)
        if units.separator and prompt and not prompt.endswith("\n") and start[-1] == units.begin:
            start = start[:-1]  # the prompt's line goes on
        pieces = written(
            IncrementalDecoder(module), units, start.tolist(), wanted.length, through, wanted.seed
        )
        joined = (
            units.separator and prompt[-1:].isspace()
        )  # the prompt ends with what would stand before the first unit
        return until(_without_first(units.separator, pieces) if joined else pieces, wanted.stop or [])

    def surprise(self, text: str) -> tuple[list[str], NDArray[np.float32]]:
        """Every unit of a text as shown, and ``-ln p`` of each [n] after those before it.

        Raises:
            UserError: an empty text.
        """
        module, units = self._fitted()
        ids = units.encode(text)
        if not len(ids):
            raise UserError("A text that is scored is not empty.", "It was.", "Give some text, or a file.")
        return [units.token(int(i)) for i in ids], text_nll(module, ids, units.begin)

    def summary(self, found: Array, characters: int) -> dict[str, float]:
        """The metrics of a text of so many characters from its units' nats [n]."""
        return _metrics(found, Part(found, characters, 0))

    def reader(self) -> BranchingDecoder:
        """The model one unit after the other, from any state: what joins in where text is recognised."""
        return BranchingDecoder(self._trained(), self._fitted()[1])

    def _fitted(self) -> tuple[Any, Tokenizer]:
        module = self._trained()
        assert self.units is not None
        return module, self.units


def _without_first(joint: str, pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        yield piece.removeprefix(joint)
        yield from pieces


def _metrics(found: Array | Sequence[float], part: Part) -> dict[str, float]:
    """Of the nats [n] of every unit of a part."""
    total = float(np.sum(found, dtype=np.float64))
    mean = total / len(part)
    return {
        "nats_per_unit": mean,
        "bits_per_char": total / log(2) / max(part.characters, 1),
        "perplexity": exp(min(mean, 700.0)),
    }
