"""An inspection as one HTML file that asks nothing of the network."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from holdfast.files import write_atomic
from holdfast.insight.analysis.results import Inspection
from holdfast.insight.render.page.context import content


def write_page(found: Inspection, path: Path) -> Path:
    """Write an inspection as a page that opens from disk, in light and dark, by mouse, keyboard and screen reader.

    Without JavaScript it has the same pictures and tables, and no interaction. Numbers of activations are rounded
    to a 255th of their range; a large network's units are thinned so that the file stays below 5 MB, and the page
    says so.

    Args:
        found: the inspection.
        path: of the HTML file.

    Returns:
        The path.
    """
    files = resources.files(__package__)
    template = (files / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    assets = {name: (files / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    write_atomic(path, environment.from_string(template).render(content(found), **assets))
    return path
