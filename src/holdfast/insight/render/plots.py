"""Plot an inspection as PNG files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from holdfast._json import JsonMapping
from holdfast._typing import Array
from holdfast.insight.analysis.results import FeatureUnit, Inspection, LayerTrace, Steps
from holdfast.insight.render import captions, charts
from holdfast.insight.render.captions import plotted_units
from holdfast.insight.render.colormaps import Scale, scale_of, signed
from holdfast.insight.render.label_text import clean, lay_out, sign
from holdfast.reporting.plots import FONTS, saved_figure

STYLE: JsonMapping = {"text.parse_math": False}
"""Settings under which dollar signs do not start formulas."""
_LETTERS = 140
"""Maximum number of text steps in a heatmap with legible letters."""
_STEPS = 1000
"""Maximum number of series steps in a heatmap."""
_COLUMNS, _MIN_COLUMNS = 100, 80
"""Letters in a line of colored text, and the minimum width of its plot, for the title."""
_FIRST, _LAST = slice(0, 800), slice(-400, None)
"""Shown part of a long text: its beginning, or its end if the end matters."""
_MONOSPACED = ["DejaVu Sans Mono", *FONTS]

Painter = tuple[tuple[float, float], Callable[[Figure], None]]
"""Size of a figure in inches, and a function that paints it."""


def is_ours(path: Path) -> bool:
    """Whether a file has the name of a picture that :func:`write_plots` writes.

    Example:
        >>> [is_ours(Path(name)) for name in ("gates-2.png", "memory.png", "gates-old.png", "heard.png")]
        [True, True, False, False]
    """
    names = "|".join(_PLOTS)
    return re.fullmatch(rf"(gates(-[1-9][0-9]*)?|{names})\.png", path.name) is not None


def write_plots(found: Inspection, folder: Path) -> list[Path]:
    """Write all findings as PNG files into a folder, and return the paths.

    The files are ``gates.png`` for the first layer, ``gates-2.png`` and so on for the others and,
    if there is something to plot, ``saturation.png``, ``tracked.png``, ``memory.png``,
    ``gradients.png``, ``attribution.png`` and ``ablation.png``.
    """
    painters = {f"gates{'' if k == 0 else f'-{k + 1}'}": _gates(found, k) for k in range(len(found.layers))}
    painters |= {name: painter for name, plot in _PLOTS.items() if (painter := plot(found)) is not None}
    for name, (size, paint) in painters.items():
        with saved_figure(folder / f"{name}.png", size, STYLE) as figure:
            paint(figure)
    return [folder / f"{name}.png" for name in painters]


def one(size: tuple[float, float], paint: Callable[[Axes], None]) -> Painter:
    """Return a painter of a figure with one panel."""
    return size, lambda figure: paint(figure.subplots())


def saturation(found: Inspection) -> Painter | None:
    """Plot the shares of steps at which gates are shut and open; None without gates."""
    gates = [len(layer.gates) for layer in found.layers if layer.gates]
    if not gates:
        return None
    size = (0.6 + 2.3 * max(*gates, 2), 0.6 + 2.6 * len(gates))
    return size, lambda figure: charts.saturation(figure, found.layers)


def memory(found: Inspection) -> Painter | None:
    """Plot the measured memory next to the half-lives of units; None without both."""
    panels: list[Callable[[Axes], None]] = []
    if (horizon := found.memory) is not None:
        panels.append(lambda ax: charts.memory_curve(ax, horizon))
    if any(layer.half_lives is not None for layer in found.layers):
        panels.append(lambda ax: charts.half_lives(ax, found.layers))
    if not panels:
        return None

    def paint(figure: Figure) -> None:
        for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            panel(ax)

    return (1 + 4.6 * len(panels), 3.6), paint


def gradients(found: Inspection) -> Painter | None:
    """Plot the gradient's norm against the distance in time; None without gradients."""
    if not found.gradients:
        return None
    return one((8, 3.6), lambda ax: charts.gradients(ax, found.gradients))


def ablation(found: Inspection) -> Painter | None:
    """Plot the ablations as bars: layers and gates, and units on another axis; None without."""
    cut = found.ablation
    if cut is None or not cut.components:
        return None
    groups = [group for group in captions.component_groups(cut) if group]

    def paint(figure: Figure) -> None:
        heights = [len(group) + 2 for group in groups]
        axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, group in zip(axes, groups, strict=True):
            charts.ablation(ax, group, cut, found.layers)
        axes[0].set_title("Change of the loss with one layer, gate or unit ablated")

    return (8, 0.6 + 0.27 * sum(map(len, groups)) + 0.4 * len(groups)), paint


def _gates(found: Inspection, number: int) -> Painter:
    layer, steps = found.layers[number], found.steps
    count = min(len(steps), _LETTERS if charts.is_text(steps) else _STEPS)
    panels = len(layer.activations) + (not charts.is_text(steps))

    def paint(figure: Figure) -> None:
        axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
        figure.suptitle(f"{layer.name} ({layer.cell.upper()}): {captions.extent(steps, count)}", fontsize=12)
        if not charts.is_text(steps):
            charts.input_rows(axes[0], steps, count)
            axes.pop(0).set_title("input")
        for ax, name in zip(axes, layer.activations, strict=True):
            _heatmap(ax, layer, name, count)
        for ax in axes:
            charts.ticks(ax, steps, count, _LETTERS)

    return (16, 0.6 + 2.0 * panels), paint


