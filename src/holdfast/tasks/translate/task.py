"""The translator: fit, evaluate, predict, save and load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import exp
from pathlib import Path
from typing import Any

import torch

from holdfast._typing import Array
from holdfast.files import load_json, save_json
from holdfast.tasks.legacy import LEARNT, TaskModel
from holdfast.tasks.translate import dataset, trainable
from holdfast.tasks.translate.baselines import Baselines
from holdfast.tasks.translate.config import Prediction, TranslateConfig
from holdfast.tasks.translate.dataset import Part, Prepared, Vocabularies
from holdfast.tasks.translate.inference import Interpreter, Translation, search_of
from holdfast.tasks.translate.metrics import Scorer

_TRAIN_PAIRS = 2000
"""Training pairs, spread evenly, on which the training loss is taken again without dropout."""


class Translator(TaskModel):
    """An LSTM, GRU or RNN that reads a sentence and writes its translation, with attention.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``pair="de-en", cell="lstm", hidden_size=512`` (see :class:`TranslateConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

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
    settings = TranslateConfig

    def __init__(self, config: TranslateConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.vocabularies: Vocabularies | None = None
        self.digest = ""
        self.scorer = Scorer(self.config.data.lower)

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the files and number their units; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return dataset.prepare(self.config, Path(data), *others)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """The source as it stands, and each word's likeliest translation."""
        return Baselines.fit(prepared.train.pairs, self.config.data.lower)

    def _learn(self, prepared: Prepared) -> None:
        self.vocabularies, self.digest = prepared.vocabularies, prepared.digest

    def _save_learnt(self, folder: Path) -> None:
        assert self.vocabularies is not None
        save_json(folder / LEARNT, {"digest": self.digest, **self.vocabularies.state()})

    def _load_learnt(self, path: Path) -> None:
        learnt = load_json(path)
        self.vocabularies = Vocabularies.from_state(learnt, path)
        self.digest = str(learnt.get("digest", ""))

    def _empty(self) -> torch.nn.Module:
        assert self.vocabularies is not None
        return trainable.build(self.config, self.vocabularies)

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        self.baselines = Baselines.from_state(arrays, self.config.data.lower)

    def _is_learnt(self, folder: Path, prepared: Prepared) -> bool:
        return load_json(folder / LEARNT).get("digest") == prepared.digest

    def _network(self, prepared: Prepared) -> tuple[torch.nn.Module, trainable.PairTraining]:
        module = trainable.build(self.config, prepared.vocabularies)
        parts = prepared.train, prepared.valid
        return module, trainable.PairTraining(module, self.config, parts, prepared.vocabularies.ends)

    def _judge(self, prepared: Prepared, training: trainable.PairTraining) -> dict[str, Any]:
        name = "test" if prepared.test else "validation"
        step = max(1, len(prepared.train) // _TRAIN_PAIRS)
        some = prepared.train[range(0, len(prepared.train), step)]
        return self._scores(prepared.test or prepared.valid, name) | {
            "train_loss": trainable.mean_nats(training.module, some, training.ends),
            "valid_loss": trainable.mean_nats(training.module, prepared.valid, training.ends),
            "training_size": len(prepared.train),
            "training_steps": sum(map(len, [*prepared.train.sources, *prepared.train.targets])),
        }

    # -- figures -------------------------------------------------------------------------------------------------

    def _figures(self, part: Part) -> dict[str, float]:
        module, vocabularies = self._fitted()
        found = self.interpreter().texts(part.pairs.sources)
        nats = trainable.mean_nats(module, part, vocabularies.ends)
        return self._scored(found, part) | {"perplexity": exp(min(nats, 700.0))}

    def _baseline_figures(self, part: Part) -> dict[str, dict[str, float]]:
        return {name: self._scored(found, part) for name, found in self.baselines.each(part.pairs.sources)}

    def _scored(self, translations: list[str], part: Part) -> dict[str, float]:
        return self.scorer(translations, part.pairs.targets)

    def _size(self, part: Part) -> dict[str, Any]:
        return {"sentences": len(part), "signatures": self.scorer.signatures}

    def _read(self, path: Path) -> Part:
        _, vocabularies = self._fitted()
        part, self.notes = dataset.of_file(path, self.config.data, vocabularies)
        return part

    # -- use -----------------------------------------------------------------------------------------------------

    def predict(self, sentences: Iterable[str], **asked: Any) -> list[str]:
        """The best translation of every sentence.

        Args:
            sentences: of the source language; an empty one has an empty translation.
            asked: ``beam``, ``length_penalty``, ``coverage_penalty``, ``sample``, ``temperature``, ``seed`` (see
                :class:`Prediction`).

        Raises:
            UserError: a value outside its rule.
        """
        return [those[0].text for those in self.stream(sentences, Prediction(**asked))]

    def stream(self, sentences: Iterable[str], asked: Prediction) -> Iterator[list[Translation]]:
        """Of every sentence its translations, the best first and at most ``n_best``, as sentences come."""
        found = self.interpreter(asked).stream(sentences)
        return (those[: asked.n_best] for those in found)

    def interpreter(self, asked: Prediction | None = None) -> Interpreter:
        """The network with its vocabularies and the search that is asked for."""
        module, vocabularies = self._fitted()
        search = search_of(self.config.search, asked or Prediction())
        return Interpreter(module, vocabularies, search, self.config.data.max_length)

    def _fitted(self) -> tuple[Any, Vocabularies]:
        module = self._trained()
        assert self.vocabularies is not None
        return module, self.vocabularies
