"""``holdfast probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import FLAT, NEW, Earlier, Given, Json, Recipe, build
from holdfast.experiments.probes.config import PROBES
from holdfast.files import OutputFolder


def probe(
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/probe-NAME when not given.")
    ] = None,
    recipe: Recipe = None,
    earlier: Annotated[Earlier, FLAT] = NEW,
    json: Json = False,
    task: str,
    given: Given,
) -> int:
    """Measure how far back cells remember, on long-range tasks and against a memoryless baseline."""
    earlier.check()
    config = build(PROBES[task], task, given, recipe, Path())
    folder = out or Path("runs") / f"probe-{task}"
    from holdfast.experiments.probes import results
    from holdfast.experiments.probes.report import write_probe_report
    from holdfast.experiments.probes.run import RESULT_FILE, run_probe

    into = OutputFolder(folder, earlier.overwrite, earlier.resume)
    with output.results_in(folder, RESULT_FILE):
        found = run_probe(config, into=into, progress=True, announce=notice)
    page = write_probe_report(found, folder)
    if json:
        output.write_json(found.to_dict())
        return 0
    header, *rows = results.results_table(found)
    output.table(results.title(found), header, rows)
    for sentence in results.sentences(found):
        output.write(sentence)
    output.results_are(folder, page)
    return 0
