"""Times of several runners side by side: every repetition times each of them, so that all see the same machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

import torch

Key = TypeVar("Key")

SHORT = 5e-2
"""Seconds: what takes less is called several times in a row and timed together, after one call that is not timed."""

PAUSE = 2e-3
"""Seconds before each timing, in which the waiting threads of the one before it fall asleep."""

FEWEST = 5
"""Repetitions that are done however long they take (fewer only where fewer were asked for)."""


@dataclass(frozen=True)
class Entry:
    """What is timed, with how many of torch's threads, and how often at most."""

    call: Callable[[], Any]
    threads: int
    most: int = 1_000_000


@dataclass
class Timing:
    """Seconds of one call, one for each repetition."""

    threads: int
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the middle range (quartile to quartile) as a share of the median; 0 for a single one."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median


def interleaved(entries: Mapping[Key, Entry], repetitions: int, budget: float) -> dict[Key, Timing]:
    """Time entries that have been called before.

    Args:
        entries: by name; every second repetition goes through them backwards.
        repetitions: of each entry, at most.
        budget: seconds after which no repetition begins, but for the first :data:`FEWEST`.
    """
    before = torch.get_num_threads()
    calls = {name: 1 if entry.most == 1 else _calls(entry) for name, entry in entries.items()}
    found = {name: Timing(entry.threads) for name, entry in entries.items()}
    begin = perf_counter()
    for repetition in range(repetitions):
        if repetition >= FEWEST and perf_counter() - begin > budget:
            break
        for name in _order(list(entries), repetition):
            if repetition < entries[name].most:
                found[name].seconds.append(_time(entries[name], calls[name]))
    torch.set_num_threads(before)
    return found


def _order(names: Sequence[Key], repetition: int) -> Sequence[Key]:
    return names[::-1] if repetition % 2 else names


def _calls(entry: Entry) -> int:
    """How many calls make up one timing."""
    torch.set_num_threads(entry.threads)
    entry.call()
    start = perf_counter()
    entry.call()
    return max(1, math.ceil(SHORT / max(perf_counter() - start, 1e-7)))


def _time(entry: Entry, calls: int) -> float:
    """Seconds of one call."""
    torch.set_num_threads(entry.threads)
    time.sleep(PAUSE)
    if calls > 1:
        entry.call()
    start = perf_counter()
    for _ in range(calls):
        entry.call()
    return (perf_counter() - start) / calls
