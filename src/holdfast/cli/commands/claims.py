"""``holdfast claims``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from holdfast.cli import output
from holdfast.cli.errors import notice
from holdfast.cli.params import (
    EXPERIMENT,
    FLAT,
    NO_FILES,
    Cells,
    Experiment,
    Given,
    SplitFiles,
    build,
    several,
    whole,
)
from holdfast.files import DataFiles
from holdfast.tasks.registry import settings_class


def claims(
    data: Path,
    /,
    *,
    own: Annotated[SplitFiles, FLAT] = NO_FILES,
    cells: Cells = ("lstm", "gru"),
    seeds: Annotated[int, whole("Pairs of runs.")] = 5,
    fractions: Annotated[
        tuple[float, ...],
        several(
            "Fractions of the training split to train on. 1 must be one of them.",
            lambda values: ",".join(f"{value:g}" for value in values),
        ),
    ] = (0.05, 0.1, 0.25, 0.5, 1.0),
    flags: Annotated[Experiment, FLAT] = EXPERIMENT,
    task: str,
    given: Given,
) -> int:
    """Test the textbook claims about LSTM and GRU on your data: size, speed, overfitting, memory."""
    from holdfast.experiments.claims.report import write_claims_report
    from holdfast.experiments.claims.run import ExperimentDesign, run_claims
    from holdfast.experiments.claims.summary import claims_to_dict
    from holdfast.experiments.compare import COMPARISON_FILE, RunOptions

    design = ExperimentDesign(cells, seeds, fractions)
    config = build(settings_class(task, "config"), task, given, flags.recipe, data)
    into = flags.folder(f"claims-{data.stem}")
    options = RunOptions(progress=sys.stderr.isatty(), announce=notice)
    files = DataFiles(data, own.valid, own.test)
    with output.results_in(into.folder, COMPARISON_FILE):
        found, tested = run_claims(task, config, files, into, design, options)
    page = write_claims_report(
        found, tested, f"LSTM and GRU on {data.name}: the textbook's claims", into.folder
    )
    output.notes(found.notes)
    if flags.json:
        output.write_json(claims_to_dict(found, tested))
        return 0
    _show(found, tested, f"{task}: LSTM and GRU on {data.name}")
    output.results_are(into.folder, page)
    return 0


def _show(found: Any, tested: Sequence[Any], title: str) -> None:
    from holdfast.experiments.claims import summary
    from holdfast.reporting.html import metric_table

    tables = {
        title: summary.network_table(found),
        "fractions of the training split (mean ± spread over the seeds)": summary.fraction_table(found),
        summary.EFFECTS_CAPTION: summary.fraction_effect_table(found),
        "baselines": metric_table(found.baselines),
        "verdicts": summary.verdict_table(tested),
    }
    for name, (header, *rows) in tables.items():
        output.table(name, header, rows)
    verdicts = map(summary.verdict_sentence, tested)
    for text in (*verdicts, *summary.describe_method(tested), *summary.summarize_verdicts(tested)):
        output.write(text)
