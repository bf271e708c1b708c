"""What kinds of models of music there are, and what each must be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from holdfast._typing import Array
from holdfast.data.music.midi import ScorePiece
from holdfast.data.music.novelty import TrainingNotes
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.music.request import Wish
from holdfast.training.trainable import Trainable

Figures = dict[str, float]


class Kind(Protocol):
    """A kind of model: how pieces become numbers, the network on them, its training, its baselines and its figures.

    ``Composer`` asks nothing else of it. A *part* is whatever the kind makes of some pieces. What ``prepare`` returns
    has ``train``, ``valid`` and ``test`` (a part, or None), ``notes`` and ``digest`` (as every task's has), ``learnt``
    (what the network needs to know of the data, for JSON) and ``latest(share)``.
    """

    def prepare(self, data: Path, valid: Path | None, test: Path | None) -> Any:
        """Read the files and cut them into parts."""
        ...

    def read(self, path: Path, learnt: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """A file that is to be scored, as a part, and what to tell of it."""
        ...

    def network(self, learnt: Mapping[str, Any]) -> nn.Module:
        """The untrained network."""
        ...

    def training(self, module: nn.Module, prepared: Any) -> Trainable:
        """Its training; the monitor is ``valid_loss``."""
        ...

    def fit_baselines(self, prepared: Any) -> Any:
        """What it has to beat: with ``state()``, ``notes`` and ``figures(part)`` (name -> metrics)."""
        ...

    def baselines(self, arrays: Mapping[str, Array]) -> Any:
        """The baselines whose ``state()`` this is."""
        ...

    def figures(self, module: nn.Module, part: Any) -> Figures:
        """The metrics of a network on a part."""
        ...

    def loss(self, module: nn.Module, part: Any) -> float:
        """What the training makes small, on a part in evaluation."""
        ...

    def corpus(self, part: Any) -> TrainingNotes:
        """The notes of the training pieces, by which copies are known."""
        ...

    def composed(
        self, module: nn.Module, learnt: Mapping[str, Any], corpus: TrainingNotes, wish: Wish
    ) -> Any:
        """A new piece, or its primer and what comes behind, as symusic's score."""
        ...

    def harmonised(self, module: nn.Module, corpus: TrainingNotes, melody: ScorePiece, wish: Wish) -> Any:
        """A melody with the other voices under it, as symusic's score.

        Raises:
            UserError: a kind of model that cannot, or no melody.
        """
        ...

    def size(self, part: Any) -> dict[str, Any]:
        """How much a part is: ``pieces``, ``steps``, and what a step is called, ``unit``."""
        ...


KINDS = {
    "roll": "holdfast.tasks.music.piano_roll_model:Rolls",
    "events": "holdfast.tasks.music.event_model:Events",
}
"""Name of a model -> its kind, as ``module:name``."""


def kind_of(config: MusicConfig) -> Kind:
    """The kind of model that a configuration asks for."""
    module, _, name = KINDS[config.network.model].partition(":")
    found: Kind = getattr(import_module(module), name)(config)
    return found
