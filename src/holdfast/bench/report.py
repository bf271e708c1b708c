"""A result as tables for a terminal and as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.bench.comparison import OURS
from holdfast.bench.modes import MODES

Rows = Sequence[Mapping[str, Any]]


class Table(NamedTuple):
    """A title, the names of the columns, and lines of text."""

    title: str
    header: list[str]
    lines: list[list[str]]


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One table for each mode: how many times as long each peer takes as Holdfast."""
    by_mode: dict[str, list[Mapping[str, Any]]] = {}
    for row in result["rows"]:
        by_mode.setdefault(row["mode"], []).append(row)
    return [_table(mode, rows, _means(result, mode)) for mode, rows in by_mode.items()]


def _means(result: Mapping[str, Any], mode: str) -> dict[tuple[str, str], dict[str, float]]:
    """(variant, cell) -> peer -> the geometric mean over the shapes, where there are several."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for entry in result["summary"]:
        if entry["mode"] == mode and entry["shapes"] > 1:
            found.setdefault((entry["variant"], entry["cell"]), {})[entry["peer"]] = entry["mean"]
    return found


def _table(mode: str, rows: Rows, means: Mapping[tuple[str, str], Mapping[str, float]]) -> Table:
    peers = list(dict.fromkeys(row["peer"] for row in rows if row["peer"] != OURS))
    cases: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
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


def _name(variant: str, cell: str, shape: str) -> str:
    return " ".join(filter(None, (cell, shape, variant)))


def _own(row: Mapping[str, Any]) -> list[str]:
    share = row["percent_of_peak"]
    return [f"{row['median_ms']:.4g}", "-" if share is None else f"{share:.0f}"]


def _ratio(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else f"{row['ratio']:.2f}"


def sentences(result: Mapping[str, Any]) -> list[str]:
    """The machine, and what was not measured and why."""
    machine, peak = result["machine"], result["peak_gflops_per_thread"]
    own = "without the native core" if peak is None else f"{machine['isa']}, peak {peak} GFLOP/s a thread"
    lines = [
        "Under each peer: how many times as long it takes as Holdfast (above 1, Holdfast is faster).",
        f"{machine['processor']}, {result['threads']} thread(s) of {machine['cores']} core(s), {own}.",
    ]
    lines += [f"missing: {peer}: {reason}" for peer, reason in result["missing"].items()]
    for what in ("skipped", "wrong"):
        told = dict.fromkeys((entry["mode"], entry["peer"], entry["reason"]) for entry in result[what])
        lines += [f"{what}: {mode}, {peer}: {reason}" for mode, peer, reason in told]
    return lines
