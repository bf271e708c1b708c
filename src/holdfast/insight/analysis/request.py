"""What is inspected: a network, one sequence in it, and what is asked of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.insight.analysis.results import Steps


@dataclass(frozen=True)
class Score:
    """A number that the network answers with, which attribution explains.

    Attributes:
        name: what it is, in words, such as ``"log-probability of 'e' after the last step"``.
        of: the answer of :attr:`InspectionRequest.run` -> a scalar with a gradient.
        step: after which it is answered, counted as in a list (-1: the last), from which the steps that moved it are
            counted; None where it is the answer to a whole sequence, or to steps of another one.
    """

    name: str
    of: Callable[[Any], Tensor]
    step: int | None = -1


@dataclass(frozen=True)
class Loss:
    """What ablation measures.

    Attributes:
        name: its unit, such as ``"nats per character"``.
        on: what it is measured on, such as ``"the first 4,000 characters"``; not told where empty.
        of: the mean loss over data that training has not seen; the network is in evaluation mode, without gradients.
            Called many times: the same data each time.
    """

    name: str
    of: Callable[[], float]
    on: str = ""


@dataclass(frozen=True)
class FeatureBatch:
    """More sequences, in which units that track something are looked for: one may be too short, or all in one year.

    Attributes:
        run: puts B sequences of up to T steps through the network.
        features: name -> [T, B], as of :attr:`Steps.features`, in which they all are as well; NaN behind a
            sequence's end. Units are chosen on the first half of the sequences and confirmed on the second.
    """

    run: Callable[[], Any]
    features: Mapping[str, Array]


@dataclass(frozen=True)
class InspectionRequest:
    """One sequence in a network.

    Attributes:
        title: of the report.
        model: the network; layers of Holdfast and of torch.nn in it are seen.
        run: puts the sequence through it, alone (B = 1), with gradients allowed, and gives the answer.
        steps: what its steps are, T of them: as many as the recurrent layers are given.
        score: what attribution explains; none without.
        loss: what ablation measures; none without.
        batch: puts several sequences through it, for the horizon and the gradients; ``run`` where None.
        several: more sequences, in which units that track something are looked for; ``run`` where None.
        layers: names of recurrent modules that are looked at, by their beginning; all when empty.
        draw: more pictures of a task's own, into a folder.
        notes: what the reader should know.
        exact: the same in float32, for what is measured by small differences (memory, attribution); itself where None.
        name: of its own folder, where a task looks at several sequences (such as ``"decoder"``).
        names: what parts are called by their place in the model -> what they are called in words.
    """

    title: str
    model: nn.Module
    run: Callable[[], Any]
    steps: Steps
    score: Score | None = None
    loss: Loss | None = None
    batch: Callable[[], Any] | None = None
    feature_batch: FeatureBatch | None = None
    layers: Sequence[str] = ()
    extra_plots: Callable[[Path], Sequence[Path]] | None = None
    notes: Sequence[str] = ()
    exact: InspectionRequest | None = None
    name: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured_run(self) -> Callable[[], Any]:
        """What memory and gradients are measured on."""
        return self.batch or self.run
