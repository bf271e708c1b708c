"""Let the current work finish on Ctrl-C, or on the signal of ``kill`` and schedulers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def first_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` on the first of :data:`_SIGNALS`; the second meets the earlier handlers.

    Python allows this in the main thread only; a signal that is ignored stays ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.getsignal(number) for number in _SIGNALS if main}
    handled = {number: old for number, old in previous.items() if old not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, old in handled.items():
            signal.signal(number, old)

    def once(number: int, frame: FrameType | None) -> None:
        restore()
        act()

    for number in handled:
        signal.signal(number, once)
    try:
        yield
    finally:
        restore()
