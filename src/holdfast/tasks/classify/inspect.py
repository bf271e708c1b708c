"""What to inspect in a classifier: the first examples of a file, step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.insight.analysis.features import changes, of_tokens, side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.classify import ClassifierOutput
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.examples import read_examples
from holdfast.tasks.classify.preprocessing import ClassifyPreprocessing, ExampleSplit, SeriesEncoder
from holdfast.tasks.classify.trainable import padded

if TYPE_CHECKING:
    from holdfast.tasks.classify.task import SequenceClassifier

_SHOWN = 2
"""Examples that are inspected."""
_BATCH, _SEVERAL, _SCORED = 16, 64, 128
"""Longest examples on which memory and gradients are measured, examples that are searched for
feature units, and examples on which ablation measures the loss."""
_SHORT = 24
"""Time steps below which a note says that an example is short."""


def inspections(model: SequenceClassifier, data: Path, steps: int) -> list[InspectionRequest]:
    """Return requests for the first examples of a file, with or without labels.

    Raises:
        UserError: anything is wrong with the file.
    """
    split, labelled, notes = _read(model, data, steps)
    shown = [split.some(np.array([i])) for i in range(min(_SHOWN, len(split)))]
    some = split.some(np.arange(min(_SEVERAL, len(split))))
    preprocessing = model.fitted()[1]
    each = [_features(some, i, preprocessing) for i in range(len(some))]
    features = side_by_side(each)
    several = FeatureBatch(_run(model, some), features)
    own = [{name: known[name] for name in features} for known in each]
    return [
        InspectionRequest(
            f"{model.config.network.cell.upper()} classifier reading example {one.examples.names[0]} of {data.name}",
            model.fitted_module(),
            _run(model, one),
            _steps(one, preprocessing, own[k]),
            _decided(model, one, preprocessing),
            _loss(model, split) if labelled else None,
            _run(model, split.some(np.argsort(-split.lengths, kind="stable")[:_BATCH])),
            several,
            notes=(*notes, *_short(one, steps)),
            name=f"record-{k + 1}",
        )
        for k, one in enumerate(shown)
    ]


def _read(model: SequenceClassifier, data: Path, steps: int) -> tuple[ExampleSplit, bool, list[str]]:
    """Read the first examples, whether they have labels, and notes."""
    settings, (_, preprocessing) = model.config.data, model.fitted()
    examples = read_examples(data, settings, labelled=False)
    if not len(examples):
        raise UserError(
            "A file to inspect must have at least 1 example.", f"{data} has none.", "Give another."
        )
    split = preprocessing.encode(examples.some(range(min(_SCORED, len(examples)))))
    split = split.cut(settings.max_length).cut(steps)
    labelled = examples.labels is not None
    notes = [f"The first {min(_SEVERAL, len(split))} examples were searched for feature units."]
    if not labelled:
        notes.append(f"The file has no column {settings.label!r}: the loss cannot be measured.")
    return split, labelled, notes


def _short(one: ExampleSplit, steps: int) -> list[str]:
    taken, whole = len(one.inputs[0]), int(one.whole[0])
    if taken < whole:
        return [f"The example has {whole:,} steps; the first {taken:,} are read."]
    return [f"The example is short: {whole} steps."] if whole < _SHORT else []


def _run(model: SequenceClassifier, split: ExampleSplit) -> Callable[[], ClassifierOutput]:
    module = model.fitted_module()
    x, lengths, _ = padded(split, np.arange(len(split)))
    x, lengths = (own.to(module.output.weight.device) for own in (x, lengths))
    return lambda: module(x, lengths)


# -- steps -----------------------------------------------------------------------------------------


def _steps(one: ExampleSplit, preprocessing: ClassifyPreprocessing, features: dict[str, Array]) -> Steps:
    """Return words as the text has them, or the steps of a series with its channels as rows."""
    own = one.inputs[0]
    labels = preprocessing.encoder.steps(one.examples.items[0])[: len(own)]
    if isinstance(preprocessing.encoder, SeriesEncoder):
        return Steps(labels, "step", own.T, preprocessing.encoder.channels, features)
    return Steps(labels, preprocessing.encoder.tokens.kind, features=features)


def _features(split: ExampleSplit, place: int, preprocessing: ClassifyPreprocessing) -> dict[str, Array]:
    """Return name -> [T] of an example."""
    own = split.inputs[place]
    if not isinstance(preprocessing.encoder, SeriesEncoder):
        return of_tokens(own, preprocessing.encoder.tokens)
    found: dict[str, Array] = {"position in the example": np.arange(1.0, len(own) + 1)}
    for name, values in zip(preprocessing.encoder.channels, own.T.astype(np.float64), strict=True):
        found |= {name: values, f"change of {name}": changes(values)}
    return found


# -- score and loss --------------------------------------------------------------------------------


def _decided(model: SequenceClassifier, one: ExampleSplit, preprocessing: ClassifyPreprocessing) -> Score:
    """Return the likeliest class's calibrated log-probability; with several labels its log odds."""
    module = model.fitted_module()
    best = int(model.predictions(one)[0].argmax())
    if preprocessing.multiple:
        name = f"log odds of the label {preprocessing.classes[best]!r}"
        return Score(name, lambda answer: answer.logits[0, best] / module.temperature, None)
    name = f"log-probability of the label {preprocessing.classes[best]!r}"
    return Score(name, lambda answer: F.log_softmax(answer.logits[0] / module.temperature, -1)[best], None)


def _loss(model: SequenceClassifier, split: ExampleSplit) -> Loss:
    """Return ``-log p`` of the labels by the probabilities that ``predict`` returns."""
    multiple = model.fitted()[1].multiple

    def surprise() -> float:
        return metrics.surprise(model.predictions(split), split.targets, multiple) / len(split)

    return Loss("nats per record", surprise, f"on the first {len(split)} records")
