"""What ``holdfast claims`` does, once its arguments are read."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.cli import output as show
from holdfast.cli.commands.verbs import Output, both_given, kept, nothing_half_written, tell_notes
from holdfast.cli.errors import notice
from holdfast.cli.task_flags import build
from holdfast.files import DataFiles, OutputFolder
from holdfast.tasks.registry import part


def claims(
    task: str,
    given: Mapping[str, Any],
    files: DataFiles,
    asked: tuple[Sequence[str], int, Sequence[float]],
    json: bool,
    output: Output,
) -> int:
    """Train in pairs, test the claims, and tell the verdicts; ``asked`` are cells, seeds and fractions."""
    from holdfast.experiments.claims.run import ExperimentDesign, run_claims
    from holdfast.experiments.claims.summary import claims_to_dict
    from holdfast.experiments.compare import COMPARISON_FILE, RunOptions

    design = ExperimentDesign(*asked)
    if output.resume and output.overwrite:
        raise both_given("overwrite")
    config = build(part(task, "config"), task, given, output.recipe, files.data)
    folder = output.out or Path("runs") / f"claims-{files.data.stem}"
    into = OutputFolder(folder, output.overwrite, output.resume)
    options = RunOptions(progress=sys.stderr.isatty(), announce=notice)
    on = "; the same command with --resume goes on"
    with nothing_half_written(folder), kept(folder / COMPARISON_FILE, "runs", on):
        found, tested = run_claims(task, config, files, into, design, options)
    from holdfast.experiments.claims.report import write_claims_report

    page = write_claims_report(
        found, tested, f"LSTM and GRU on {files.data.name}: the textbook's claims", folder
    )
    tell_notes(found.notes)
    if json:
        show.write_json(claims_to_dict(found, tested))
        return 0
    _show(found, tested, f"{task}: LSTM and GRU on {files.data.name}")
    show.write(f"The results are in {folder}; open {page} for the pictures.")
    return 0


def _show(found: Any, tested: Sequence[Any], title: str) -> None:
    from holdfast.experiments.claims.summary import (
        EFFECTS_CAPTION,
        describe_method,
        fraction_effect_table,
        fraction_table,
        network_table,
        summarize_verdicts,
        verdict_sentence,
        verdict_table,
    )
    from holdfast.reporting.html import metric_table

    tables = {
        title: network_table(found),
        "shares of the training part (mean ± spread over the seeds)": fraction_table(found),
        EFFECTS_CAPTION: fraction_effect_table(found),
        "the simple methods": metric_table(found.baselines),
        "verdicts": verdict_table(tested),
    }
    for name, (header, *rows) in tables.items():
        show.table(name, header, rows)
    for text in (*map(verdict_sentence, tested), *describe_method(tested), *summarize_verdicts(tested)):
        show.write(text)
