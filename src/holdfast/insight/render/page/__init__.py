"""Write an inspection as a self-contained HTML page, or a folder with the page and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from holdfast._deprecated import renamed_arguments
from holdfast.files import write_atomic
from holdfast.insight.analysis.results import Inspection
from holdfast.insight.render.page.context import page_context
from holdfast.insight.render.plots import is_ours, write_plots


@renamed_arguments(draw="extra_plots")
def write(
    found: Inspection, folder: Path | str, extra_plots: Callable[[Path], Sequence[Path]] | None = None
) -> Path:
    """Write ``report.html`` and the plots into a folder, and return the path of the page.

    Plots of an earlier inspection that this one does not have are removed.

    Args:
        found: the inspection.
        folder: created if missing.
        extra_plots: writes more plots into the folder.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = set(write_plots(found, folder))
    for old in folder.glob("*.png"):
        if is_ours(old) and old not in written and old.is_file():
            old.unlink()
    if extra_plots is not None:
        extra_plots(folder)
    return write_page(found, folder / "report.html")


def write_page(found: Inspection, path: Path) -> Path:
    """Write an inspection as one HTML file, and return its path.

    The page needs no network, has a light and a dark scheme, and works with mouse, keyboard and
    screen reader. Without JavaScript it shows the same plots and tables. Activations are rounded to
    1/255 of their range. For a large network, the page shows fewer units, to stay below 5 MB, and
    says so.
    """
    files = resources.files(__package__)
    template = (files / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    assets = {name: (files / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js")}
    write_atomic(path, environment.from_string(template).render(page_context(found), **assets))
    return path
