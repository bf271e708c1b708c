"""``holdfast demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice


def demo(
    task: Annotated[str, Parameter(help="Task to show.")] = "forecast",
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/demo-TASK when not given.")
    ] = None,
) -> int:
    """Train, evaluate and use a model on data that needs no download."""
    from holdfast.demos import demo as run

    found = run(task, out or Path("runs") / f"demo-{task}", notice)
    output.notes(found.comparison.notes)
    output.comparison(task, found.comparison, f"{task} on {found.data.name}")
    output.write(f"Open {found.report} for the report. What to do next:")
    for command in found.next:
        output.write(f"  {command}")
    return 0