def _heatmap(ax: Axes, layer: LayerTrace, name: str, count: int) -> None:
    values, scale = layer.activations[name][:count].T, scale_of(layer, name)
    order = layer.order if len(layer.order) == len(values) else np.arange(len(values))
    low, high = scale.ends
    cmap = ListedColormap(Scale(low, high, scale.limit).palette() / 255)
    norm, extend = Normalize(low, high), "neither" if scale.limit is None else "both"
    image = ax.imshow(values[order], aspect="auto", cmap=cmap, norm=norm, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, pad=0.005, fraction=0.02, extend=extend)
    ax.set_yticks([])
    ax.set_ylabel(f"{len(values)} units\nslow    fast" if len(order) > 1 else "1 unit")
    ax.set_title(f"{name} gate" if name in layer.gates else name)


def activation(unit: FeatureUnit, found: Inspection) -> Array:
    """Return the activation [T] of a feature unit."""
    values: Array = found.layers[unit.layer].activations[unit.state][:, unit.unit]
    return values


def centered(unit: FeatureUnit, found: Inspection) -> Array:
    """Return the activation minus its median, to color a text: a unit need not cross zero."""
    values = activation(unit, found)
    return np.asarray(values - np.median(values))


def _tracked(found: Inspection) -> Painter | None:
    units, steps = plotted_units(found), found.steps
    if not units:
        return None
    titles = [clean(captions.feature_unit(unit, found.layers)) for unit in units]
    if where := captions.searched(found):
        titles[0] = f"{where}\n\n{titles[0]}"
    if charts.is_text(steps):
        rows = [centered(unit, found) for unit in units]
        return _texts(steps, [(row, signed(row)) for row in rows], titles, _FIRST)

    def paint(figure: Figure) -> None:
        axes = figure.subplots(len(units), 1, squeeze=False)[:, 0]
        for ax, unit, title in zip(axes, units, titles, strict=True):
            _unit_and_feature(ax, unit, found)
            ax.set_title(title)

    return (12, 0.4 + 2.4 * len(units)), paint


def feature_plot(unit: FeatureUnit, found: Inspection) -> Painter:
    """Plot a unit's activation and the feature that it tracks."""
    return one((12, 2.4), lambda ax: _unit_and_feature(ax, unit, found))


def _unit_and_feature(ax: Axes, unit: FeatureUnit, found: Inspection) -> None:
    """Paint a unit's activation and the feature that it tracks."""
    names = (f"{unit.state} of unit {unit.unit}", clean(unit.feature))
    charts.unit_and_feature(ax, activation(unit, found), found.steps.features[unit.feature], names)
    charts.ticks(ax, found.steps, len(found.steps), 100)


def attribution(found: Inspection) -> Painter | None:
    """Plot which time steps influenced the prediction, by both methods; None without."""
    by, steps = found.attribution, found.steps
    if by is None:
        return None
    title = (
        f"Influence on the {clean(by.target)}\n(orange: for it, blue: against it); "
        f"rank correlation of the two methods: {captions.correlation(by.agreement)}"
    )
    if charts.is_text(steps):
        titles = [f"{title}\n\nintegrated gradients", "occlusion"]
        return _texts(steps, [(row, signed(row, 1)) for row in (by.integrated, by.occlusion)], titles, _LAST)

    def paint(figure: Figure) -> None:
        figure.suptitle(title, fontsize=11)
        charts.attribution(list(figure.subplots(2, 1)), by, steps)

    return (12, 5), paint


def _texts(
    steps: Steps, values: Sequence[tuple[Array, Scale]], titles: Sequence[str], shown: slice
) -> Painter:
    """Plot part of a text once for each row of values [T], which color its letters."""
    labels = steps.labels[shown]
    places = lay_out(labels, _COLUMNS)
    lines = places[-1].line + 1
    columns = max(_MIN_COLUMNS, *(place.column + place.width for place in places))
    extent = captions.extent(steps, len(labels), "last" if shown is _LAST else "first")
    cut = "" if len(labels) == len(steps) else f"\n({extent})"

    def paint(figure: Figure) -> None:
        axes = figure.subplots(len(values), 1, squeeze=False)[:, 0]
        for ax, (row, scale), title in zip(axes, values, titles, strict=True):
            grid = np.full((lines, columns, 3), 255, np.uint8)
            for place, color in zip(places, scale.colors(row[shown]), strict=True):
                grid[place.line, place.column : place.column + place.width] = color
            ax.imshow(grid, aspect="auto", interpolation="nearest")
            for place, label in zip(places, labels, strict=True):
                middle = place.column + place.width / 2 - 0.5
                text = ax.text(middle, place.line, _letter(label), ha="center", va="center", size=9)
                text.set_family(_MONOSPACED)
            ax.set_title("\n".join(fill(line, columns + 10) for line in (title + cut).split("\n")), size=10)
            ax.set_axis_off()

    return (0.3 + columns * 0.1, len(values) * (0.8 + 0.2 * lines)), paint


_PLOTS: dict[str, Callable[[Inspection], Painter | None]] = {
    "saturation": saturation,
    "tracked": _tracked,
    "memory": memory,
    "gradients": gradients,
    "attribution": attribution,
    "ablation": ablation,
}
"""Name of a plot other than those of gates -> its painter."""


def _letter(label: str) -> str:
    return "" if label == " " else re.sub("␣", " ", sign(label))
