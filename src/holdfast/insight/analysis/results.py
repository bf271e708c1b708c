"""What an inspection finds, as plain arrays: pages, pictures and the terminal view read nothing else.

Letters: T steps, H units, K lags, F rows of what was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

LEFT, RIGHT = 0.1, 0.9
"""A gate below the first is left-saturated (shut), above the second right-saturated (open): Karpathy et al. 2015."""


@dataclass(frozen=True)
class Steps:
    """What the steps of the inspected sequence are.

    Attributes:
        labels: T short texts, such as a character, a word, or an hour with its value.
        kind: what one step is, in the singular: ``"character"``, ``"word"``, ``"hour"``, ``"frame"``, ``"beat"``.
        rows: [F, T] what was read, as numbers (a series, a spectrogram, a piano roll); None where the labels say all.
        row_names: F names of them, or none.
        features: name -> [T], what is known of each step and a unit may track (position in the line, hour of the
            day); NaN where it is not defined.
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
                "Features have a value, and rows a column, for each step.",
                f"There are {len(self)} labels, and {name} has the shape {list(shape)}.",
                "Give as many as there are labels.",
            )


@dataclass(frozen=True)
class LayerTrace:
    """One recurrent layer in one direction.

    Attributes:
        name: such as ``"layer 1"`` or ``"encoder, layer 2, reverse"``.
        cell: a name in :data:`holdfast.CELLS`.
        activations: name -> [T, H] in the cell's order: gates, candidate, cell, hidden (P wide where projected).
        gates: those of them that are gates, between 0 and 1.
        half_lives: [H] steps after which half of what a unit holds is gone, by the forget gate or, in a GRU, the update
            gate: the median over the steps to begin from (see :func:`gates.half_lives`), infinite
            where that does not come; None for a cell without such a gate.
        order: [H] units from the shortest to the longest half-life; where there is none, by how slowly their hidden
            state changes.
    """

    name: str
    cell: str
    activations: Mapping[str, Array]
    gates: Sequence[str]
    half_lives: Array | None
    order: Array

    def saturated(self, gate: str) -> tuple[Array, Array]:
        """The shares [H] of the steps at which each unit's gate is below 0.1, and above 0.9."""
        values = self.activations[gate]
        return (values < LEFT).mean(0), (values > RIGHT).mean(0)


@dataclass(frozen=True)
class FeatureUnit:
    """A unit that follows something of the input.

    Attributes:
        part, state, unit: which: ``layers[layer].activations[state][:, unit]``; state is ``cell`` or ``hidden``.
        feature: what it follows: a name in :attr:`Steps.features`.
        found: correlation on the half of the steps on which the unit was chosen.
        confirmed: correlation on the other half, which the choice did not see.
    """

    layer: int
    state: str
    unit: int
    feature: str
    selected: float
    confirmed: float


@dataclass(frozen=True)
class MemoryCurve:
    """How much a change of the input k steps back alters the recurrent output: ``r(k) = ||d y_t / d x_{t-k}||``.

    Attributes:
        lags: [K], 0 ... longest.
        jacobian: [K] Frobenius norm of the Jacobian, estimated by products with random vectors; 1 at the peak.
        checked, finite: lags [C] at which it was measured by finite differences as well, and the curve by them: times
            the ratio of the two ways' norms, along the same random vectors; NaN where that is rounding.
        half_life: steps after which the influence stays below half of its peak; infinite where it does not in K.
        reach: the same for a twentieth.
        agreement: largest relative difference between the two ways, where the change is above rounding; NaN where it
            never is.
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
        """The largest lag that was measured."""
        return int(self.lags[-1])


@dataclass(frozen=True)
class GradientFlow:
    """The gradient of a loss at the last step with respect to the state k steps earlier, in one part.

    Attributes:
        name: of the part.
        hidden: [K] norm of ``dL/dh`` at distance 0 ... K-1, as a share of that at distance 0.
        state: [K] the same of h and the cell together; that of h where there is no cell.
        factor: by how much the state's gradient changes in one step, in the (geometric) mean.
        kind: ``"vanishing"``, ``"healthy"``, ``"exploding"``, or ``"short"``: too few steps to tell.
        words: that in a sentence, with the number.
    """

    name: str
    hidden: Array
    state: Array
    factor: float
    kind: str
    sentence: str


@dataclass(frozen=True)
class Attribution:
    """Which steps moved an answer of the network.

    Attributes:
        target: what the answer is, in words.
        integrated: [T] integrated gradients (Sundararajan et al. 2017), summed over a step's inputs.
        occlusion: [T] by how much the answer falls when a step's input is replaced by the mean input.
        agreement: Spearman's rank correlation between the two, over the steps that have a hundredth or more of the
            largest in either; NaN where no single step moves the answer, so that occlusion says nothing.
        incomplete: how far the integrated gradients are from adding up to the change of the answer, as a share of it.
        step: after which it is answered, as in :class:`~holdfast.insight.analysis.request.Score`.
    """

    target: str
    integrated: Array
    occlusion: Array
    agreement: float
    incomplete: float
    step: int | None = -1


@dataclass(frozen=True)
class AblatedComponent:
    """What was switched off, and the loss then."""

    kind: str  # "gate", "unit" or "layer"
    layer: int
    name: str
    loss: float


@dataclass(frozen=True)
class Ablation:
    """The loss with something switched off, without training again.

    Attributes:
        loss: of the whole network.
        on: what it was measured on, in words; empty where not known.
        unit: of the loss, such as ``"nats per character"``.
        cuts: every gate, every layer, and the weightiest units, the costliest first within their kind.
    """

    loss: float
    unit: str
    components: Sequence[AblatedComponent]
    on: str = ""


@dataclass(frozen=True)
class Inspection:
    """All that was found; what could not be measured is None, with the reason in ``notes``.

    Units that follow something were looked for in so many ``sequences``; ``steps`` are those of the first.
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
    """Places from the smallest value to the largest; equal ones as they stand."""
    return np.argsort(values, kind="stable")
