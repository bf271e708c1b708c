"""The classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.data.stdin import batch_available
from holdfast.errors import UserError
from holdfast.models.classify import ClassifierNetwork
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.baselines import baseline_set
from holdfast.tasks.classify.config import ClassifyConfig
from holdfast.tasks.classify.dataset import read_dataset
from holdfast.tasks.classify.examples import Examples, read_examples
from holdfast.tasks.classify.preprocessing import (
    ClassifyDataset,
    ClassifyPreprocessing,
    EncodingLoss,
    ExampleSplit,
)
from holdfast.tasks.classify.trainable import (
    BatchTraining,
    Likelihood,
    build,
    initialize,
    logits,
    weights_of_steps,
)
from holdfast.tasks.dataset import evenly
from holdfast.tasks.task import Task

if TYPE_CHECKING:
    import polars as pl

TEXTS_AT_ONCE = 256
"""Most texts of a stream that are classified together."""
_LOSS_EXAMPLES = 2000
"""Training examples, spread evenly, on which the training loss is measured without dropout."""


class SequenceClassifier(Task[ClassifyConfig, ExampleSplit, ClassifyPreprocessing, Array, ClassifierNetwork]):
    """An LSTM, GRU or RNN that predicts the class or classes of a text or series.

    Give its settings by name, such as ``text="review", label="stars", cell="lstm"`` (see
    :class:`ClassifyConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

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
    config_class = ClassifyConfig
    preprocessing_class = ClassifyPreprocessing
    scoreboard = metrics.SCOREBOARD
    size = "{examples:,} examples"
    title = "Classifier of {classes} classes in the column {config.data.label}"
    data_settings = (
        *("text", "series", "step", "channels", "label", "separator", "token", "vocabulary", "vectors"),
        *("max_length", "encoding", "split"),
    )
    sentence = "On {examples:,} examples the network's accuracy is {own:.4g}; {bar}"

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> ClassifyDataset:
        """Read the files and encode the examples."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[ExampleSplit, tuple[str, ...]]:
        """Read a file as one split."""
        return self._encoded(read_examples(path, self.config.data, labelled=True))

    def _encoded(self, examples: Examples) -> tuple[ExampleSplit, tuple[str, ...]]:
        settings, (_, preprocessing) = self.config.data, self.fitted()
        split = preprocessing.encode(examples).cut(settings.max_length)
        lost = EncodingLoss.of(split, preprocessing, settings)
        return split, lost.notes(settings, f"examples of {examples.where}")

    def baseline_set(self, preprocessing: ClassifyPreprocessing) -> BaselineSet[ExampleSplit, Array]:
        """Return the baselines of texts or of series."""
        return baseline_set(preprocessing)

    def network(self, preprocessing: ClassifyPreprocessing) -> ClassifierNetwork:
        """Build the untrained network."""
        return build(self.config, preprocessing)

    def trainable(self, module: ClassifierNetwork, dataset: ClassifyDataset) -> BatchTraining:
        """Return batches of examples of similar length."""
        initialize(module, dataset)
        return BatchTraining(module, self.config, dataset)

    def calibrate(self, dataset: ClassifyDataset) -> None:
        """Fit the temperature of the probabilities on the validation split."""
        module, preprocessing = self.fitted()
        found = logits(module, dataset.valid, self.config)
        temperature = metrics.fit_temperature(found, dataset.valid.targets, preprocessing.multiple)
        module.temperature.fill_(temperature)

    # -- results -----------------------------------------------------------------------------------

    def predictions(self, split: ExampleSplit) -> Array:
        """Return calibrated probabilities [N, K]."""
        module, preprocessing = self.fitted()
        found = logits(module, split, self.config)
        return metrics.probabilities(found, float(module.temperature), preprocessing.multiple)

    def score(self, split: ExampleSplit, predictions: Array) -> dict[str, float]:
        """Return ``accuracy``, ``macro_f1``, ``auroc`` and ``ece``."""
        return metrics.score(predictions, split.targets, self.fitted()[1].multiple)

    def measure(self, split: ExampleSplit) -> JsonObject:
        """Return the number of examples."""
        return {"examples": len(split)}

    def losses(self, dataset: ClassifyDataset) -> dict[str, float]:
        """Return the losses, the time steps of an epoch, the temperature, and the class count."""
        train, likelihood = dataset.train, Likelihood.of(self.config, dataset)
        some = train.some(np.array(evenly(len(train), _LOSS_EXAMPLES)[:_LOSS_EXAMPLES]))
        return {
            "train_loss": self._loss(likelihood, some),
            "valid_loss": self._loss(likelihood, dataset.valid),
            "training_steps": int(train.lengths.sum()),
            "temperature": float(self.fitted_module().temperature),
            "classes": len(dataset.preprocessing.classes),
        }

    def _loss(self, likelihood: Likelihood, split: ExampleSplit) -> float:
        found = torch.from_numpy(logits(self.fitted_module(), split, self.config))
        return float(likelihood(found, torch.from_numpy(split.targets)))

    @classmethod
    def remarks(cls, result: JsonMapping) -> list[str]:
        """Return how well the probabilities are calibrated."""
        points = 100 * result["model"]["ece"]
        return [f"Its confidence differs from its accuracy by {points:.1f} percentage points on average."]

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return commands that classify, without and with the weight of each step."""
        return [
            ["holdfast", "predict", run, files[0], "--out", "labels.csv"],
            ["holdfast", "predict", run, files[0], "--weights", "--out", "weights.csv"],
        ]

    # -- use ---------------------------------------------------------------------------------------

    def predict(
        self, data: Path | str | None = None, *, text: str | None = None, weights: bool = False
    ) -> pl.DataFrame:
        """Return the label of each example of a file, and the probability of each class.

        Args:
            data: a file like that of training; it needs no labels.
            text: a text instead of a file.
            weights: also return the weight of each time step (see
                :func:`trainable.weights_of_steps`).

        Returns:
            a row for each example: ``row`` or ``series``, ``label`` (several are joined by the
            separator), ``p_CLASS`` of each class, and with ``weights`` a list ``steps`` and a list
            ``weights``.

        Raises:
            UserError: a file and a text, or neither, or anything is wrong with the file.
        """
        return self._table(self._asked(data, text), weights)

    def stream(self, texts: Iterable[str], *, weights: bool = False) -> Iterator[pl.DataFrame]:
        """Yield what :meth:`predict` returns for texts as they arrive; those available go together.

        Raises:
            UserError: the model classifies series, or a text is empty.
        """
        settings = self.config.data
        if settings.kind() != "text":
            raise UserError("A model of series must get a file.", "None was given.", "Name a CSV file.")
        _, preprocessing = self.fitted()
        lost, first = EncodingLoss(), 1
        for group in batch_available(texts, TEXTS_AT_ONCE):
            whole = group[: group.index("")] if "" in group else group
            if whole:
                names = [str(first + k) for k in range(len(whole))]
                split = preprocessing.encode(Examples(names, whole, None, "stdin")).cut(settings.max_length)
                yield self._table(split, weights)
                lost += EncodingLoss.of(split, preprocessing, settings)
            first += len(whole)
            if len(whole) < len(group):
                raise UserError(
                    "Each line must have at least 1 character.",
                    f"Line {first} is empty.",
                    "Remove that line, or fill in its text.",
                )
        self.notes = lost.notes(settings, "examples of stdin")

    def _table(self, split: ExampleSplit, weights: bool) -> pl.DataFrame:
        import polars as pl

        module, preprocessing = self.fitted()
        found = self.predictions(split)
        chosen = metrics.decisions(found, preprocessing.multiple)
        joint = self.config.data.separator or ""
        names, encoder = np.array(preprocessing.classes), preprocessing.encoder
        columns: JsonObject = {
            "row" if encoder.kind == "text" else "series": split.examples.names,
            "label": [joint.join(names[own].tolist()) for own in chosen],
            **{f"p_{name}": found[:, k] for k, name in enumerate(preprocessing.classes)},
        }
        if weights:
            columns["steps"] = [
                encoder.steps(item)[: len(own)]
                for item, own in zip(split.examples.items, split.inputs, strict=True)
            ]
            columns["weights"] = [own.tolist() for own in weights_of_steps(module, split, self.config)]
        return pl.DataFrame(columns)

    def _asked(self, data: Path | str | None, text: str | None) -> ExampleSplit:
        settings = self.config.data
        if (data is None) == (text is None):
            got = "Neither was given." if data is None else "Both were given."
            raise UserError("A file or a --text must be given.", got, "Give one of the two.")
        if text is None:
            assert data is not None
            examples = replace(read_examples(Path(data), settings, labelled=False), labels=None)
        else:
            if settings.kind() != "text" or not text.strip():
                got = "It was empty." if not text.strip() else "The model classifies series."
                raise UserError("--text must be a text, for a model of texts.", got, "Give a file instead.")
            examples = Examples(["1"], [text], None, "--text")
        split, self.notes = self._encoded(examples)
        return split
