"""Render an inspection as text for a terminal, such as one over SSH."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from holdfast._typing import Array
from holdfast.files import counted
from holdfast.insight.analysis.gates import KEEPERS
from holdfast.insight.analysis.results import Ablation, Attribution, Inspection, LayerTrace
from holdfast.insight.analysis.summary import distance
from holdfast.insight.render import captions
from holdfast.insight.render.captions import choose_units, number, tracked_features
from holdfast.insight.render.colormaps import Scale, scale_of
from holdfast.insight.render.label_text import clean, plain, sign

_SHADES, _ASCII_SHADES = " ░▒▓█", " .:-=+*#%@"
_HEIGHTS, _ASCII_HEIGHTS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
_MIN_WIDTH = 20
_UNITS, _STEPS = 8, 8
"""Maximum numbers of units in a heatmap, and of influential steps."""
_DECADES = 3
"""Powers of ten in a sparkline."""


@dataclass(frozen=True)
class Screen:
    """Capabilities of a terminal: width in cells, colors, and block characters."""

    width: int = 80
    color: bool = False
    blocks: bool = True

    @classmethod
    def of(cls, stream: TextIO) -> Screen:
        """Return a stream's capabilities; no colors without a terminal or with NO_COLOR."""
        color = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        try:
            (_SHADES + _HEIGHTS).encode(stream.encoding or "ascii")
        except UnicodeEncodeError:
            return cls(shutil.get_terminal_size().columns, color, blocks=False)
        return cls(shutil.get_terminal_size().columns, color)

    def text(self, text: str) -> str:
        """Convert a text to what the terminal can print."""
        return clean(text) if self.blocks else plain(clean(text))

    def sign(self, label: str) -> str:
        """Convert a step's label to what the terminal can print."""
        return sign(label) if self.blocks else plain(sign(label))


