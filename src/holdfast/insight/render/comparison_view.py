"""Compare the memory and the gradient flow of several networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.gradient_flow import SPAN, gradient_flows
from holdfast.insight.analysis.memory import memory_curve
from holdfast.insight.analysis.request import InspectionRequest
from holdfast.insight.analysis.results import GradientFlow, MemoryCurve
from holdfast.reporting.html import Section, write_report
from holdfast.reporting.plots import GREY, line_styles, saved_figure

_FLOOR = 1e-12
"""Shares below this vanish in a float32 sum and are not drawn."""


@dataclass(frozen=True)
class _Measured:
    """One network: its name, number of parameters, memory, and gradient flow in each layer."""

    name: str
    parameters: int
    memory: MemoryCurve
    gradients: Sequence[GradientFlow]


def measure_network(name: str, request: InspectionRequest) -> _Measured:
    """Measure the memory and gradients of a request.

    Raises:
        UserError: one of them cannot be measured.
    """
    model, batch, layers = request.model, request.measured_run, request.layers
    count = sum(p.numel() for p in model.parameters())
    return _Measured(
        name, count, memory_curve(model, batch, layers=layers), gradient_flows(model, batch, layers=layers)
    )


def comparison_table(networks: Sequence[_Measured]) -> list[list[str]]:
    """Return a header, and a row for each network and layer."""
    header = [
        "", "parameters", "layer", "influence halved after", "5% after", "gradient's change per step",
        "gradient left", "gradient",
    ]  # fmt: skip
    return [header, *(_row(one, flow) for one in networks for flow in one.gradients)]


def _row(one: _Measured, flow: GradientFlow) -> list[str]:
    far = min(SPAN, len(flow.state) - 1)
    remembered = [_steps(value, one.memory) for value in (one.memory.half_life, one.memory.reach)]
    gradient = [f"{flow.factor - 1:+.1%}", f"{flow.state[far]:.2g} after {far} steps", flow.kind]
    return [one.name, f"{one.parameters:,}", flow.name, *remembered, *gradient]


def _steps(value: float, found: MemoryCurve) -> str:
    return f"more than {found.longest} steps" if isinf(value) else f"{value:.1f} steps"


def write_comparison(networks: Sequence[_Measured], title: str, folder: Path) -> Path:
    """Write ``beside.html`` and ``beside.png`` into a folder, and return the page's path."""
    path = _plot(networks, folder / "beside.png")
    words = [
        "Influence: effect of a change of the input on the recurrent output that many steps later, relative to its "
        "peak. Gradient: norm of a loss's gradient with respect to the state (with an LSTM's cell) that many steps "
        "before the loss, relative to its norm at the loss."
    ]
    section = Section("Comparison", words, comparison_table(networks), pictures=[path])
    return write_report(folder / "beside.html", title, [section])


def _plot(networks: Sequence[_Measured], path: Path) -> Path:
    """Plot influence and gradient against distance, with a line for each network (and layer)."""
    with saved_figure(path, (10, 4)) as figure:
        left, right = figure.subplots(1, 2)
        for one, (line, color) in zip(networks, line_styles()):
            found = one.memory
            left.loglog(found.lags + 1, _drawn(found.jacobian), line, color=color, lw=2, label=one.name)
            left.plot(found.checked + 1, found.finite, "o", ms=4, mfc="none", color=color)
            for flow in one.gradients:
                label = one.name if len(one.gradients) == 1 else f"{one.name}, {flow.name}"
                right.semilogy(_drawn(flow.state), line, color=color, lw=2, label=label)
        left.set(xlabel="steps back + 1", ylabel="influence (circles: finite differences)")
        left.set_title("Memory: influence of the input on the output")
        right.set(xlabel="steps before the loss", ylabel="share of the gradient left")
        right.set_title("Gradient through time")
        for ax in (left, right):
            ax.axhline(1.0, color=GREY, lw=0.8)
            ax.legend()
    return path


def _drawn(values: Array) -> Array:
    return np.where(values >= _FLOOR, values, np.nan)
