"""Several networks side by side: how far each one's memory reaches, and how its gradient flows back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import isinf
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from holdfast._typing import Array
from holdfast.insight.analysis.gradient_flow import SPAN, gradient_flows
from holdfast.insight.analysis.memory import memory_curve
from holdfast.insight.analysis.request import InspectionRequest
from holdfast.insight.analysis.results import GradientFlow, MemoryCurve
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, picture

FLOOR = 1e-12
"""What is below it is not drawn: it is lost in any sum of float32."""
LINES = ("-", "--", "-.", ":")
COLOURS = (BLUE, ORANGE, BLACK, GREY)


@dataclass(frozen=True)
class _Measured:
    """One network: its name, its trained numbers, its memory, and the gradient's way back in each layer."""

    name: str
    parameters: int
    memory: MemoryCurve
    gradients: Sequence[GradientFlow]


def measured(name: str, request: InspectionRequest) -> _Measured:
    """Memory and gradients of a subject.

    Raises:
        UserError: neither can be measured on it.
    """
    model, batch, layers = request.model, request.measured_run, request.layers
    count = sum(p.numel() for p in model.parameters())
    return _Measured(
        name, count, memory_curve(model, batch, layers=layers), gradient_flows(model, batch, layers=layers)
    )


def table(networks: Sequence[_Measured]) -> list[list[str]]:
    """A header, and a row for each network and layer."""
    header = [
        "", "parameters", "layer", "influence halved after", "a twentieth after", "gradient's change a step",
        "gradient left", "gradient",
    ]  # fmt: skip
    return [header, *(_row(one, flow) for one in networks for flow in one.gradients)]


def _row(one: _Measured, flow: GradientFlow) -> list[str]:
    far = min(SPAN, len(flow.state) - 1)
    return [
        one.name,
        f"{one.parameters:,}",
        flow.name,
        _steps(one.memory.half_life, one.memory),
        _steps(one.memory.reach, one.memory),
        f"{flow.factor - 1:+.1%}",
        f"{flow.state[far]:.2g} after {far} steps",
        flow.kind,
    ]


def _steps(value: float, found: MemoryCurve) -> str:
    return f"over {found.longest} steps" if isinf(value) else f"{value:.1f} steps"


def write_beside(networks: Sequence[_Measured], title: str, folder: Path) -> Path:
    """``beside.html`` and ``beside.png`` in a folder."""
    path = draw(networks, folder / "beside.png")
    words = [
        "Influence: how much a change of the input so many steps back alters the recurrent output, as a share of its "
        "largest influence. Gradient: the norm of a loss's gradient with respect to the state (an LSTM's cell with "
        "it) so many steps before the loss, as a share of that at the loss."
    ]
    section = Section("Side by side", words, table(networks), pictures=[path])
    return write_report(folder / "beside.html", title, [section])


def draw(networks: Sequence[_Measured], path: Path) -> Path:
    """Influence against lag and gradient against distance, a line for each network (and layer)."""
    with picture(path, (10, 4)) as figure:
        left, right = figure.subplots(1, 2)
        for one, colour, line in zip(networks, cycle(COLOURS), cycle(LINES)):
            found = one.memory
            left.loglog(found.lags + 1, _drawn(found.jacobian), line, color=colour, lw=2, label=one.name)
            left.plot(found.checked + 1, found.finite, "o", ms=4, mfc="none", color=colour)
            for flow in one.gradients:
                label = one.name if len(one.gradients) == 1 else f"{one.name}, {flow.name}"
                right.semilogy(_drawn(flow.state), line, color=colour, lw=2, label=label)
        _axes(
            left,
            "Memory: influence of the input on the output",
            "steps back, plus 1",
            "influence (circles: measured)",
        )
        _axes(right, "Gradient through time", "steps before the loss", "share of the gradient left")
    return path


def _drawn(values: Array) -> Array:
    return np.where(values >= FLOOR, values, np.nan)


def _axes(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.axhline(1.0, color=GREY, lw=0.8)
    ax.legend()
