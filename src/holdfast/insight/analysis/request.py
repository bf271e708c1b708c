"""Inspection requests: a network, an input sequence, and the prediction to explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from holdfast._deprecated import OldAttributes, renamed_arguments
from holdfast._typing import Array
from holdfast.insight.analysis.results import Steps


@dataclass(frozen=True)
class Score:
    """A scalar prediction that attribution explains.

    Attributes:
        name: description, such as ``"log-probability of 'e' after the last step"``.
        of: output of :attr:`InspectionRequest.run` -> a scalar with a gradient.
        step: index of the step after which the prediction is made (-1: the last), the origin for
            distances of influential steps; None if the prediction belongs to the whole sequence or
            to another sequence.
    """

    name: str
    of: Callable[[Any], Tensor]
    step: int | None = -1


@dataclass(frozen=True)
class Loss:
    """The loss that ablation measures.

    Attributes:
        name: unit of the loss after a number, such as ``"nats per character"`` or ``"in seconds"``.
        of: returns the mean loss on data that was not used for training. It is called many times,
            in evaluation mode and without gradients, and must use the same data each time.
        on: the measure or its data, such as ``"on the first 4,000 characters"``; may be empty.
    """

    name: str
    of: Callable[[], float]
    on: str = ""


@dataclass(frozen=True)
class FeatureBatch:
    """More sequences to search for feature units, since a single one may be too short.

    Attributes:
        run: runs the network on B sequences of up to T steps.
        features: name -> [T, B] with the same names as :attr:`Steps.features`; NaN after the end of
            a sequence. Units are selected on the first half of the sequences and confirmed on the
            second.
    """

    run: Callable[[], object]
    features: Mapping[str, Array]


@renamed_arguments(draw="extra_plots", several="feature_batch")
@dataclass(frozen=True)
class InspectionRequest(OldAttributes):
    """A network and one sequence to inspect.

    Attributes:
        title: title of the report.
        model: the network, with recurrent layers of Holdfast or torch.nn.
        run: runs the network on this sequence alone (B = 1), with gradients allowed, and returns
            its output.
        steps: labels and features of the T time steps that the recurrent layers read.
        score: the prediction to explain; without it, no attribution.
        loss: the loss to measure; without it, no ablation.
        batch: runs the network on several sequences, to measure memory and gradients; default:
            ``run``.
        feature_batch: more sequences to search for feature units; default: ``run``.
        layers: name prefixes of the recurrent modules to inspect; all when empty.
        extra_plots: writes plots of the task's own into a folder and returns their paths.
        notes: notes for the reader.
        exact: the same request in float32, for measurements by small differences (memory,
            attribution); default: itself.
        name: name of the output folder where a task makes several requests (such as ``"decoder"``).
        names: name of a layer in the model -> name for readers.
    """

    title: str
    model: nn.Module
    run: Callable[[], object]
    steps: Steps
    score: Score | None = None
    loss: Loss | None = None
    batch: Callable[[], object] | None = None
    feature_batch: FeatureBatch | None = None
    layers: Sequence[str] = ()
    extra_plots: Callable[[Path], Sequence[Path]] | None = None
    notes: Sequence[str] = ()
    exact: InspectionRequest | None = None
    name: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured_run(self) -> Callable[[], Any]:
        """The run on which memory and gradients are measured."""
        return self.batch or self.run
