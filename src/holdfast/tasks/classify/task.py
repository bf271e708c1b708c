"""The classifier: fit, evaluate, predict, save and load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.data.stdin import batch_available
from holdfast.errors import UserError
from holdfast.files import load_json, save_json
from holdfast.models.classify import ClassifierNetwork
from holdfast.tasks.classify import metrics, trainable
from holdfast.tasks.classify.baselines import Baselines
from holdfast.tasks.classify.config import ClassifyConfig
from holdfast.tasks.classify.dataset import Lost, Part, Prepared, number, prepare
from holdfast.tasks.classify.examples import Examples, read_examples
from holdfast.tasks.classify.preprocessing import Schema
from holdfast.tasks.legacy import LEARNT, TaskModel

if TYPE_CHECKING:
    import polars as pl

TEXTS_AT_ONCE = 256
"""Texts of a stream that are classified together, at most."""
_TRAIN_EXAMPLES = 2000
"""Training examples on which the training loss is taken again without dropout."""


class SequenceClassifier(TaskModel):
    """An LSTM, GRU or RNN that says which class, or classes, a text or a series of measurements is of.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``text="review", label="stars", cell="lstm"`` (see :class:`ClassifyConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> rows = [f"{word} it was,{label}" for word, label in (("good", "yes"), ("bad", "no"))]
        >>> _ = (folder / "said.csv").write_text("text,label\\n" + "\\n".join(rows * 40))
        >>> model = SequenceClassifier(text="text", hidden_size=8, epochs=20, learning_rate=0.02)
        >>> model.fit(folder / "said.csv").metrics["model"]["accuracy"]
        1.0
        >>> model.predict(text="how good it was")["label"].to_list()
        ['yes']
    """

    task = "classify"
    settings = ClassifyConfig

    def __init__(self, config: ClassifyConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.schema: Schema | None = None

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the files and number what is in them; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return prepare(self.config, Path(data), *others)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """Simple methods, fitted on the same examples."""
        schema = prepared.schema
        return Baselines.fit(schema.encoder.kind, prepared.train, prepared.valid, schema.multiple)

    def _learn(self, prepared: Prepared) -> None:
        self.schema = prepared.schema

    def _save_learnt(self, folder: Path) -> None:
        save_json(folder / LEARNT, self._fitted()[1].to_dict())

    def _load_learnt(self, path: Path) -> None:
        self.schema = Schema.from_dict(load_json(path), path)

    def _empty(self) -> torch.nn.Module:
        assert self.schema is not None
        return trainable.build(self.config, self.schema)

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        self.baselines = Baselines.from_state(arrays)

    def _is_learnt(self, folder: Path, prepared: Prepared) -> bool:
        return load_json(folder / LEARNT).get("digest") == prepared.digest

    def _network(self, prepared: Prepared) -> tuple[torch.nn.Module, trainable.BatchTraining]:
        module = trainable.begun(self.config, prepared)
        self.module = module
        return module, trainable.BatchTraining(module, self.config, prepared)

    def _judge(self, prepared: Prepared, training: trainable.BatchTraining) -> dict[str, Any]:
        module, schema = self._fitted()
        found, truth = trainable.logits(module, prepared.valid, self.config), prepared.valid.targets
        module.temperature.fill_(metrics.fit_temperature(found, truth, schema.multiple))
        name = "test" if prepared.test else "validation"
        part = prepared.test or prepared.valid
        return self._scores(part, name) | {
            "train_loss": self._loss(training, _spread(prepared.train)),
            "valid_loss": self._loss(training, prepared.valid),
            "training_size": len(prepared.train),
            "training_steps": int(prepared.train.lengths.sum()),
            "temperature": float(module.temperature),
            "classes": len(schema.classes),
        }

    def _loss(self, training: trainable.BatchTraining, part: Part) -> float:
        found = torch.from_numpy(trainable.logits(training.module, part, self.config))
        return float(training.likelihood(found, torch.from_numpy(part.targets)))

    # -- figures -------------------------------------------------------------------------------------------------

    def probabilities(self, part: Part) -> Array:
        """Calibrated probabilities [N, K]."""
        module, schema = self._fitted()
        found = trainable.logits(module, part, self.config)
        return metrics.probabilities(found, float(module.temperature), schema.multiple)

    def _figures(self, part: Part) -> dict[str, float]:
        return metrics.figures(self.probabilities(part), part.targets, self._fitted()[1].multiple)

    def _baseline_figures(self, part: Part) -> dict[str, dict[str, float]]:
        multiple = self._fitted()[1].multiple
        each = self.baselines.each(part)
        return {name: metrics.figures(found, part.targets, multiple) for name, found in each}

    def _size(self, part: Part) -> dict[str, Any]:
        return {"examples": len(part)}

    def _read(self, path: Path) -> Part:
        return self._numbered(read_examples(path, self.config.data, labelled=True), str(path))

    def _numbered(self, examples: Examples, where: str) -> Part:
        _, schema = self._fitted()
        part = number(examples, schema, self.config.data, where)
        self.notes = Lost.of(part, schema, self.config.data).notes(self.config.data, f"examples of {where}")
        return part

    # -- use -----------------------------------------------------------------------------------------------------

    def predict(
        self, data: Path | str | None = None, *, text: str | None = None, weights: bool = False
    ) -> pl.DataFrame:
        """The label of each example of a file, and the probability of each class.

        Args:
            data: a file like that of training; it needs no labels.
            text: a text instead of a file.
            weights: also the weight of each step (see :func:`network.weights_of_steps`).

        Returns:
            a row for each example: ``row`` or ``series``, ``label`` (several with the separator between), ``p_CLASS``
            of each class, and with ``weights`` a list ``steps`` and a list ``weights``.

        Raises:
            UserError: a file and a text, or neither, and whatever is wrong with the file.
        """
        return self._predicted(self._asked(data, text), weights)

    def stream(self, texts: Iterable[str], *, weights: bool = False) -> Iterator[pl.DataFrame]:
        """What :meth:`predict` gives, for texts as they come: those that are there already are read together.

        Raises:
            UserError: the model is one of series, or a text is empty.
        """
        if self.config.data.kind() != "text":
            raise UserError(
                "A model of series classifies those in a file.", "None was given.", "Name a CSV file."
            )
        _, schema = self._fitted()
        lost, first = Lost(), 1
        for group in batch_available(texts, TEXTS_AT_ONCE):
            there = group[: group.index("")] if "" in group else group
            if there:
                names = [str(first + k) for k in range(len(there))]
                part = number(Examples(names, there, None), schema, self.config.data, "stdin")
                yield self._predicted(part, weights)
                lost += Lost.of(part, schema, self.config.data)
            first += len(there)
            if len(there) < len(group):
                raise UserError(
                    "Each line that is classified has at least one character.",
                    f"Line {first} is empty.",
                    "Remove that line, or fill in its text.",
                )
        self.notes = lost.notes(self.config.data, "examples of stdin")

    def _predicted(self, part: Part, weights: bool) -> pl.DataFrame:
        import polars as pl

        module, schema = self._fitted()
        found = self.probabilities(part)
        chosen = metrics.decisions(found, schema.multiple)
        joint = self.config.data.separator or ""
        names = np.array(schema.classes)
        columns: dict[str, Any] = {
            "row" if schema.encoder.kind == "text" else "series": part.examples.names,
            "label": [joint.join(names[own].tolist()) for own in chosen],
            **{f"p_{name}": found[:, k] for k, name in enumerate(schema.classes)},
        }
        if weights:
            columns["steps"] = [
                schema.encoder.steps(item)[: len(own)]
                for item, own in zip(part.examples.items, part.inputs, strict=True)
            ]
            columns["weights"] = [
                own.tolist() for own in trainable.weights_of_steps(module, part, self.config)
            ]
        return pl.DataFrame(columns)

    def _asked(self, data: Path | str | None, text: str | None) -> Part:
        settings = self.config.data
        if (data is None) == (text is None):
            got = "Neither was given." if data is None else "Both were given."
            raise UserError("A file or a --text is classified.", got, "Give one of the two.")
        if text is None:
            assert data is not None
            labels = read_examples(Path(data), settings, labelled=False)
            return self._numbered(Examples(labels.names, labels.items, None, labels.channels), str(data))
        if settings.kind() != "text" or not text.strip():
            got = "It was empty." if not text.strip() else "The model is one of series."
            raise UserError("--text is a text, for a model of texts.", got, "Give a file instead.")
        return self._numbered(Examples(["1"], [text], None), "--text")

    def _fitted(self) -> tuple[ClassifierNetwork, Schema]:
        module = self._trained()
        assert self.schema is not None
        return module, self.schema


def _spread(part: Part) -> Part:
    """At most :data:`_TRAIN_EXAMPLES` examples, spread evenly."""
    every = max(1, len(part) // _TRAIN_EXAMPLES)
    return part.some(np.arange(0, len(part), every)[:_TRAIN_EXAMPLES])
