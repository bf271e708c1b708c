"""Plots as PNG files: learning curves, models and baselines, forecasts with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.ticker import MaxNLocator

from holdfast._json import JsonMapping
from holdfast._typing import Array
from holdfast.reporting.comparison import Spread

BLUE, ORANGE, GREY, BLACK = "#1f6f8b", "#d1793f", "#9aa5ab", "#222222"
_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans Devanagari", "Nirmala UI", "Arial Unicode MS",
)  # fmt: skip
FONTS = ["DejaVu Sans", *sorted({*_OTHER_SCRIPTS} & {*get_font_names()}, key=_OTHER_SCRIPTS.index)]
"""Fonts in order of preference: matplotlib's own, then this machine's for other scripts."""
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "font.family": FONTS,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Window:
    """One forecast to plot, in the units of the columns.

    Attributes:
        title: title of the panel.
        times: [n + h] of past and future together.
        past: [n] values before the forecast.
        truth: [h] true values, NaN or empty where unknown.
        point: [h] point forecast.
        quantiles: [h, Q] forecast quantiles.
        others: other forecasts [h] by name.
    """

    title: str
    times: Array
    past: Array
    truth: Array
    point: Array
    quantiles: Array
    others: Mapping[str, Array]


@contextmanager
def sketch(size: tuple[float, float], style: JsonMapping | None = None) -> Iterator[Figure]:
    """Yield a figure of a size in inches, without pyplot's global state.

    Letters that no font of the machine has become boxes.
    """
    with matplotlib.rc_context(STYLE | dict(style or {})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        yield Figure(figsize=size, layout="constrained")


@contextmanager
def saved_figure(path: Path, size: tuple[float, float], style: JsonMapping | None = None) -> Iterator[Figure]:
    """Yield a figure that is saved as PNG afterwards."""
    with sketch(size, style) as figure:
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)


@contextmanager
def saved_panel(path: Path, size: tuple[float, float]) -> Iterator[Axes]:
    """Yield the single panel of a figure that is saved as PNG afterwards."""
    with saved_figure(path, size) as figure:
        yield figure.subplots()


def line_styles() -> Iterator[tuple[str, str]]:
    """Return the line style and color of each line of a plot, in turn."""
    return cycle(zip(("-", "--", ":", "-."), (BLUE, ORANGE, BLACK, GREY)))


def curves(history: Sequence[Mapping[str, float]], monitor: str, best_epoch: int | None, path: Path) -> Path:
    """Plot training and validation loss by epoch, with the best epoch marked."""
    with saved_panel(path, (7, 3)) as ax:
        epochs, training, validation = ([row[k] for row in history] for k in ("epoch", "train_loss", monitor))
        ax.plot(epochs, training, color=GREY, label="training (with dropout)")
        ax.plot(epochs, validation, color=BLUE, label="validation")
        if best_epoch is not None:
            ax.axvline(best_epoch, color=ORANGE, lw=1, ls=":", label=f"kept: epoch {best_epoch}")
        ax.set(xlabel="epoch", ylabel="loss", title="Learning curves")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
    return path


def gradients(found: Sequence[JsonMapping], path: Path) -> Path:
    """Plot the share of a gradient that is left some time steps back, by layer."""
    with saved_panel(path, (7, 3)) as ax:
        layers = dict.fromkeys(row["layer"] for row in found)
        for layer, (line, color) in zip(layers, line_styles()):
            rows = [row for row in found if row["layer"] == layer and row["left"] > 0]
            steps, left = [row["step"] for row in rows], [row["left"] for row in rows]
            label = f"{layer}, {max((row['followed'] for row in rows), default=0)} steps back"
            ax.plot(steps, left, line, color=color, label=label)
        ax.set(yscale="log", xlabel="optimizer step", ylabel="share left")
        ax.set_title("Gradient through time during training")
        ax.legend()
    return path


def bars(
    values: Mapping[str, Spread],
    own: Sequence[str],
    metric: str,
    where: str,
    path: Path,
    *,
    higher: bool = False,
) -> Path:
    """Plot a metric of models (blue, in ``own``) and baselines (grey), the best at the top."""
    with saved_panel(path, (7, 0.8 + 0.36 * len(values))) as ax:
        names = sorted(values, key=lambda name: values[name].mean, reverse=not higher)
        colors = [BLUE if name in own else GREY for name in names]
        means, spreads = [values[name].mean for name in names], [values[name].std for name in names]
        plotted = ax.barh(names, means, xerr=spreads if any(spreads) else None, color=colors, ecolor=BLACK)
        ax.bar_label(plotted, fmt="%.4g", padding=4)
        ax.margins(x=0.15)
        ax.set(xlabel=metric, title=f"{metric} on {where} ({'higher' if higher else 'lower'} is better)")
    return path


def blocks(
    values: Mapping[str, Sequence[float]], own: Sequence[str], metric: str, begins: Sequence[str], path: Path
) -> Path:
    """Plot a metric of models (blue, those in ``own``) and baselines in each block."""
    with saved_panel(path, (7, 3.4)) as ax:
        places = range(len(begins))
        for marker, line, (name, series) in zip("osD^v<>ph*", cycle(("-", "--", ":", "-.")), values.items()):
            color, width = (BLUE, 2.0) if name in own else (GREY, 1.3)
            ax.plot(places, series, line, marker=marker, label=name, color=color, lw=width)
        ax.set_xticks(places, begins, rotation=20, ha="right")
        ax.set(ylabel=metric, xlabel="block from", title=f"{metric} of each block (lower is better)")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return path


def forecasts(windows: Sequence[Window], levels: Sequence[float], path: Path) -> Path:
    """Plot the past, the truth, the median, and the interval between the outer quantiles."""
    with saved_figure(path, (8, 0.4 + 2.3 * len(windows))) as figure:
        axes = figure.subplots(len(windows), 1, squeeze=False)[:, 0]
        for ax, window in zip(axes, windows, strict=True):
            _paint_window(ax, window, levels)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=5)
    return path


def _paint_window(ax: Axes, window: Window, levels: Sequence[float]) -> None:
    seen = len(window.past)
    ahead = window.times[seen:]
    marker = "o" if len(ahead) == 1 else None
    ax.plot(window.times[:seen], window.past, color=GREY, lw=1, label="past")
    if window.quantiles.shape[-1] > 1:
        low, high = window.quantiles[:, 0], window.quantiles[:, -1]
        label = f"{levels[0]:.0%} to {levels[-1]:.0%}"
        ax.fill_between(ahead, low, high, color=BLUE, alpha=0.2, lw=0, label=label)
    ax.plot(ahead, window.point, color=BLUE, marker=marker, label="forecast")
    if len(window.truth):
        ax.plot(ahead, window.truth, color=BLACK, lw=1, marker=marker, label="truth")
    for name, values in window.others.items():
        ax.plot(ahead, values, color=ORANGE, lw=1, ls="--", marker=marker, label=name)
    ax.set(title=window.title)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def by_cell(table: Mapping[str, Mapping[str, Spread]], path: Path) -> Path:
    """Plot small bars in one row: name of the quantity -> cell -> spread."""
    with saved_figure(path, (2.4 * len(table), 2.6)) as figure:
        axes = figure.subplots(1, len(table), squeeze=False)[0]
        for ax, (name, cells) in zip(axes, table.items(), strict=True):
            means, spreads = [one.mean for one in cells.values()], [one.std for one in cells.values()]
            errors = spreads if any(spreads) else None
            names = [cell.upper() for cell in cells]
            plotted = ax.bar(names, means, yerr=errors, color=BLUE, ecolor=BLACK, width=0.6)
            ax.bar_label(plotted, fmt=_number, padding=2)
            ax.margins(y=0.15)
            ax.set_title(name)
    return path
