"""Charts as SVG that stands in the page: its colours are the page's, and nothing in it points elsewhere."""

from __future__ import annotations

import io
import re

from markupsafe import Markup

from holdfast.insight.render.plots import STYLE, Painter
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, sketch

_INK = "#010203"  # what matplotlib draws in black by default, to be told from all else
_VARIABLES = {
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREY: "var(--grey)",
    BLACK: "currentColor",
    _INK: "currentColor",
}
_INKED = {
    f"{name}color": _INK for name in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.")
}
_LEFT_OUT = (
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<metadata>.*?</metadata>", r"<!--.*?-->", r'\sxmlns(:\w+)?="[^"]*"',
    r'(?<=<svg)(\s(width|height|version)="[^"]*")+', r'(?<=<g) id="(?!dots-)[^"]*"',
)  # fmt: skip


def drawing(painter: Painter, name: str, words: str) -> Markup:
    """A painted figure as SVG for the inside of a page.

    Args:
        painter: size and how it is painted.
        name: one that no other drawing of the page has.
        words: what is seen, for those who do not see it.
    """
    size, paint = painter
    out = io.BytesIO()
    with sketch(size, {**STYLE, **_INKED, "svg.hashsalt": name}) as figure:
        paint(figure)
        figure.savefig(out, format="svg", transparent=True)
    opening = Markup('<svg role="img" aria-label="{}" style="width: {}rem"').format(
        words, round(size[0] * 5.4)
    )
    return Markup(_bare(out.getvalue().decode()).replace("<svg", opening, 1))  # matplotlib escapes texts


def _bare(svg: str) -> str:
    for pattern in _LEFT_OUT:
        svg = re.sub(pattern, "", svg, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": {variable}")
    return svg.strip()
