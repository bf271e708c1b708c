"""Gate values, half-lives, and the order of a layer's units over one sequence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.layer_capture import LayerDirection
from holdfast.insight.analysis.results import LayerTrace, ordered
from holdfast.nn.cells import CELLS

KEEPERS = ("forget", "update")
"""The gates that keep the old state (PyTorch's update gate keeps: ``h' = (1 - z) n + z h``)."""
TINY = 1e-12
"""Lower bound, so that a gate that is 0 in float32 has a logarithm."""


def trace_layer(direction: LayerDirection) -> LayerTrace:
    """Trace a layer over the first sequence of its input."""
    length = int(direction.lengths[0])
    found = {name: values[:length, 0].numpy() for name, values in direction.activations().items()}
    cell = direction.layer.cell
    as_run = {name: values[::-1] for name, values in found.items()} if direction.reverse else found
    zoneout = direction.layer.options.zoneout_rates(cell)[-1]  # of the cell, or of a GRU's hidden state
    lives = half_lives(as_run, zoneout)
    order = ordered(slowness(found["hidden"]) if lives is None else lives)
    return LayerTrace(direction.name, cell.name, found, gate_names(cell.name), lives, order)


def gate_names(cell: str) -> tuple[str, ...]:
    """Return the names of a cell's activations between 0 and 1."""
    return tuple(name for name in CELLS[cell].activations if name != "candidate")


def half_lives(activations: Mapping[str, Array], zoneout: float = 0.0) -> Array | None:
    """Return half-lives [H], the steps in which a unit loses half of its content, if a gate keeps.

    A half-life is the median over start steps t of the first k with ``keep_{t+1} ... keep_{t+k} <=
    1/2``. Steps are in the order in which the layer runs. With zoneout z, a gate keeps ``z + (1 -
    z) keep``. A start from which the sequence ends first counts as longer than any other; where
    most starts do, the half-life is infinite.

    Example:
        >>> import numpy as np
        >>> half_lives({"forget": np.full((10, 2), 0.5)})
        array([1., 1.])
        >>> half_lives({"forget": np.array([0.99] * 9 + [0.01] + [0.99] * 9 + [0.01])[:, None]}).round()
        array([5.])
    """
    keeper = next((name for name in KEEPERS if name in activations), None)
    if keeper is None:
        return None
    keep = zoneout + (1 - zoneout) * activations[keeper].astype(np.float64)
    lost = np.cumsum(-np.log(np.maximum(keep, TINY)), axis=0)
    return np.array([_until_half(column) for column in np.vstack([np.zeros(lost.shape[1]), lost]).T])


def _until_half(lost: Array) -> float:
    """Return the median over start steps of the (interpolated) steps of a rise by ln 2."""
    wanted = lost[:-1] + np.log(2) - 1e-9
    after = np.searchsorted(lost, wanted)
    reached = after < len(lost)
    place = np.minimum(after, len(lost) - 1)
    rise = np.maximum(lost[place] - lost[place - 1], TINY)
    steps = place - (lost[place] - wanted) / rise - np.arange(len(wanted))
    return float(np.median(np.where(reached, steps, np.inf)))


def slowness(values: Array) -> Array:
    """Return the slowness of each column of [T, H]: variance over mean squared step.

    Example:
        >>> import numpy as np
        >>> slowness(np.array([[1.0, 1.0], [-1.0, 2.0], [1.0, 3.0]])).round(2).tolist()
        [0.22, 0.67]
    """
    steps = np.square(np.diff(values.astype(np.float64), axis=0)).mean(0) if len(values) > 1 else 0.0
    return np.asarray(values.astype(np.float64).var(0) / np.maximum(steps, TINY))
