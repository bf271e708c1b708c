"""Results of an inspection as plain arrays. Pages, plots and the terminal view read nothing else.

Letters: T time steps, H units, K lags, F rows of numeric input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast._deprecated import OldAttributes
from holdfast._typing import Array
from holdfast.errors import UserError

LEFT, RIGHT = 0.1, 0.9
"""A gate below the first is left-saturated (shut); above the second, right-saturated (open):
Karpathy et al. 2015."""


@dataclass(frozen=True)
class Steps:
    """Labels and known features of the time steps of the inspected sequence.

    Attributes:
        labels: T short texts, such as a character, a word, or an hour with its value.
        kind: the noun for one step, in the singular: ``"character"``, ``"word"``, ``"hour"``,
            ``"frame"``, ``"beat"``.
        rows: [F, T] numeric input (a series, a spectrogram, a piano roll); None when the labels are
            the whole input.
        row_names: F names, or none.
        features: name -> [T] value at each step that a unit may track, such as the position in the
            line or the hour of the day; NaN where undefined.
    """

    labels: Sequence[str]
    kind: str = "step"
    rows: Array | None = None
    row_names: Sequence[str] = ()
    features: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __post_init__(self) -> None:
        wrong = {
            name: np.shape(values)
            for name, values in self.features.items()
            if np.shape(values) != (len(self),)
        }
        if self.rows is not None and np.shape(self.rows)[-1:] != (len(self),):
            wrong["rows"] = np.shape(self.rows)
        if wrong:
            name, shape = next(iter(wrong.items()))
            raise UserError(
                "Features must have one value, and rows one column, for each label.",
                f"There are {len(self)} labels, and {name} has the shape {list(shape)}.",
                "Give as many values as labels.",
            )


@dataclass(frozen=True)
class LayerTrace:
    """Activations of one recurrent layer in one direction.

    Attributes:
        name: such as ``"layer 1"`` or ``"encoder, layer 2, reverse"``.
        cell: a name in :data:`holdfast.CELLS`.
        activations: name -> [T, H] in the cell's order: gates, candidate, cell, hidden (P wide
            where projected).
        gates: names of the activations that are gates, between 0 and 1.
        half_lives: [H] median number of steps after which a unit has lost half of its content,
            computed from the forget gate or, in a GRU, the update gate (see
            :func:`gates.half_lives`); infinite if it keeps half to the end; None for a cell without
            such a gate.
        order: [H] units from the shortest to the longest half-life; without half-lives, from the
            fastest to the slowest hidden state.
    """

    name: str
    cell: str
    activations: Mapping[str, Array]
    gates: Sequence[str]
    half_lives: Array | None
    order: Array

    def saturation(self, gate: str) -> tuple[Array, Array]:
        """Return the shares [H] of steps at which each unit's gate is below 0.1 and above 0.9."""
        values = self.activations[gate]
        return (values < LEFT).mean(0), (values > RIGHT).mean(0)


@dataclass(frozen=True)
class FeatureUnit(OldAttributes):
    """A unit whose activation tracks a feature of the input.

    Attributes:
        layer, state, unit: its place, ``layers[layer].activations[state][:, unit]``; state is
            ``cell`` or ``hidden``.
        feature: a name in :attr:`Steps.features`.
        selected: correlation on the half of the steps used to select the unit.
        confirmed: correlation on the held-out half.
    """

    layer: int
    state: str
    unit: int
    feature: str
    selected: float
    confirmed: float


