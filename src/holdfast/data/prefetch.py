"""Prefetching: results computed in advance by threads, for libraries that release Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WORKERS = 2
"""Number of threads."""


def prefetch(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int = _WORKERS, buffer_size: int = 8
) -> Iterator[_Result]:
    """Yield ``map(work, items)``, computed by threads; at most ``buffer_size`` results wait.

    Raises:
        whatever ``work`` raises, at its place in the order; work that has not started is then
        canceled.

    Example:
        >>> list(prefetch(abs, [-3, 2, -1]))
        [3, 2, 1]
    """
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= buffer_size:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
