"""The pages that every task has alike: the result of a run, and a comparison of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.reporting import plots
from holdfast.reporting.comparison import Comparison, Spread
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.summary import VARIANTS, Measure, epochs_done, weights_kept
from holdfast.training.history import History

Result = Mapping[str, Any]


def model_name(result: Result) -> str:
    """The model's name in tables: its cell's."""
    return str(result["cell"]).upper()


def result_section(
    result: Result, history: History, measure: Measure, words: Sequence[str], folder: Path
) -> Section:
    """The figures of a run that was just trained, with its learning curves, drawn into ``folder``."""
    name, metric = model_name(result), measure.metric
    others = {f"{name} {how}": result[key] for key, how in VARIANTS.items() if key in result}
    named = {name: result["model"], **others, **result["baselines"]}
    values = {row: (figures[metric], 0.0) for row, figures in named.items()}
    where = f"the {result['part']} part"
    drawn = [
        plots.bars(values, [name, *others], metric, where, folder / "baselines.png", higher=measure.higher),
        plots.curves(history.epochs, "valid_loss", history.best_epoch, folder / "learning.png"),
    ]
    if found := result.get("watched", {}).get("gradients"):
        drawn.append(plots.gradients(found, folder / "gradients.png"))
    return Section("Result", [*words, facts(result, measure)], metric_table(named), [name, *others], drawn)


def facts(result: Result, measure: Measure) -> str:
    """What was trained, on how much, and how long."""
    return (
        f"{result['parameters']:,} parameters; {epochs_done(result)} in {result['seconds']:.1f} s, "
        f"{weights_kept(result)}; {result['training_size']:,} training {measure.examples}, "
        f"seed {result['seed']}."
    )


def data_section(notes: Sequence[str]) -> Section:
    """What the user should know of the data."""
    return Section("Data", notes or ["Nothing to remark."])


def meanings_section(figures: Mapping[str, float], meanings: Mapping[str, str], words: str = "") -> Section:
    """What the metrics of a table say."""
    known = [[name, meanings[name]] for name in figures if name in meanings]
    return Section("What the figures mean", [words] if words else [], [["", ""], *known], prose=True)


def comparison_report(
    comparison: Comparison,
    title: str,
    folder: Path,
    measure: Measure,
    words: Sequence[str],
    *more: Section,
) -> Path:
    """``report.html`` with ``plots/`` of a comparison of cells.

    Args:
        comparison: what was found.
        title: of the page.
        folder: where it is written.
        measure: the metric that is drawn.
        words: the conclusions.
        more: sections after the tables.
    """
    metric, cells = measure.metric, comparison.cells
    values = {cell.upper(): _pair(comparison.metric(cell, metric)) for cell in cells}
    baselines = {name: (scores[metric], 0.0) for name, scores in comparison.baselines.items()}
    figures = {
        f"{comparison.part} {metric}": {c: _pair(comparison.metric(c, metric)) for c in cells},
        "parameters": {c: _pair(comparison.spread(c, lambda r: r["parameters"])) for c in cells},
        "seconds/epoch": {c: _pair(comparison.spread(c, lambda r: r["seconds_per_epoch"])) for c in cells},
        "valid - train loss": {c: _pair(comparison.gap(c)) for c in cells},
    }
    pictures, where = folder / "plots", f"the {comparison.part} part"
    drawn = [
        plots.bars(
            values | baselines,
            list(values),
            metric,
            where,
            pictures / "comparison.png",
            higher=measure.higher,
        ),
        plots.by_cell(figures, pictures / "cells.png"),
    ]
    sections = [
        Section("Cells and baselines", words, pictures=drawn),
        Section("Figures", [], comparison_table(comparison), [c.upper() for c in cells]),
        Section("Baselines", [], metric_table(comparison.baselines)),
        *more,
    ]
    return write_report(folder / "report.html", title, sections)


def _pair(spread: Spread) -> tuple[float, float]:
    return spread.mean, spread.std


def comparison_table(comparison: Comparison) -> list[list[str]]:
    """A header and a row for each cell: metrics (mean ± spread over seeds), parameters, time, gap."""
    metrics = list(comparison.runs[0]["model"])
    header = ["", *metrics, "parameters", "s/epoch", "valid - train loss"]
    rows = [
        [
            cell.upper(),
            *(str(comparison.metric(cell, m)) for m in metrics),
            f"{comparison.spread(cell, lambda r: r['parameters']).mean:,.0f}",
            str(comparison.spread(cell, lambda r: r["seconds_per_epoch"])),
            str(comparison.gap(cell)),
        ]
        for cell in comparison.cells
    ]
    return [header, *rows]