@dataclass(frozen=True)
class MemoryCurve:
    """Influence ``r(k) = ||d y_t / d x_{t-k}||`` of the input k steps back on the recurrent output.

    Attributes:
        lags: [K], 0 ... longest.
        jacobian: [K] Frobenius norm of the Jacobian, estimated by products with random vectors; 1
            at the peak.
        checked, finite: lags [C] that finite differences checked, and the curve scaled by the ratio
            of the two norms along the same random vectors; NaN where rounding dominates.
        half_life: steps after which the influence stays below half of its peak; infinite if that
            does not happen in K.
        reach: the same for 5% of the peak.
        agreement: largest relative difference between the two methods where it exceeds rounding;
            NaN if it never does.
    """

    lags: Array
    jacobian: Array
    checked: Array
    finite: Array
    half_life: float
    reach: float
    agreement: float

    @property
    def longest(self) -> int:
        """The largest lag measured."""
        return int(self.lags[-1])


@dataclass(frozen=True)
class GradientFlow(OldAttributes):
    """Gradient of a final loss by the state k steps earlier, in one layer and direction.

    Attributes:
        name: name of the layer.
        hidden: [K] norm of ``dL/dh`` at distance 0 ... K-1, relative to distance 0.
        state: [K] the same for h and the cell state together; for h alone where the cell has no
            other state.
        factor: geometric mean of the change of the state's gradient in one step.
        kind: ``"vanishing"``, ``"healthy"``, ``"exploding"``, or ``"short"`` (too few steps to
            decide).
        sentence: the same in one sentence, with numbers.
    """

    name: str
    hidden: Array
    state: Array
    factor: float
    kind: str
    sentence: str


@dataclass(frozen=True)
class Attribution:
    """Influence of each time step on a prediction.

    Attributes:
        target: description of the prediction.
        integrated: [T] integrated gradients (Sundararajan et al. 2017), summed over a step's
            inputs.
        occlusion: [T] fall of the prediction when the mean input replaces the step's input.
        agreement: Spearman's rank correlation of the two, over the steps that reach 1% of the
            largest value in either; NaN if no single step influences the prediction, so that
            occlusion carries no information.
        incomplete: share of the change of the prediction that the integrated gradients do not add
            up to.
        step: the predicted step, as in :class:`~holdfast.insight.analysis.request.Score`.
    """

    target: str
    integrated: Array
    occlusion: Array
    agreement: float
    incomplete: float
    step: int | None = -1


@dataclass(frozen=True)
class AblatedComponent(OldAttributes):
    """A gate, unit or layer that was ablated, and the loss without it."""

    kind: str  # "gate", "unit" or "layer"
    layer: int
    name: str
    loss: float


@dataclass(frozen=True)
class Ablation(OldAttributes):
    """Loss of the network with one component ablated at a time, without retraining.

    Attributes:
        loss: loss of the whole network.
        unit: unit of the loss, such as ``"nats per character"``.
        components: every gate, every layer, and the strongest units; within each kind, the highest
            loss first.
        on: the measure or its data, in words; may be empty.
    """

    loss: float
    unit: str
    components: Sequence[AblatedComponent]
    on: str = ""


@dataclass(frozen=True)
class Inspection(OldAttributes):
    """All findings. What could not be measured is None, and ``notes`` says why.

    Attributes:
        title: title of the report.
        steps: time steps of the inspected sequence, the first of ``sequences``.
        layers: activations of each layer and direction.
        feature_units: units that track a feature, the most certain first.
        tested_features: features for which a unit was searched.
        memory, gradients, attribution, ablation: measurements.
        summary: the findings in sentences.
        notes: limits of this inspection.
        sequences: number of sequences in which feature units were searched.
    """

    title: str
    steps: Steps
    layers: Sequence[LayerTrace]
    feature_units: Sequence[FeatureUnit] = ()
    tested_features: Sequence[str] = ()
    memory: MemoryCurve | None = None
    gradients: Sequence[GradientFlow] = ()
    attribution: Attribution | None = None
    ablation: Ablation | None = None
    summary: Sequence[str] = ()
    notes: Sequence[str] = ()
    sequences: int = 1


def ordered(values: Array) -> Array:
    """Return indices from the smallest value to the largest; equal values keep their order."""
    return np.argsort(values, kind="stable")
