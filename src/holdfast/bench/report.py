"""The result as tables and sentences for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast._json import JsonMapping
from holdfast.bench.comparison import OURS
from holdfast.bench.modes import MODES

Rows = Sequence[JsonMapping]


class Table(NamedTuple):
    """A title, column names, and lines of text."""

    title: str
    header: list[str]
    lines: list[list[str]]


def tables(result: JsonMapping) -> list[Table]:
    """Return one table for each mode, with each peer's time divided by Holdfast's."""
    by_mode: dict[str, list[JsonMapping]] = {}
    for row in result["rows"]:
        by_mode.setdefault(row["mode"], []).append(row)
    return [_table(mode, rows, _means(result, mode)) for mode, rows in by_mode.items()]


def _means(result: JsonMapping, mode: str) -> dict[tuple[str, str], dict[str, float]]:
    """Return (variant, cell) -> peer -> geometric mean over the shapes, if there are several."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for entry in result["summary"]:
        if entry["mode"] == mode and entry["shapes"] > 1:
            found.setdefault((entry["variant"], entry["cell"]), {})[entry["peer"]] = entry["mean"]
    return found


def _table(mode: str, rows: Rows, means: Mapping[tuple[str, str], Mapping[str, float]]) -> Table:
    peers = list(dict.fromkeys(row["peer"] for row in rows if row["peer"] != OURS))
    cases: dict[tuple[str, str, str], dict[str, JsonMapping]] = {}
    for row in rows:
        cases.setdefault((row["variant"], row["cell"], row["shape"]), {})[row["peer"]] = row
    lines = [
        [_name(*case), *_own(found[OURS]), *(_ratio(found.get(peer)) for peer in peers)]
        for case, found in cases.items()
    ]
    lines += [
        [_name(variant, cell, "geometric mean"), "", "", *(f"{of[p]:.2f}" if p in of else "-" for p in peers)]
        for (variant, cell), of in means.items()
    ]
    return Table(
        f"{mode}: {MODES[mode].text}", [_name("", "cell", "BxIxHxT"), f"{OURS} ms", "% peak", *peers], lines
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _name(variant: str, cell: str, shape: str) -> str:
    return " ".join(filter(None, (cell, shape, variant)))


def _own(row: JsonMapping) -> list[str]:
    share = row["percent_of_peak"]
    return [f"{row['median_ms']:.4g}", "-" if share is None else f"{share:.0f}"]


def _ratio(row: JsonMapping | None) -> str:
    return "-" if row is None else f"{row['ratio']:.2f}"


def sentences(result: JsonMapping) -> list[str]:
    """Describe the machine, and what was not measured and why."""
    machine, peak = result["machine"], result["peak_gflops_per_thread"]
    own = "without the native core" if peak is None else f"{machine['isa']}, peak {peak} GFLOP/s per thread"
    lines = [
        "Each peer's column: its time divided by Holdfast's (above 1, Holdfast is faster).",
        f"{machine['processor']}, {_count(result['threads'], 'thread')} on {_count(machine['cores'], 'core')}, {own}.",
    ]
    lines += [f"missing: {peer}: {reason}" for peer, reason in result["missing"].items()]
    for what in ("skipped", "wrong"):
        reasons = dict.fromkeys((entry["mode"], entry["peer"], entry["reason"]) for entry in result[what])
        lines += [f"{what}: {mode}, {peer}: {reason}" for mode, peer, reason in reasons]
    return lines
