"""Pages of forecasts: a training run, and a walk forward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from holdfast.reporting import plots
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.sections import data_section, metrics_section, result_section
from holdfast.tasks.forecast.plots import draw_windows
from holdfast.tasks.forecast.summary import MEASURE, verdict
from holdfast.tasks.forecast.task import Forecaster
from holdfast.tasks.forecast.windows import Part

EXAMPLES = 3


def run_report(forecaster: Forecaster, folder: Path) -> Path:
    """``report.html`` with ``plots/`` of a run that was just trained: figures, learning curves, example forecasts."""
    result, history = forecaster.metrics, forecaster.history
    assert history is not None and forecaster.prepared is not None
    pictures = folder / "plots"
    part = forecaster.prepared.test or forecaster.prepared.valid
    examples = plots.forecasts(
        _examples(forecaster, part), forecaster.config.quantiles, pictures / "forecasts.png"
    )
    words = f"Windows of the {result['split']} split, spread evenly over it."
    sections = [
        result_section(result, history, forecaster.scoreboard, verdict(result), pictures),
        Section("Forecasts", [words], pictures=[examples]),
        data_section(result["notes"]),
        metrics_section(forecaster.scoreboard.known(result["model"])),
    ]
    title = f"Forecast of {', '.join(forecaster.config.data.target)}, {forecaster.config.horizon} steps ahead"
    return write_report(folder / "report.html", title, sections)


def _examples(forecaster: Forecaster, part: Part) -> list[plots.Window]:
    """A few windows with the best baseline beside."""
    assert forecaster.baselines is not None
    chosen = np.unique(np.linspace(0, len(part) - 1, EXAMPLES).round().astype(int)).tolist()
    few = Part(part.rows, part.origins[chosen], part.series[chosen], part.horizon)
    name, _ = MEASURE.best(forecaster.metrics["baselines"])
    return draw_windows(
        few, forecaster.forecast(few), {n: f for n, f in forecaster.baselines.each(few) if n == name}
    )


def backtest_report(result: dict[str, Any], title: str, folder: Path) -> Path:
    """``report.html`` with ``plots/`` of a walk forward: means over the blocks, and block by block."""
    metric, name = MEASURE.metric, str(result["cell"]).upper()
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
        data_section(result["notes"]),
        metrics_section(Forecaster.scoreboard.known(result["model"])),
    ]
    return write_report(folder / "report.html", title, sections)


def _figures(fold: dict[str, Any], row: str, own: str) -> dict[str, float]:
    figures: dict[str, float] = fold["model"] if row == own else fold["baselines"][row]
    return figures
