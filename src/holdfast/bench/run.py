"""Run the whole benchmark and collect the result as JSON data."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import torch

from holdfast._json import JsonMapping, JsonObject
from holdfast.bench import environment
from holdfast.bench.comparison import OURS, Announce, Findings, run_case
from holdfast.bench.config import Request, cases, check
from holdfast.bench.peers import PEERS


def bench(
    request: Request,
    announce: Announce = lambda text: None,
    keep: Callable[[JsonObject], None] = lambda result: None,
) -> JsonObject:
    """Measure the cases of a request.

    Args:
        request: what to measure.
        announce: receives lines of progress.
        keep: receives the result so far after each case, so that an interruption loses one case
            only.

    Returns:
        ``machine``, ``versions``, ``threads``, ``date``, the peak, ``rows``, their ``summary``, and
        what is ``missing``, ``skipped`` or ``wrong``, with reasons.

    Raises:
        UserError: see :func:`holdfast.bench.config.check`.
    """
    names = check(request)
    before = torch.get_num_threads()
    threads = request.threads or before
    reasons = {name: PEERS[name].missing() for name in names["peers"]}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    for name, reason in missing.items():
        announce(f"missing: {name}: {reason}")
    peers = [name for name in names["peers"] if name not in missing]
    frame, found = _description(request, threads, missing), Findings()
    todo = list(cases(request, names, threads))
    try:
        for number, case in enumerate(todo, 1):
            announce(f"{number} of {len(todo)}: {case}")
            run_case(case, peers, request, found, announce)
            keep(result(frame, found))
    finally:
        torch.set_num_threads(before)
    return result(frame, found)


def _description(request: Request, threads: int, missing: Mapping[str, str]) -> JsonObject:
    """Return the part of the result that does not depend on the measurements."""
    needed = dict.fromkeys(distribution for peer in PEERS.values() for distribution in peer.needs.values())
    return {
        "format": 1,
        **environment.heading(needed),
        "threads": threads,
        "repetitions": request.repetitions,
        "missing": dict(missing),
    }


def result(frame: JsonObject, found: Findings) -> JsonObject:
    """Return the whole result; the peak is the median of the peaks measured before each case."""
    peak = round(statistics.median(found.peaks) / 1e9, 1) if found.peaks else None
    rows = [{**row, "percent_of_peak": _percent(row["gflops"], peak, frame["threads"])} for row in found.rows]
    return {
        **frame,
        "peak_gflops_per_thread": peak,
        "summary": summary(rows),
        "rows": rows,
        "skipped": found.skipped,
        "wrong": found.wrong,
    }


def _percent(gflops: float | None, peak: float | None, threads: int) -> float | None:
    return None if gflops is None or peak is None else 100 * gflops / (peak * threads)


def summary(rows: Sequence[JsonMapping]) -> list[JsonObject]:
    """Return the ratios' geometric mean and minimum, by mode, variant, cell and peer."""
    groups: dict[tuple[str, str, str, str], list[float]] = {}
    for row in rows:
        if row["peer"] != OURS:
            key = (row["mode"], row["variant"], row["cell"], row["peer"])
            groups.setdefault(key, []).append(row["ratio"])
    names = ("mode", "variant", "cell", "peer")
    return [
        dict(zip(names, key, strict=True))
        | {"mean": statistics.geometric_mean(ratios), "least": min(ratios), "shapes": len(ratios)}
        for key, ratios in groups.items()
    ]
