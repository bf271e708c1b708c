"""Ctrl-C, and the signal by which ``kill`` and schedulers end a process, let the work in hand finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def first_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """The first of :data:`_SIGNALS` calls ``act``; the second does what it did before.

    Only the main thread can ask for that; a signal that is ignored stays ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.getsignal(number) for number in _SIGNALS if main}
    heeded = {number: old for number, old in previous.items() if old not in (signal.SIG_IGN, None)}

    def put_back() -> None:
        for number, old in heeded.items():
            signal.signal(number, old)

    def once(number: int, frame: FrameType | None) -> None:
        put_back()
        act()

    for number in heeded:
        signal.signal(number, once)
    try:
        yield
    finally:
        put_back()
