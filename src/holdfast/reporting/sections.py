"""Sections of every report: the result, the data, the metrics, and a comparison of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast._json import JsonMapping
from holdfast.reporting import plots
from holdfast.reporting.comparison import Comparison, Spread
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.summary import VARIANTS, epochs_done, weights_kept
from holdfast.tasks.metrics import Metric, Scoreboard
from holdfast.training.history import History

Result = JsonMapping


def result_section(
    result: Result, history: History, board: Scoreboard, sentences: Sequence[str], folder: Path
) -> Section:
    """Return the metrics of a new run, with its plots in ``folder``."""
    name, metric = str(result["cell"]).upper(), board.metric(result["model"])
    others = {f"{name} {how}": result[key] for key, how in VARIANTS.items() if key in result}
    named = {name: result["model"], **others, **result["baselines"]}
    values = {row: Spread(metrics[metric.name]) for row, metrics in named.items()}
    own, where = [name, *others], f"the {result['split']} split"
    pictures = [
        plots.bars(values, own, metric.name, where, folder / "baselines.png", higher=metric.higher),
        plots.curves(history.epochs, "valid_loss", history.best_epoch, folder / "learning.png"),
    ]
    if measured := result.get("monitor", {}).get("gradients"):
        pictures.append(plots.gradients(measured, folder / "gradients.png"))
    facts = (
        f"{result['parameters']:,} parameters; {epochs_done(result)} in {result['seconds']:.1f} s, "
        f"{weights_kept(result)}; {result['training_size']:,} training {board.examples}, seed {result['seed']}."
    )
    return Section("Result", [*sentences, facts], metric_table(named), own, pictures)


def data_section(notes: Sequence[str]) -> Section:
    """Return what the user should know about the data, as sentences."""
    sentences = [f"{note[:1].upper()}{note[1:].removesuffix('.')}." for note in notes]
    return Section("Data", sentences or ["There is nothing to remark."])


def metrics_section(metrics: Sequence[Metric]) -> Section:
    """Return what each metric of a table means, and which way is better."""
    ways = {"lower": "lower is better", "higher": "higher is better", "none": ""}
    rows = [[metric.name, metric.meaning, ways[metric.direction]] for metric in metrics]
    return Section("What the metrics mean", [], [["", "", ""], *rows], prose=True)


def comparison_report(
    comparison: Comparison, title: str, folder: Path, board: Scoreboard, sentences: Sequence[str]
) -> Path:
    """Write ``report.html`` with ``plots/`` for a comparison of cells.

    Args:
        comparison: the runs.
        title: of the page.
        folder: where the page is written.
        board: the metrics of the task.
        sentences: the conclusions.
    """
    model = comparison.runs[0]["model"]
    metric, cells = board.metric(model), comparison.cells
    name, where, pictures = metric.name, f"the {comparison.split} split", folder / "plots"
    own = {cell.upper(): comparison.metric(cell, name) for cell in cells}
    baselines = {baseline: Spread(values[name]) for baseline, values in comparison.baselines.items()}
    panels = {
        f"{comparison.split} {name}": {c: comparison.metric(c, name) for c in cells},
        "parameters": {c: comparison.spread(c, lambda r: r["parameters"]) for c in cells},
        "seconds/epoch": {c: comparison.spread(c, lambda r: r["seconds_per_epoch"]) for c in cells},
        "valid - train loss": {c: comparison.gap(c) for c in cells},
    }
    bars = pictures / "comparison.png"
    images = [
        plots.bars(own | baselines, list(own), name, where, bars, higher=metric.higher),
        plots.by_cell(panels, pictures / "cells.png"),
    ]
    sections = [
        Section("Cells and baselines", sentences, pictures=images),
        Section("Metrics", [], comparison_table(comparison), [c.upper() for c in cells]),
        Section("Baselines", [], metric_table(comparison.baselines)),
        data_section(comparison.notes),
        metrics_section(board.known(model)),
    ]
    return write_report(folder / "report.html", title, sections)


def comparison_table(comparison: Comparison) -> list[list[str]]:
    """Return a header, and a row for each cell: metrics (mean ± spread), parameters, time, gap."""
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
