"""Number of threads of the compiled core's layers: torch's, or fewer on a busy machine.

Threads that wait for each other are as slow as the slowest one. If another program keeps a core
busy, the layers leave that core to it. The number of threads that run never changes a result:
csrc/run.cpp divides the work by torch's number of threads.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time

INTERVAL = 0.5
"""Seconds for which a decision is kept. /proc/stat counts in hundredths of a second."""

SOON = 0.2
"""The same after a pause: that decision rests on the average over the pause."""

_TOLERATED = 0.4
"""Cores' worth of other programs' work that takes no core away: the background of an idle machine.
A program that shares its core with one of our threads keeps half of it busy."""

_SHORTEST = 0.1
"""Seconds: over less than that nothing can be measured."""


@dataclass(frozen=True)
class Machine:
    """What limits the number of threads.

    Args:
        cores: that this process may use (its affinity).
        quota: CPUs that the container may use; None without a limit.
        load: cores that other programs keep busy; None if it cannot be measured.
    """

    cores: int
    quota: float | None = None
    load: float | None = None


@dataclass(frozen=True)
class Decision:
    """A number of threads and the reason, as a clause."""

    threads: int
    reason: str


def decide(wanted: int, machine: Machine) -> Decision:
    """Return torch's number of threads, or fewer where cores are missing.

    At least half of the cores remain: the system shares a busy core fairly among programs.
    """
    best = Decision(wanted, "torch's number of threads")
    if machine.cores < best.threads:
        best = Decision(machine.cores, f"this process may use {_cores(machine.cores)}")
    if machine.quota is not None and (whole := max(1, math.floor(machine.quota))) < best.threads:
        best = Decision(whole, f"the container may use {machine.quota:g} CPUs")
    taken = math.ceil((machine.load or 0.0) - _TOLERATED)
    if taken > 0 and (left := max(machine.cores - taken, machine.cores // 2, 1)) < best.threads:
        best = Decision(left, f"other programs keep {machine.load:.1f} of {_cores(machine.cores)} busy")
    return best


def _cores(number: int) -> str:
    return f"{number} core" if number == 1 else f"{number} cores"


def parse_busy_seconds(text: str, cores: set[int], ticks: int) -> float | None:
    """Return the seconds that these cores worked since the start, by /proc/stat; None without them.

    Time stolen by a virtual machine's host counts as work of others.
    """
    total, found = 0, False
    for line in text.splitlines():
        name, *fields = line.split() or [""]
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[:8])
            total += user + nice + system + irq + softirq + steal
            found = True
    return total / ticks if found else None


def parse_quota(text: str) -> float | None:
    """Return the CPUs of a cgroup's limit "microseconds of work, of time"; None for no limit."""
    limit, _, period = text.strip().partition(" ")
    return None if limit in ("", "max", "-1") or int(period) <= 0 else int(limit) / int(period)


def read_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """Return the smallest CPU limit of this process's control groups (versions 1 and 2)."""
    limits = [parse_quota(text) for text in _limits(root, own)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limits(root: Path, own: Path) -> Iterator[str]:
    for line in (_read(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        tops = [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]
        folders = [Path(path), *Path(path).parents]
        for folder in [top / str(one).lstrip("/") for top in dict.fromkeys(tops) for one in folders]:
            if controllers:
                limit, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
                text = f"{limit.strip()} {period.strip()}" if limit and period else None
            else:
                text = _read(folder / "cpu.max")
            if text:
                yield text


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


class LoadMeter:
    """Measure the cores that other programs keep busy, between two calls.

    Linux: the work of this process's cores less its own. Elsewhere: the load average of the last
    minute less this process's own share, averaged in the same way. None before the first interval,
    and on Windows.
    """

    def __init__(self) -> None:
        self._time, self._own = monotonic(), process_time()
        self._busy = _busy_seconds()
        self._own_average = 0.0

    def measure(self) -> float | None:
        """Return the load since the last call."""
        time, own, busy = monotonic(), process_time(), _busy_seconds()
        seconds, used, before = time - self._time, own - self._own, self._busy
        if seconds < _SHORTEST:
            return None
        self._time, self._own, self._busy = time, own, busy
        if busy is not None and before is not None:
            return max(0.0, (busy - before - used) / seconds) if busy > before else None
        self._own_average += (used / seconds - self._own_average) * -math.expm1(-seconds / 60)
        return max(0.0, os.getloadavg()[0] - self._own_average) if hasattr(os, "getloadavg") else None


def _busy_seconds() -> float | None:
    text = _read(Path("/proc/stat"))
    if text is None or not hasattr(os, "sysconf"):
        return None
    return parse_busy_seconds(text, _affinity(), os.sysconf("SC_CLK_TCK"))


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


class ThreadCount:
    """The decision for this moment; it is kept for :data:`INTERVAL`."""

    def __init__(
        self, watch: Callable[[], Callable[[], Machine]], clock: Callable[[], float] = monotonic
    ) -> None:
        self._watch, self._clock = watch, clock
        self.restart()

    def restart(self) -> None:
        """Forget everything, as a forked child must: its CPU time is zero, the lock may be held."""
        self._look = self._watch()
        self._until = -math.inf
        self._decisions: dict[int, Decision] = {}
        self._machine = Machine(os.cpu_count() or 1)
        self._guard = threading.Lock()

    def available(self, wanted: int) -> int:
        """Return how many of torch's threads may run now."""
        return 1 if wanted == 1 else self.decide(wanted).threads

    def decide(self, wanted: int) -> Decision:
        """Return the number with its reason."""
        if self._clock() >= self._until and self._guard.acquire(blocking=False):
            try:
                self._machine, self._decisions = self._look(), {}
                now = self._clock()
                self._until = now + (SOON if now > self._until + INTERVAL else INTERVAL)
            finally:
                self._guard.release()
        decision = self._decisions.get(wanted)
        if decision is None:
            decision = self._decisions[wanted] = decide(wanted, self._machine)
        return decision


def _watch() -> Callable[[], Machine]:
    meter, quota = LoadMeter(), read_quota()
    return lambda: Machine(len(_affinity()), quota, meter.measure())


current = ThreadCount(_watch)
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=current.restart)
