"""The page of the claims: verdicts, how they were reached, and the figures beneath, as HTML and PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter

from holdfast.experiments.claims.summary import fraction_effects, method, sentence, summary, table
from holdfast.experiments.claims.verdicts import MEMORY, Claim, PairedRuns, Scale, network_label
from holdfast.reporting import plots
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.html import Section, metric_table, write_report

COLOURS = {"holds": plots.BLUE, "does not hold": plots.ORANGE, "not decided": plots.GREY}
_MARKERS = {"holds": "o", "does not hold": "X", "not decided": "d"}
LINES = {"lstm": (plots.BLACK, "-"), "gru": (plots.BLUE, "-"), "rnn": (plots.GREY, "-")}
_MATCHED = {"gru": (plots.ORANGE, "--"), "rnn": (plots.GREY, ":")}

EFFECTS_CAPTION = (
    "GRU less LSTM, as a share of the LSTM's validation loss, with 95 % intervals over the seeds:"
)

Run = Mapping[str, Any]


def claims_report(
    found: Comparison, claims: Sequence[Claim], title: str, folder: Path, *more: Section
) -> Path:
    """``report.html`` with ``plots/`` of the claims, and ``more`` sections at its end."""
    pictures = folder / "plots"
    drawn = [effects(claims, pictures / "claims.png"), by_fraction(found, pictures / "fractions.png")]
    sections = [
        Section("Claims", summary(claims), pictures=drawn[:1]),
        Section("Each test", [*map(sentence, claims)]),
        Section("How they were tested", method(claims), table(claims)),
        Section("Less data", [EFFECTS_CAPTION], fraction_effects(found), pictures=drawn[1:]),
        Section("Figures", [], fraction_table(found)),
        Section("Networks", [], network_table(found)),
        Section("Baselines, on all data", [], metric_table(found.baselines)),
        *more,
    ]
    return write_report(folder / "report.html", title, sections)


# -- tables ------------------------------------------------------------------------------------------------------


def network_table(found: Comparison) -> list[list[str]]:
    """A header and a row for each network: its size, its speed and how far it remembers."""
    rows = []
    for name in found.cells:
        one = next(run for run in found.runs if run["cell"] == name)
        speed = found.spread(name, lambda run: 1000 * run["update_seconds"])
        whole = [run for run in found.runs if run["cell"] == name and run["share"] == 1.0]
        lags = (_lags([run.get(key) for run in whole]) for key in MEMORY.values())
        counts = (f"{one[key]:,}" for key in ("hidden_size", "recurrent_parameters", "parameters"))
        rows.append([network_label(name), *counts, str(speed), *lags])
    return [
        [
            "",
            "units",
            "recurrent parameters",
            "parameters",
            "ms for an update",
            "memory halved",
            "to a twentieth",
        ],
        *rows,
    ]


def _lags(lags: Sequence[float | None]) -> str:
    """Lags of memory: the least and the greatest."""
    known = [lag for lag in lags if lag is not None]
    if len(known) < len(lags):
        return f"{len(known)} of {len(lags)} measured"
    return f"{min(known):.3g} to {max(known):.3g}"


def fraction_table(found: Comparison) -> list[list[str]]:
    """A header and a row for each network and fraction: losses, their gap, and the metrics."""
    metrics = list(found.runs[0]["model"])
    losses: dict[str, Callable[[Run], float]] = {
        "training loss": lambda run: run["train_loss"],
        "validation loss": lambda run: run["valid_loss"],
        "gap": lambda run: run["valid_loss"] - run["train_loss"],
    }
    rows = [
        [
            f"{network_label(name)}, {100 * share:.3g} %",
            *(str(found.spread(name, value, share)) for value in losses.values()),
            *(str(found.metric(name, metric, share)) for metric in metrics),
        ]
        for share in PairedRuns(found).shares
        for name in found.cells
    ]
    return [["", *losses, *(f"{found.part} {metric}" for metric in metrics)], *rows]


# -- pictures ----------------------------------------------------------------------------------------------------


def effects(claims: Sequence[Claim], path: Path) -> Path:
    """Every tested effect with its interval, and a line where it begins to matter."""
    scales: tuple[Scale, ...] = ("ratio", "share")
    groups = {
        scale: [claim for claim in claims if claim.finding is not None and claim.scale == scale]
        for scale in scales
    }
    kept = {scale: group for scale, group in groups.items() if group}
    size = 1.2 + 0.34 * sum(map(len, kept.values())) + 0.6 * len(kept)
    with plots.picture(path, (11, size)) as figure:
        heights = [len(group) + 1 for group in kept.values()]
        panels = figure.subplots(max(1, len(kept)), 1, squeeze=False, height_ratios=heights or [1])[:, 0]
        for ax, (scale, group) in zip(panels, kept.items(), strict=False):
            _forest(ax, scale, group)
        for decision, marker in _MARKERS.items():
            panels[0].plot([], [], marker, color=COLOURS[decision], label=decision)
        panels[0].plot([], [], "|", color=plots.BLACK, ms=12, label="from here on it matters")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=4)
    return path


def _forest(ax: Axes, scale: Scale, claims: Sequence[Claim]) -> None:
    for row, claim in enumerate(claims):
        assert claim.finding is not None and claim.bounds is not None
        found, colour = claim.finding, COLOURS[claim.decision]
        ax.plot([claim.displayed(found.low), claim.displayed(found.high)], [row, row], color=colour, lw=2)
        ax.plot([claim.displayed(found.effect)], [row], _MARKERS[claim.decision], color=colour, ms=7)
        for bound in filter(isfinite, claim.bounds):
            ax.plot([claim.displayed(bound)], [row], "|", color=plots.BLACK, ms=12)
    ax.set_yticks(
        range(len(claims)),
        [
            f"{c.measured}\n{network_label(c.one)} against {network_label(c.other)}, equal {c.equal}"
            for c in claims
        ],
    )
    ax.invert_yaxis()
    ax.margins(y=0.08)
    if scale == "ratio":
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
        ax.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:.2g}"))
        ax.axvline(1, color=plots.GREY, lw=0.8)
        ax.set_title("times the other's, with 95 % intervals")
    else:
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.axvline(0, color=plots.GREY, lw=0.8)
        ax.set_title("difference as a share of the other's loss, with 95 % intervals")


def by_fraction(found: Comparison, path: Path) -> Path:
    """Validation loss and gap against the share of the training part, a line for each network."""
    shares = PairedRuns(found).shares
    panels: dict[str, Callable[[Run], float]] = {
        "validation loss": lambda run: run["valid_loss"],
        "validation less training loss": lambda run: run["valid_loss"] - run["train_loss"],
    }
    with plots.picture(path, (9, 3.4)) as figure:
        axes = figure.subplots(1, len(panels))
        for ax, (title, value) in zip(axes, panels.items(), strict=True):
            for name, marker in zip(found.cells, cycle("os^Dv"), strict=False):
                colour, line = LINES[name] if name in LINES else _MATCHED[name.partition("-")[0]]
                spreads = [found.spread(name, value, share) for share in shares]
                means, deviations = [s.mean for s in spreads], [s.std for s in spreads]
                ax.errorbar(
                    shares,
                    means,
                    deviations,
                    ls=line,
                    marker=marker,
                    color=colour,
                    capsize=2,
                    label=network_label(name),
                )
            ax.set_xscale("log")
            ax.set_xticks(shares, [f"{100 * share:.3g} %" for share in shares])
            ax.minorticks_off()
            ax.set(xlabel="share of the training part", title=title)
        axes[0].legend()
    return path
