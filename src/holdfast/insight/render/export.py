"""An inspection as a folder: ``report.html``, which stands alone, and the same as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast.insight.analysis.results import Inspection
from holdfast.insight.render.page import write_page
from holdfast.insight.render.plots import is_ours, write_pictures


def write(
    found: Inspection, folder: Path | str, draw: Callable[[Path], Sequence[Path]] | None = None
) -> Path:
    """Write the page and the pictures, with those that ``draw`` adds; gives the page's path.

    Pictures of an earlier inspection that this one has none of are removed: a layer or a measurement may be gone.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = set(write_pictures(found, folder))
    for old in folder.glob("*.png"):
        if is_ours(old) and old not in written and old.is_file():
            old.unlink()
    if draw is not None:
        draw(folder)
    return write_page(found, folder / "report.html")
