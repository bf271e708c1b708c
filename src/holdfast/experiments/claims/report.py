"""The HTML report and the plots of the claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from holdfast._json import JsonMapping
from holdfast.experiments.claims import summary
from holdfast.experiments.claims.verdicts import Claim, PairedRuns, Scale
from holdfast.reporting import plots
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.html import Section, metric_table, write_report
from holdfast.reporting.sections import data_section, metrics_section
from holdfast.tasks.registry import task_class

_COLORS = {"holds": plots.BLUE, "does not hold": plots.ORANGE, "not decided": plots.GREY}
_MARKERS = {"holds": "o", "does not hold": "X", "not decided": "d"}
_LINES = {"lstm": (plots.BLACK, "-"), "gru": (plots.BLUE, "-"), "rnn": (plots.GREY, "-")}
_MATCHED = {"gru": (plots.ORANGE, "--"), "rnn": (plots.GREY, ":")}


def write_claims_report(found: Comparison, claims: Sequence[Claim], title: str, folder: Path) -> Path:
    """Write ``report.html`` and ``plots/``, and return the report's path."""
    images = folder / "plots"
    plotted = [_plot_effects(claims, images / "claims.png"), _plot_fractions(found, images / "fractions.png")]
    effects = summary.fraction_effect_table(found)
    sections = [
        Section("Claims", summary.summarize_verdicts(claims), pictures=plotted[:1]),
        Section("Each test", [*map(summary.verdict_sentence, claims)]),
        Section("How they were tested", summary.describe_method(claims), summary.verdict_table(claims)),
        Section("Less data", [summary.EFFECTS_CAPTION], effects, pictures=plotted[1:]),
        Section("Metrics", [], summary.fraction_table(found)),
        Section("Networks", [], summary.network_table(found)),
        Section("Baselines, on all data", [], metric_table(found.baselines)),
        data_section(found.notes),
        metrics_section(task_class(found.task).scoreboard.known(found.runs[0]["model"])),
    ]
    return write_report(folder / "report.html", title, sections)


# -- plots -----------------------------------------------------------------------------------------


def _plot_effects(claims: Sequence[Claim], path: Path) -> Path:
    """Plot every tested effect with its interval, and the bounds from which on it matters."""
    tested = [claim for claim in claims if claim.finding is not None]
    groups = {scale: [claim for claim in tested if claim.scale == scale] for scale in get_args(Scale)}
    kept = {scale: group for scale, group in groups.items() if group}
    size = 1.2 + 0.34 * sum(map(len, kept.values())) + 0.6 * len(kept)
    with plots.saved_figure(path, (11, size)) as figure:
        heights = [len(group) + 1 for group in kept.values()]
        panels = figure.subplots(max(1, len(kept)), 1, squeeze=False, height_ratios=heights or [1])[:, 0]
        for ax, (scale, group) in zip(panels, kept.items(), strict=False):
            _forest(ax, scale, group)
        for decision, marker in _MARKERS.items():
            panels[0].plot([], [], marker, color=_COLORS[decision], label=decision)
        panels[0].plot([], [], "|", color=plots.BLACK, ms=12, label="smallest effect that matters")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
    return path


def _forest(ax: Axes, scale: Scale, claims: Sequence[Claim]) -> None:
    for row, claim in enumerate(claims):
        assert claim.finding is not None and claim.bounds is not None
        found, color = claim.finding, _COLORS[claim.decision]
        ax.plot([claim.displayed(found.low), claim.displayed(found.high)], [row, row], color=color, lw=2)
        ax.plot([claim.displayed(found.effect)], [row], _MARKERS[claim.decision], color=color, ms=7)
        for bound in filter(isfinite, claim.bounds):
            ax.plot([claim.displayed(bound)], [row], "|", color=plots.BLACK, ms=12)
    labels = [f"{c.measured}\n{c.one.upper()} against {c.other.upper()}, equal {c.equal}" for c in claims]
    ax.set_yticks(range(len(claims)), labels)
    ax.invert_yaxis()
    ax.margins(y=0.08)
    if scale == "ratio":
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
        ax.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
        ax.axvline(1, color=plots.GREY, lw=0.8)
        ax.set_title("ratio to the other network, with 95% intervals")
    else:
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.axvline(0, color=plots.GREY, lw=0.8)
        ax.set_title("difference as a share of the other network's loss, with 95% intervals")


def _plot_fractions(found: Comparison, path: Path) -> Path:
    """Plot validation loss and gap against the share of the data, a line for each network."""
    shares = PairedRuns(found).shares
    panels: dict[str, Callable[[JsonMapping], float]] = {
        "validation loss": lambda run: run["valid_loss"],
        "validation minus training loss": lambda run: run["valid_loss"] - run["train_loss"],
    }
    with plots.saved_figure(path, (9, 3.4)) as figure:
        axes = figure.subplots(1, len(panels))
        for ax, (title, value) in zip(axes, panels.items(), strict=True):
            for name, marker in zip(found.cells, cycle("os^Dv"), strict=False):
                color, line = _LINES[name] if name in _LINES else _MATCHED[name.partition("-")[0]]
                spreads = [found.spread(name, value, share) for share in shares]
                means, deviations = [s.mean for s in spreads], [s.std for s in spreads]
                look: dict[str, Any] = {"ls": line, "marker": marker, "color": color, "label": name.upper()}
                ax.errorbar(shares, means, deviations, capsize=2, **look)
            ax.set_xscale("log")
            ax.set_xticks(shares, [f"{100 * share:.3g}%" for share in shares])
            ax.minorticks_off()
            ax.set(xlabel="share of the training split", title=title)
        axes[0].legend()
    return path
