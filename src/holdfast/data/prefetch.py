"""Work done ahead by threads: what libraries compute without holding Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")

_WORKERS = 2
"""Threads that work ahead."""


def prefetch(
    work: Callable[[Given], Found], items: Iterable[Given], *, workers: int = _WORKERS, most: int = 8
) -> Iterator[Found]:
    """``map(work, items)``, computed by some threads, with at most so many results waiting.

    Raises:
        whatever ``work`` raises, in its place; work that has not begun is then given up.

    Example:
        >>> list(prefetch(abs, [-3, 2, -1]))
        [3, 2, 1]
    """
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
