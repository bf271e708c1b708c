"""``holdfast probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import EXPERIMENT, FLAT, Experiment, Given, build
from holdfast.experiments.probes.config import PROBES


def probe(
    *,
    flags: Annotated[Experiment, FLAT] = EXPERIMENT,
    task: str,
    given: Given,
) -> int:
    """Measure how far back cells remember, on long-range tasks and against a memoryless baseline."""
    config = build(PROBES[task], task, given, flags.recipe, Path())
    into = flags.folder(f"probe-{task}")
    from holdfast.experiments.probes import results
    from holdfast.experiments.probes.report import write_probe_report
    from holdfast.experiments.probes.run import RESULT_FILE, run_probe

    with output.results_in(into.folder, RESULT_FILE):
        found = run_probe(config, into=into, progress=True, announce=notice)
    page = write_probe_report(found, into.folder)
    if flags.json:
        output.write_json(found.to_dict())
        return 0
    header, *rows = results.results_table(found)
    output.table(results.title(found), header, rows)
    for sentence in results.sentences(found):
        output.write(sentence)
    output.results_are(into.folder, page)
    return 0
