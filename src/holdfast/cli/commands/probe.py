"""What ``holdfast probe`` does, once its arguments are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.cli import output as show
from holdfast.cli.commands.verbs import Output, both_given, kept, nothing_half_written
from holdfast.cli.errors import notice
from holdfast.cli.task_flags import build
from holdfast.experiments.probes.config import PROBES
from holdfast.files import OutputFolder


def probe(name: str, given: Mapping[str, Any], output: Output, json: bool) -> int:
    """Train the cells on a probe, and tell what they remember as a table, in words, and as a folder with a page."""
    if output.resume and output.overwrite:
        raise both_given("overwrite")
    config = build(PROBES[name], name, given, output.recipe, Path())
    folder = output.out or Path("runs") / f"probe-{name}"
    from holdfast.experiments.probes import results
    from holdfast.experiments.probes.run import RESULT_FILE, run_probe

    into = OutputFolder(folder, output.overwrite, output.resume)
    with (
        nothing_half_written(folder),
        kept(folder / RESULT_FILE, "runs", "; the same command with --resume goes on"),
    ):
        found = run_probe(config, into=into, progress=True, announce=notice)
    from holdfast.experiments.probes.report import write_probe_report

    page = write_probe_report(found, folder)
    if json:
        show.write_json(found.to_dict())
        return 0
    header, *rows = results.results_table(found)
    show.table(results.title(found), header, rows)
    for sentence in (results.criterion_sentence(found), *results.verdict_sentences(found)):
        show.write(sentence)
    show.write(f"The results are in {folder}; open {page} for the pictures.")
    return 0
