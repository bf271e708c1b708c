"""What is looked at in a classifier: the first records of a file, step by step, and what each is taken for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import functional as F

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.insight.analysis.features import changes, of_tokens, side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.classify import ClassifierOutput
from holdfast.tasks.classify import metrics
from holdfast.tasks.classify.dataset import Part, number
from holdfast.tasks.classify.examples import read_examples
from holdfast.tasks.classify.preprocessing import Schema, SeriesEncoder
from holdfast.tasks.classify.task import SequenceClassifier
from holdfast.tasks.classify.trainable import padded

_SHOWN = 2
"""Records that are looked at."""
BATCH, SEVERAL, SCORED = 16, 64, 128
"""Records (the longest) in which memory and gradients are measured, in which units that track something are looked for,
and on which the loss is measured when something is switched off."""
SHORT = 24
"""Steps below which a record is told to be short."""


def subjects(model: SequenceClassifier, data: Path, steps: int) -> list[InspectionRequest]:
    """The first records of a file, which needs no labels; of longer ones the first steps.

    Raises:
        UserError: what is wrong with the file.
    """
    part, labelled, notes = _read(model, data, steps)
    shown = [part.some(np.array([i])) for i in range(min(_SHOWN, len(part)))]
    some = part.some(np.arange(min(SEVERAL, len(part))))
    schema = model.schema
    assert schema is not None
    each = [_features(some, i, schema) for i in range(len(some))]
    features = side_by_side(each)
    several = FeatureBatch(_run(model, some), features)
    own = [{name: known[name] for name in features} for known in each]
    return [
        InspectionRequest(
            f"{model.config.network.cell.upper()} classifier reading record {one.examples.names[0]} of {data.name}",
            model.module,  # type: ignore[arg-type]
            _run(model, one),
            _steps(one, schema, own[k]),
            _decided(model, one, schema),
            _loss(model, part) if labelled else None,
            _run(model, part.some(np.argsort(-part.lengths, kind="stable")[:BATCH])),
            several,
            notes=(*notes, *_short(one, steps)),
            name=f"record-{k + 1}",
        )
        for k, one in enumerate(shown)
    ]


def _read(model: SequenceClassifier, data: Path, steps: int) -> tuple[Part, bool, list[str]]:
    """The first records, whether they have labels, and what to tell of them."""
    settings, schema = model.config.data, model.schema
    assert schema is not None
    examples = read_examples(data, settings, labelled=False)
    if not len(examples):
        raise UserError("A file that is inspected has a record.", f"{data} has none.", "Give another.")
    part = number(examples.some(range(min(SCORED, len(examples)))), schema, settings, str(data))
    part = Part(part.examples, [own[:steps] for own in part.inputs], part.targets, part.whole)
    labelled = examples.labels is not None
    notes = [f"Units that track something were looked for in the first {min(SEVERAL, len(part))} records."]
    if not labelled:
        notes.append(f"The file has no column {settings.label!r}: there is no loss to measure.")
    return part, labelled, notes


def _short(one: Part, steps: int) -> list[str]:
    taken, whole = len(one.inputs[0]), int(one.whole[0])
    if taken < whole:
        return [f"The record has {whole:,} steps; the first {taken:,} are read."]
    return [f"The record is short: {whole} steps."] if whole < SHORT else []


def _run(model: SequenceClassifier, part: Part) -> Callable[[], ClassifierOutput]:
    module: Any = model.module
    x, lengths, _ = padded(part, np.arange(len(part)))
    x, lengths = (own.to(module.output.weight.device) for own in (x, lengths))
    return lambda: module(x, lengths)


# -- what a step is ---------------------------------------------------------------------------------------------


def _steps(one: Part, schema: Schema, features: dict[str, Array]) -> Steps:
    """Words as they stand in the text, or the numbers of a series' steps with its channels as rows."""
    own = one.inputs[0]
    labels = schema.encoder.steps(one.examples.items[0])[: len(own)]
    if isinstance(schema.encoder, SeriesEncoder):
        return Steps(labels, "step", own.T, schema.encoder.channels, features)
    return Steps(labels, schema.encoder.units.kind, features=features)


def _features(part: Part, place: int, schema: Schema) -> dict[str, Array]:
    """Name -> [T] of a record."""
    own = part.inputs[place]
    if not isinstance(schema.encoder, SeriesEncoder):
        return of_tokens(own, schema.encoder.units)
    found: dict[str, Array] = {"position in the record": np.arange(1.0, len(own) + 1)}
    for name, values in zip(schema.encoder.channels, own.T.astype(np.float64), strict=True):
        found |= {name: values, f"change of {name}": changes(values)}
    return found


# -- score and loss ---------------------------------------------------------------------------------------------


def _decided(model: SequenceClassifier, one: Part, schema: Schema) -> Score:
    """The calibrated log-probability of the likeliest class; where there may be several, its log odds."""
    module: Any = model.module
    best = int(model.probabilities(one)[0].argmax())
    if schema.multiple:
        name = f"log odds of the label {schema.classes[best]!r}"
        return Score(name, lambda answer: answer.logits[0, best] / module.temperature, None)
    name = f"log-probability of the label {schema.classes[best]!r}"
    return Score(name, lambda answer: F.log_softmax(answer.logits[0] / module.temperature, -1)[best], None)


def _loss(model: SequenceClassifier, part: Part) -> Loss:
    """``-log p`` of the labels, by the probabilities that ``predict`` gives."""
    assert model.schema is not None
    multiple = model.schema.multiple

    def surprise() -> float:
        return metrics.surprise(model.probabilities(part), part.targets, multiple) / len(part)

    return Loss("nats per record", surprise, f"on the first {len(part)} records")