def terminal(found: Inspection, screen: Screen) -> str:
    """Return the findings as text, with heatmaps of a few units, tables and sparklines.

    Args:
        found: the inspection.
        screen: capabilities of the terminal; no line is wider than it, if it has at least 20 cells.

    Returns:
        Lines of text, with control sequences for 256 colors if the screen has colors.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        width=max(screen.width, _MIN_WIDTH),
        force_terminal=screen.color,
        color_system="256" if screen.color else None,
        no_color=not screen.color,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for block in _blocks(found, screen):
        console.print(block, overflow="fold", no_wrap=isinstance(block, Text) and block.no_wrap)
    return out.getvalue() if screen.blocks else plain(out.getvalue())  # rich cuts with "…"


def _blocks(found: Inspection, screen: Screen) -> Iterator[RenderableType]:
    yield _heading(found.title, screen)
    yield screen.text(captions.network(found))
    yield from _list("Findings", found.summary, screen)
    for place, layer in enumerate(found.layers):
        yield from _layer(found, place, layer, screen)
    if found.memory is not None:
        axis = f"influence of inputs 0 to {found.memory.longest} steps back"
        yield from _titled("Memory", screen)
        yield from _curve(found.memory.jacobian, axis, screen)
    if found.gradients:
        yield from _titled("Gradients through time", screen)
    for flow in found.gradients:
        axis = screen.text(f"{flow.name}: distance 0 to {len(flow.state) - 1}")
        yield from _curve(flow.state, axis, screen)
    if found.attribution is not None:
        yield from _attribution(found.attribution, found, screen)
    if found.ablation is not None and found.ablation.components:
        yield from _ablation(found.ablation, found.layers, screen)
    yield from _list("Notes", found.notes, screen)


def _heading(text: str, screen: Screen) -> Text:
    return Text(screen.text(text), style="bold")


def _titled(text: str, screen: Screen) -> Iterator[RenderableType]:
    yield ""
    yield _heading(text, screen)


def _list(title: str, items: Sequence[str], screen: Screen) -> Iterator[RenderableType]:
    if items:
        yield from _titled(title, screen)
        for item in items:
            grid = Table.grid(padding=(0, 1))
            grid.add_column(width=1)
            grid.add_column(overflow="fold")
            grid.add_row("-", screen.text(item))
            yield grid


def _layer(found: Inspection, place: int, layer: LayerTrace, screen: Screen) -> Iterator[RenderableType]:
    wanted = [unit.unit for unit in found.feature_units if unit.layer == place]
    units = choose_units(layer.order, _UNITS, wanted)
    count = f"{len(units)} of {len(layer.order)} units, from fast to slow"
    yield from _titled(f"{layer.name} ({layer.cell.upper()}): {count}", screen)
    state = next((name for name in ("cell", "hidden") if name in layer.activations), None)
    keeper = next((name for name in KEEPERS if name in layer.activations), None)
    for name in (keeper, state):
        if name is not None and layer.activations[name].shape[1] == len(layer.order):
            yield from _heatmap(found, layer, name, units, screen)
    if layer.half_lives is not None or layer.gates:
        yield ""
        yield _units(found, place, layer, units, screen)


def _heatmap(
    found: Inspection, layer: LayerTrace, name: str, units: Array, screen: Screen
) -> Iterator[RenderableType]:
    left = 6
    room, labels = max(screen.width, _MIN_WIDTH) - left, [screen.sign(label) for label in found.steps.labels]
    letters = all(cell_len(label) == 1 for label in labels)
    count = min(room, len(labels))
    steps = np.arange(count) if letters else np.linspace(0, len(labels) - 1, count).round().astype(int)
    scale = scale_of(layer, name)
    gate = " gate" if name in layer.gates else ""
    which = f"{count} of {counted(len(labels), found.steps.kind)}"
    which = captions.extent(found.steps, count) if letters else which
    low, high = (f"{end:.3g}" for end in scale.ends)
    key = _cells(np.linspace(*scale.ends, 10), scale, screen)
    yield Text.assemble(f"\n{name}{gate}, {which}; {low} ", key, f" {high}")
    axis = "".join(labels[t] for t in steps) if letters else _ends(labels, room)
    yield Text(" " * left + axis, no_wrap=True)
    for unit in units:
        row = Text(set_cell_size(str(unit), left - 1) + " ", no_wrap=True)
        yield row.append_text(_cells(layer.activations[name][steps, unit], scale, screen))


def _ends(labels: Sequence[str], room: int) -> str:
    """Put the first and last labels at the ends of an axis, or the first alone."""
    first, last = labels[0], labels[-1]
    gap = room - cell_len(first) - cell_len(last)
    return f"{first}{' ' * gap}{last}" if gap > 0 else set_cell_size(first, room)


def _cells(values: Array, scale: Scale, screen: Screen) -> Text:
    """Show numbers as colored cells, or as shades."""
    low, high = scale.ends
    if screen.color:
        line = Text()
        for red, green, blue in scale.colors(values).tolist():
            line.append(" ", Style(bgcolor=Color.from_rgb(red, green, blue)))
        return line
    return Text(_levels((values - low) / ((high - low) or 1.0), _SHADES if screen.blocks else _ASCII_SHADES))


def _levels(shares: Array, signs: str) -> str:
    """Return a sign for each share from 0 to 1."""
    places = (np.nan_to_num(shares).clip(0, 1) * len(signs)).astype(int).clip(max=len(signs) - 1)
    return "".join(signs[place] for place in places.tolist())


def _units(found: Inspection, place: int, layer: LayerTrace, units: Array, screen: Screen) -> Table:
    """Tabulate half-life, saturation and tracked features of units."""
    table = _table("unit", *(["half-life"] if layer.half_lives is not None else []))
    for gate in layer.gates:
        table.add_column(screen.text(f"{gate}\nshut/open"), justify="right", overflow="fold")
    table.add_column("tracks", overflow="fold")
    shares, tracked = [layer.saturation(gate) for gate in layer.gates], tracked_features(found, place)
    for unit in units.tolist():
        half = [] if layer.half_lives is None else [screen.text(number(float(layer.half_lives[unit])))]
        saturated = [f"{shut[unit]:.0%}/{open_[unit]:.0%}" for shut, open_ in shares]
        table.add_row(str(unit), *half, *saturated, screen.text(", ".join(tracked.get(unit, ()))))
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _curve(values: Array, axis: str, screen: Screen) -> Iterator[RenderableType]:
    """Show a curve from 0.001 to 1 on a log scale, as wide as the screen."""
    places = np.linspace(0, len(values) - 1, min(max(screen.width, _MIN_WIDTH), len(values)))
    with np.errstate(divide="ignore"):
        shares = 1 + np.log10(values[places.round().astype(int)]) / _DECADES
    yield Text(_levels(shares, _HEIGHTS if screen.blocks else _ASCII_HEIGHTS), no_wrap=True)
    yield f"{axis}; log scale from 0.001 to 1"


def _attribution(by: Attribution, found: Inspection, screen: Screen) -> Iterator[RenderableType]:
    yield from _titled(f"Time steps that influenced the {by.target}", screen)
    table = _table("step", found.steps.kind, "distance", "integrated gradients", "occlusion")
    for step in np.argsort(-np.abs(by.integrated), kind="stable")[:_STEPS].tolist():
        label = screen.sign(found.steps.labels[step])
        far = distance(by, step, len(found.steps))
        table.add_row(str(step + 1), label, far, f"{by.integrated[step]:+.3g}", f"{by.occlusion[step]:+.3g}")
    yield table


def _ablation(found: Ablation, layers: Sequence[LayerTrace], screen: Screen) -> Iterator[RenderableType]:
    whole = f"whole network: {found.loss:.4g} {found.unit}"
    yield from _titled(f"Ablation: loss without a component ({whole})", screen)
    cuts = [cut for group in captions.component_groups(found) for cut in group]
    most = max((abs(cut.loss - found.loss) for cut in cuts), default=0) or 1.0
    names = [screen.text(captions.component_name(cut, layers)) for cut in cuts]
    room = max(screen.width - 24 - max(map(cell_len, names), default=0), 5)
    table = _table("loss", "change")
    table.add_column("ablated", overflow="fold")
    table.add_column("")
    for cut, name in zip(cuts, names, strict=True):
        rise = cut.loss - found.loss
        bar = ("█" if screen.blocks else "#") * round(abs(rise) / most * room)
        table.add_row(f"{cut.loss:.4g}", f"{rise:+.3g}", name, bar)
    yield table
