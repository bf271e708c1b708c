"""What the report of a forecaster adds, and the report of a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast.reporting.comparison import Spread
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.plots import bars, blocks, forecasts
from holdfast.reporting.sections import data_section, metrics_section
from holdfast.tasks.contract import Result
from holdfast.tasks.forecast.metrics import SCOREBOARD
from holdfast.tasks.forecast.plots import window_plots

if TYPE_CHECKING:
    from holdfast.tasks.forecast.task import Forecaster

_EXAMPLES = 3
"""Windows in a report."""


def sections(model: Forecaster, plots: Path) -> list[Section]:
    """Return a section with a few windows, and the best baseline's forecasts of them."""
    assert model.dataset is not None and model.baselines is not None
    name, split = model.dataset.scored
    few = split.select(np.unique(np.linspace(0, len(split) - 1, _EXAMPLES).round().astype(int)))
    baseline, _ = SCOREBOARD.best(SCOREBOARD.metrics[0], model.metrics["baselines"])
    windows = window_plots(few, model.predictions(few), {baseline: model.by_baseline(baseline, few)})
    picture = forecasts(windows, model.config.quantiles, plots / "forecasts.png")
    return [Section("Forecasts", [f"Windows spread evenly over the {name} split."], pictures=[picture])]


def backtest_report(result: Result, title: str, folder: Path, verdict: Sequence[str]) -> Path:
    """Write ``report.html`` with ``plots/`` for a backtest: the means, and each block."""
    metric, name = SCOREBOARD.metric(result["model"]).name, str(result["cell"]).upper()
    rows = {name: result["model"], **result["baselines"]}
    folds = [{name: fold["model"], **fold["baselines"]} for fold in result["folds"]]
    by_block = {row: [fold[row][metric] for fold in folds] for row in rows}
    means = {row: Spread(metrics[metric]) for row, metrics in rows.items()}
    means[name] = Spread(means[name].mean, result["spread"][metric])
    begins = [fold["from"] for fold in result["folds"]]
    pictures = [
        bars(means, [name], metric, "all blocks", folder / "plots" / "backtest.png"),
        blocks(by_block, [name], metric, begins, folder / "plots" / "blocks.png"),
    ]
    lines = [["from", *rows], *([b, *(f"{by_block[r][k]:.4g}" for r in rows)] for k, b in enumerate(begins))]
    words = ["The network was trained again before each block, on all rows before it."]
    page = [
        Section("Result", verdict, metric_table(rows), [name], pictures),
        Section(f"{metric} of each block", words, lines),
        data_section(result["notes"]),
        metrics_section(SCOREBOARD.known(result["model"])),
    ]
    return write_report(folder / "report.html", title, page)
