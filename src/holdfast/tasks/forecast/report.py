"""Pictures and pages of forecasts: a training run, a comparison of cells, a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.insight import plots
from holdfast.insight.comparison import SMALL, Comparison, Spread
from holdfast.insight.report import Section, metric_table, write_report
from holdfast.insight.words import METRICS, best_baseline, claims, verdict
from holdfast.tasks.forecast.pictures import draw_windows
from holdfast.tasks.forecast.rows import Part

if TYPE_CHECKING:
    from holdfast.tasks.forecast.forecaster import Forecaster

Array = np.ndarray
EXAMPLES = 3


def run_report(forecaster: Forecaster, folder: Path) -> Path:
    """``report.html`` with ``plots/`` of a run that was just trained: figures, learning curves, example forecasts."""
    result, history = forecaster.metrics, forecaster.history
    assert history is not None and forecaster.prepared is not None
    pictures = folder / "plots"
    part = forecaster.prepared.test or forecaster.prepared.valid
    metric = "mae"
    values = {name: (scores[metric], 0.0) for name, scores in _named(result).items()}
    drawn = [
        plots.bars(
            values, [_model_name(result)], metric, f"the {result['part']} part", pictures / "baselines.png"
        ),
        plots.curves(history.epochs, "valid_loss", history.best_epoch, pictures / "learning.png"),
    ]
    examples = plots.forecasts(
        _examples(forecaster, part), forecaster.config.quantiles, pictures / "forecasts.png"
    )
    sections = [
        Section(
            "Result",
            [*verdict(result), _facts(result)],
            metric_table(_named(result)),
            [_model_name(result)],
            drawn,
        ),
        Section(
            "Forecasts",
            [f"Windows of the {result['part']} part, spread evenly over it."],
            pictures=[examples],
        ),
        Section("Data", result["notes"] or ["Nothing to remark."]),
        _meanings(result["model"]),
    ]
    title = f"Forecast of {', '.join(forecaster.config.data.target)}, {forecaster.config.horizon} steps ahead"
    return write_report(folder / "report.html", title, sections)


def _meanings(figures: dict[str, float]) -> Section:
    known = [[name, METRICS[name]] for name in figures if name in METRICS]
    return Section(
        "What the figures mean", ["Lower is better, but for coverage and direction."], [["", ""], *known]
    )


def _model_name(result: dict[str, Any]) -> str:
    return str(result["cell"]).upper()


def _named(result: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The model under its cell's name, and the baselines."""
    return {_model_name(result): result["model"], **result["baselines"]}


def _facts(result: dict[str, Any]) -> str:
    return (
        f"{result['parameters']:,} parameters; {result['epochs']} epochs in {result['seconds']:.1f} s, "
        f"the best was epoch {result['best_epoch']}; {result['training_windows']:,} training windows, "
        f"seed {result['seed']}."
    )


def _examples(forecaster: Forecaster, part: Part) -> list[plots.Window]:
    """A few windows with the best baseline beside."""
    assert forecaster.baselines is not None
    chosen = np.unique(np.linspace(0, len(part) - 1, EXAMPLES).round().astype(int)).tolist()
    few = Part(part.rows, part.origins[chosen], part.series[chosen], part.horizon)
    name, _ = best_baseline(forecaster.metrics["baselines"], "mae")
    return draw_windows(
        few, forecaster.forecast(few), {n: f for n, f in forecaster.baselines.each(few) if n == name}
    )


def backtest_report(result: dict[str, Any], title: str, folder: Path) -> Path:
    """``report.html`` with ``plots/`` of a walk forward: means over the blocks, and block by block."""
    metric, name = "mae", _model_name(result)
    rows = {name: result["model"], **result["baselines"]}
    by_block = {row: [_figures(fold, row, name)[metric] for fold in result["folds"]] for row in rows}
    means = {row: (figures[metric], 0.0) for row, figures in rows.items()}
    means[name] = (means[name][0], result["spread"][metric])
    begins = [fold["from"] for fold in result["folds"]]
    pictures = folder / "plots"
    drawn = [
        plots.bars(means, [name], metric, "all blocks", pictures / "backtest.png"),
        plots.blocks(by_block, [name], metric, begins, pictures / "blocks.png"),
    ]
    blocks = [["from", *rows], *([b, *(f"{by_block[r][k]:.4g}" for r in rows)] for k, b in enumerate(begins))]
    sections = [
        Section("Result", verdict(result), metric_table(rows), [name], drawn),
        Section(
            f"{metric} of each block", ["Trained anew before each block, on all rows before it."], blocks
        ),
        Section("Data", result["notes"] or ["Nothing to remark."]),
        _meanings(result["model"]),
    ]
    return write_report(folder / "report.html", title, sections)


def _figures(fold: dict[str, Any], row: str, own: str) -> dict[str, float]:
    figures: dict[str, float] = fold["model"] if row == own else fold["baselines"][row]
    return figures


def comparison_report(comparison: Comparison, title: str, folder: Path, more: Sequence[Section] = ()) -> Path:
    """``report.html`` with ``plots/`` of a comparison of cells."""
    metric = "mae"
    values = {cell.upper(): _pair(comparison.metric(cell, metric)) for cell in comparison.cells}
    baselines = {name: (scores[metric], 0.0) for name, scores in comparison.baselines.items()}
    figures = {
        f"{comparison.part} {metric}": {c: _pair(comparison.metric(c, metric)) for c in comparison.cells},
        "parameters": {c: _pair(comparison.spread(c, lambda r: r["parameters"])) for c in comparison.cells},
        "seconds/epoch": {
            c: _pair(comparison.spread(c, lambda r: r["seconds_per_epoch"])) for c in comparison.cells
        },
        "valid/train - 1": {c: _pair(comparison.gap(c)) for c in comparison.cells},
    }
    plots_folder = folder / "plots"
    drawn = [
        plots.bars(
            values | baselines,
            list(values),
            metric,
            f"the {comparison.part} part",
            plots_folder / "comparison.png",
        ),
        plots.by_cell(figures, plots_folder / "cells.png"),
    ]
    sections = [
        Section("Cells and baselines", claims_of(comparison), pictures=drawn),
        Section("Figures", [], comparison_table(comparison), [c.upper() for c in comparison.cells]),
        Section("Baselines", [], metric_table(comparison.baselines)),
        *more,
        Section("Data", comparison.notes or ["Nothing to remark."]),
        _meanings(comparison.runs[0]["model"]),
    ]
    return write_report(folder / "report.html", title, sections)


def _pair(spread: Spread) -> tuple[float, float]:
    return spread.mean, spread.std


def claims_of(comparison: Comparison) -> list[str]:
    """The textbook's claims, with the small-data one where it was tried."""
    tried = any(run["share"] == SMALL for run in comparison.runs)
    return claims(comparison, small=SMALL if tried else None)


def comparison_table(comparison: Comparison) -> list[list[str]]:
    """A header and a row for each cell: metrics (mean ± spread over seeds), parameters, time, gap."""
    metrics = list(comparison.runs[0]["model"])
    header = ["", *metrics, "parameters", "s/epoch", "valid/train - 1"]
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
