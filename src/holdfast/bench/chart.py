"""Plot of a result: how many times faster Holdfast is than each peer, by mode and cell."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from holdfast._json import JsonMapping
from holdfast.bench.cases import Shape
from holdfast.bench.comparison import OURS
from holdfast.bench.peers import PEERS
from holdfast.reporting.plots import BLACK, saved_figure

_COLORS = {
    "torch": "#d1793f",
    "torch-packed": "#e3a87c",
    "torch-padded": "#b3541e",
    "torch-cell": "#e3a87c",
    "onnxruntime": "#1f6f8b",
    "openvino": "#6aaec4",
    "jax": "#5b8c5a",
    "keras": "#a9c7a0",
    "plain": "#9aa5ab",
    "reference": "#5d676c",
    "fp32": "#8c7aa8",
}
"""Peer -> color, the same in every panel; related peers have similar colors."""

_LABELS = {
    "torch-packed": "torch, packed",
    "torch-padded": "torch, padded",
    "torch-cell": "torch, single-step cell",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "jax": "JAX scan",
    "keras": "Keras on JAX",
    "plain": "Holdfast without the option",
    "reference": "Holdfast's reference kernel",
    "fp32": "Holdfast in float32",
}
"""Peer -> label in the legend, if it is not the name."""

_Values = Mapping[str, Mapping[str, float]]
"""Label -> peer -> ratio."""

_SHADE = "#f6e9e2"
_LEAST, _MOST = 0.5, 2.0
"""The axis covers at least this range."""


def chart(result: JsonMapping, path: Path) -> Path:
    """Plot a PNG: a row for each mode, a column for each cell, a bar for each shape and peer."""
    grid = panels(result["rows"])
    modes, cells = list(dict.fromkeys(m for m, _ in grid)), list(dict.fromkeys(c for _, c in grid))
    layout = {mode: slots([grid.get((mode, cell), {}) for cell in cells]) for mode in modes}
    heights = [sum(len(peers) + 1 for _, peers in layout[mode]) for mode in modes]
    size = (2.4 + 3.2 * len(cells), 1.5 + 0.17 * sum(heights) + 0.7 * len(modes))
    with saved_figure(path, size) as figure:
        axes = figure.subplots(len(modes), len(cells), squeeze=False, height_ratios=heights)
        for line, mode in zip(axes, modes, strict=True):
            for ax, cell in zip(line, cells, strict=True):
                ax.set_title(f"{cell.upper()}: {mode}")
                _panel(ax, grid.get((mode, cell), {}), layout[mode], ax is line[0])
            _same_axis(line)
        _legend(figure, result, grid)
    return path


def panels(rows: Sequence[JsonMapping]) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Return (mode, cell) -> label -> peer -> ratio; variants have geometric means over shapes."""
    found: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        if row["peer"] != OURS:
            panel = found.setdefault((row["mode"], row["cell"]), {})
            label = row["variant"].replace("_", " ") or _label_of(row["shape"])
            panel.setdefault(label, {}).setdefault(row["peer"], []).append(row["ratio"])
    return {
        place: {
            label: {peer: statistics.geometric_mean(ratios) for peer, ratios in peers.items()}
            for label, peers in panel.items()
        }
        for place, panel in found.items()
    }


def _label_of(shape: str) -> str:
    """Describe a shape."""
    batch, inputs, hidden, steps = Shape.parse(shape)
    if steps == 1:
        return f"hidden {hidden}"
    return f"batch {batch}, {inputs} → {hidden}, {steps} steps"


def slots(values: Sequence[_Values]) -> list[tuple[str, list[str]]]:
    """Return every label of a row of panels with all its peers, so that the panels line up."""
    found: dict[str, dict[str, None]] = {}
    for panel in values:
        for label, peers in panel.items():
            found.setdefault(label, {}).update(dict.fromkeys(peers))
    return [(label, list(peers)) for label, peers in found.items()]


def _panel(ax: Axes, values: _Values, rows: Sequence[tuple[str, Sequence[str]]], labelled: bool) -> None:
    """Plot bars from the line at 1, to the right where Holdfast is faster, each with its value."""
    place, ticks = 0, []
    for label, peers in rows:
        ticks.append(place + (len(peers) - 1) / 2)
        for peer in peers:
            ratio = values.get(label, {}).get(peer)
            if ratio is not None:
                _bar(ax, place, ratio, _COLORS.get(peer, BLACK))
            place += 1
        place += 1
    ax.set(xscale="log", ylim=(place - 1.2, -0.8))
    ax.axvline(1, color=BLACK, lw=1)
    ax.set_yticks(ticks, [label for label, _ in rows] if labelled else [""] * len(ticks))
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} x"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _same_axis(line: Sequence[Axes]) -> None:
    """Give all panels of a row the same range, shaded where Holdfast is slower."""
    bars = [bar for ax in line for bar in ax.patches if isinstance(bar, Rectangle)]
    ends = [end for bar in bars for end in (bar.get_x(), bar.get_x() + bar.get_width())]
    low, high = min([_LEAST, *ends]) / 1.6, max([_MOST, *ends]) * 1.8
    for ax in line:
        ax.set_xlim(low, high)
        ax.axvspan(low, 1, color=_SHADE, lw=0, zorder=0)


def _bar(ax: Axes, place: float, ratio: float, color: str) -> None:
    ax.barh(place, ratio - 1, left=1, height=0.9, color=color)
    side, factor = ("left", 1.04) if ratio >= 1 else ("right", 0.96)
    text = f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
    ax.text(ratio * factor, place, text, ha=side, va="center", size=7)


def _legend(figure: Figure, result: JsonMapping, grid: Mapping[Any, _Values]) -> None:
    shown = {peer for values in grid.values() for peers in values.values() for peer in peers}
    handles = [Patch(color=_COLORS.get(p, BLACK), label=_LABELS.get(p, p)) for p in PEERS if p in shown]
    machine, threads = result["machine"], result["threads"]
    figure.suptitle(
        "How many times faster Holdfast is than each peer; it is slower in the shaded area\n"
        f"{machine['processor']}, {machine['isa'] or 'no native core'}, {threads} thread{'s' * (threads > 1)}, "
        f"{result['date'].split()[0]}",
        ha="left",
        x=0.01,
        size=11,
    )
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 6) or 1)
