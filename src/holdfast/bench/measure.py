"""Time several runners side by side: each repetition times all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import torch

Key = TypeVar("Key")

SHORT = 5e-2
"""Seconds. A shorter call is repeated and timed as a block, after one untimed call."""

PAUSE = 2e-3
"""Seconds before each timing, so that waiting threads of the previous one go to sleep."""

FEWEST = 5
"""Minimum number of repetitions, whatever their time (fewer only on request)."""


@dataclass(frozen=True)
class Entry:
    """A call to time, the number of torch threads, and the maximum number of timings."""

    call: Callable[[], object]
    threads: int
    most: int = 1_000_000


@dataclass
class Timing:
    """Seconds per call, for each repetition."""

    threads: int
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Return half the interquartile range divided by the median; 0 for a single repetition."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


def interleaved(entries: Mapping[Key, Entry], repetitions: int, budget: float) -> dict[Key, Timing]:
    """Time entries that were called before.

    Args:
        entries: by name; every second repetition runs them in reverse order.
        repetitions: maximum number for each entry.
        budget: seconds after which no repetition starts, except the first :data:`FEWEST`.
    """
    before = torch.get_num_threads()
    calls = {name: 1 if entry.most == 1 else _calls(entry) for name, entry in entries.items()}
    found = {name: Timing(entry.threads) for name, entry in entries.items()}
    begin = perf_counter()
    for repetition in range(repetitions):
        if repetition >= FEWEST and perf_counter() - begin > budget:
            break
        for name in list(entries)[:: -1 if repetition % 2 else 1]:
            if repetition < entries[name].most:
                found[name].seconds.append(_time(entries[name], calls[name]))
    torch.set_num_threads(before)
    return found


def _calls(entry: Entry) -> int:
    """Return the number of calls in one timing."""
    torch.set_num_threads(entry.threads)
    entry.call()
    start = perf_counter()
    entry.call()
    return max(1, math.ceil(SHORT / max(perf_counter() - start, 1e-7)))


def _time(entry: Entry, calls: int) -> float:
    """Return the seconds per call."""
    torch.set_num_threads(entry.threads)
    time.sleep(PAUSE)
    if calls > 1:
        entry.call()
    start = perf_counter()
    for _ in range(calls):
        entry.call()
    return (perf_counter() - start) / calls
