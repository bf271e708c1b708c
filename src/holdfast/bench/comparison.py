"""Run one case: prepare Holdfast and each peer, compare their results, time them side by side."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from holdfast._json import JsonObject
from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused
from holdfast.bench.config import Request
from holdfast.bench.measure import Entry, Timing, interleaved
from holdfast.bench.modes import MODES
from holdfast.bench.peers import PEERS, Peer
from holdfast.bench.runners import Runner
from holdfast.nn.kernels import native

OURS = "holdfast"
Announce = Callable[[str], None]


@dataclass
class Findings:
    """Measurements so far, and what was skipped or gave wrong results, with reasons."""

    rows: list[JsonObject] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    wrong: list[dict[str, str]] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


class Wrong(Exception):  # noqa: N818 - a finding, not a failure
    """The result of a peer differs from Holdfast's."""


def run_case(case: Case, peers: Sequence[str], request: Request, into: Findings, announce: Announce) -> None:
    """Measure one case and add the findings."""
    gc.collect()
    if native.available() is None:
        into.peaks.append(native.peak())
    runners: dict[str, Runner] = {}
    expected: list[Array] = []
    for name in (OURS, *(name for name in peers if case.mode in PEERS[name].makers)):
        try:
            torch.set_num_threads(case.threads)
            if name == OURS:
                runners[name] = MODES[case.mode].run(case)
                expected = _result(runners[name])
            else:
                runners[name] = _checked(PEERS[name], case, expected)
        except Exception as error:  # a peer that fails is reported; the others are measured
            wrong, reason = isinstance(error, Wrong), _reason(error)
            failures = into.wrong if wrong else into.skipped
            failures.append({**_case_fields(case), "peer": name, "reason": reason})
            announce(f"  {'WRONG, not timed' if wrong else 'skipped'}: {name}: {reason}")
            if name == OURS:
                return
    found = timed(case, runners, request)
    into.rows += [row(case, name, found, runners[name]) for name in found]
    announce("  " + ", ".join(f"{name} {1e3 * timing.median:.4g} ms" for name, timing in found.items()))


def _result(runner: Runner) -> list[Array]:
    """Return the result of a runner's second call: the second step of a stream."""
    runner.call()
    return list(runner.read(runner.call()))


def _checked(peer: Peer, case: Case, expected: Sequence[Array]) -> Runner:
    """Return the runner of a peer after comparing its result with Holdfast's.

    Raises:
        Refused: the peer does not support the case.
        Wrong: the results differ.
    """
    runner = peer.makers[case.mode](case)
    if not peer.checked:
        runner.call()
        return runner
    found, tolerance = _result(runner), MODES[case.mode].tolerance
    apart = max(difference(*pair) for pair in zip(expected, found, strict=False))
    if not apart <= tolerance:  # NaN is wrong as well
        raise Wrong(f"its result differs by {apart:.2g} of the largest value; {tolerance:.2g} is allowed")
    return runner


def difference(expected: Array, found: Array) -> float:
    """Return the largest difference divided by the largest value, or by 1 if that is greater."""
    if expected.shape != found.shape:
        raise Wrong(f"its result has the shape {found.shape}, not {expected.shape}")
    return float(np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected)))))


def _reason(error: Exception) -> str:
    """Return in one line why something was not measured."""
    text = " ".join(str(error).split())
    return text if isinstance(error, Refused | Wrong) else f"{type(error).__name__}: {text[:300]}"


def timed(case: Case, runners: Mapping[str, Runner], request: Request) -> dict[str, Timing]:
    """Time each runner; a peer that runs with one thread and with all has the faster timing."""
    entries: dict[tuple[str, int], Entry] = {}
    for name, runner in runners.items():
        several = name != OURS and PEERS[name].best_threads
        most = 1 if name != OURS and PEERS[name].once else request.repetitions
        for threads in sorted({1, case.threads} if several else {case.threads}):
            entries[name, threads] = Entry(runner.call, threads, most)
    found = interleaved(entries, request.repetitions, request.budget)
    best: dict[str, Timing] = {}
    for (name, _), timing in found.items():
        best[name] = min(best.get(name, timing), timing, key=lambda one: one.median)
    return best


def _case_fields(case: Case) -> dict[str, str]:
    """Return the fields of the case for JSON."""
    return {"mode": case.mode, "variant": case.variant, "cell": case.cell, "shape": str(case.shape)}


def row(case: Case, name: str, found: Mapping[str, Timing], runner: Runner) -> JsonObject:
    """Return a peer's measurements in one case; ``ratio`` is its time divided by Holdfast's."""
    timing = found[name]
    return {
        **_case_fields(case),
        "peer": name,
        "threads": timing.threads,
        "repetitions": len(timing.seconds),
        "median_ms": 1e3 * timing.median,
        "min_ms": 1e3 * min(timing.seconds),
        "spread": round(timing.spread, 4),
        "ratio": timing.median / found[OURS].median,
        "gflops": None if runner.flop is None else runner.flop / timing.median / 1e9,
    }
