"""One case: Holdfast and each peer made ready, held against each other, and timed side by side."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused
from holdfast.bench.config import Request
from holdfast.bench.environment import peak
from holdfast.bench.measure import Entry, Timing, interleaved
from holdfast.bench.modes import MODES
from holdfast.bench.peers import PEERS, Peer
from holdfast.bench.runners import Runner

OURS = "holdfast"
Announce = Callable[[str], None]


@dataclass
class Findings:
    """What has been measured so far, and what has not: those skipped and those with wrong results, with reasons."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    wrong: list[dict[str, str]] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


class Wrong(Exception):  # noqa: N818 - a finding, not a failure
    """A peer's result is not Holdfast's."""


def run_case(case: Case, peers: Sequence[str], request: Request, into: Findings, announce: Announce) -> None:
    """Measure one case and add what is found."""
    gc.collect()
    into.peaks += [found for found in [peak()] if found is not None]
    runners: dict[str, Runner] = {}
    expected: list[Array] = []
    for name in (OURS, *(name for name in peers if case.mode in PEERS[name].makers)):
        try:
            torch.set_num_threads(case.threads)
            if name == OURS:
                runners[name] = MODES[case.mode].run(case)
                expected = result(runners[name])
            else:
                runners[name] = checked(PEERS[name], case, expected)
        except Exception as error:  # whatever one cannot do is told, and the others are measured
            told = into.wrong if isinstance(error, Wrong) else into.skipped
            told.append({**place(case), "peer": name, "reason": reason(error)})
            announce(
                f"  {'WRONG, not timed' if isinstance(error, Wrong) else 'skipped'}: {name}: {reason(error)}"
            )
            if name == OURS:
                return
    found = timed(case, runners, request)
    into.rows += [row(case, name, found, runners[name]) for name in found]
    announce("  " + ", ".join(f"{name} {1e3 * timing.median:.4g} ms" for name, timing in found.items()))


def result(runner: Runner) -> list[Array]:
    """What a runner computes at its second call, where a stream goes on from its first step."""
    runner.call()
    return list(runner.read(runner.call()))


def checked(peer: Peer, case: Case, expected: Sequence[Array]) -> Runner:
    """A peer's runner, once its result is known to be Holdfast's.

    Raises:
        Refused: the peer has no such case.
        Wrong: its result is another.
    """
    runner = peer.make(case)
    if not peer.checked:
        runner.call()
        return runner
    found, tolerance = result(runner), MODES[case.mode].tolerance
    apart = max(difference(*pair) for pair in zip(expected, found, strict=False))
    if not apart <= tolerance:  # NaN is wrong as well
        raise Wrong(f"its result differs by {apart:.2g} of the largest value, allowed are {tolerance:.2g}")
    return runner


def difference(expected: Array, found: Array) -> float:
    """The largest difference as a share of the largest value, or of 1 where that is more."""
    if expected.shape != found.shape:
        raise Wrong(f"its result has the shape {found.shape}, not {expected.shape}")
    return float(np.max(np.abs(found - expected)) / max(1.0, float(np.max(np.abs(expected)))))


def reason(error: Exception) -> str:
    """Why something was not measured, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, Refused | Wrong) else f"{type(error).__name__}: {text[:300]}"


def timed(case: Case, runners: Mapping[str, Runner], request: Request) -> dict[str, Timing]:
    """A timing of each runner: the faster one, where a peer may have one thread or all."""
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


def place(case: Case) -> dict[str, str]:
    """Which case, for JSON."""
    return {"mode": case.mode, "variant": case.variant, "cell": case.cell, "shape": str(case.shape)}


def row(case: Case, name: str, found: Mapping[str, Timing], runner: Runner) -> dict[str, Any]:
    """A peer's figures in one case; ``ratio`` is how many times as long it takes as Holdfast."""
    timing = found[name]
    return {
        **place(case),
        "peer": name,
        "threads": timing.threads,
        "repetitions": len(timing.seconds),
        "median_ms": 1e3 * timing.median,
        "min_ms": 1e3 * min(timing.seconds),
        "spread": round(timing.spread, 4),
        "ratio": timing.median / found[OURS].median,
        "gflops": None if runner.flop is None else runner.flop / timing.median / 1e9,
    }
