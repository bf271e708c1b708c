"""What a model of rolls has to beat: each key by itself, without and with the frame before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.piano_roll import RollPieces
from holdfast.errors import UserError
from holdfast.tasks.music.metrics import Counts


@dataclass(frozen=True)
class Baselines:
    """Probabilities that a key sounds, with one count more of each kind than was seen (Laplace).

    Attributes:
        marginal: [K].
        markov: [2, K]: after a frame in which it did not, and in which it did.
    """

    marginal: Array
    markov: Array
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, pieces: RollPieces) -> Self:
        """Count in the training pieces, without transposing them."""
        before, after = _pairs(pieces)
        return cls(
            _share(after.sum(0), len(after)),
            np.stack([_share((after & (before == b)).sum(0), (before == b).sum(0)) for b in (False, True)]),
        )

    def figures(self, pieces: RollPieces) -> dict[str, dict[str, float]]:
        """Name -> ``nll_per_frame`` and ``note_accuracy``."""
        before, after = _pairs(pieces)
        marginal = np.broadcast_to(self.marginal, after.shape)
        return {
            "marginal": _figures(marginal, after),
            "markov": _figures(np.where(before, self.markov[1], self.markov[0]), after),
        }

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        return {"marginal": self.marginal, "markov": self.markov}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        try:
            return cls(arrays["marginal"], arrays["markov"])
        except KeyError as error:
            rule = "baselines.safetensors holds the baselines as training wrote them."
            raise UserError(rule, f"It lacks {error}.", "Copy the folder again, or train anew.") from error


def _pairs(pieces: RollPieces) -> tuple[Array, Array]:
    """All frames but the last and all but the first of each piece: [N, K] each."""
    return (
        np.concatenate([piece.roll[:-1] for piece in pieces]),
        np.concatenate([piece.roll[1:] for piece in pieces]),
    )


def _share(sounding: Array, frames: Any) -> Array:
    found: Array = (sounding + 1.0) / (frames + 2.0)
    return found


def _figures(probability: Array, frames: Array) -> dict[str, float]:
    nats = -np.log(np.where(frames, probability, 1 - probability))
    counts = Counts()
    counts.add(probability > 0.5, frames)
    return {"nll_per_frame": float(nats.sum(-1).mean()), "note_accuracy": counts.accuracy}
