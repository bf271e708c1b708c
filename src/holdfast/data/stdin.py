"""Text from a pipe: the lines of stdin, in batches of those that have arrived."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from queue import Empty, Queue
from threading import Thread
from typing import Any

from holdfast.errors import UserError

_NOTHING = object()


def stdin_lines(encoding: str) -> Iterator[str]:
    """Yield the lines of stdin as they arrive, with their line ends (the last may have none).

    Raises:
        UserError: a line is not text in this encoding.
    """
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    decoder = codecs.getincrementaldecoder(name)()
    rest = ""
    for number, raw in enumerate(chain(sys.stdin.buffer, [b""]), 1):
        try:
            rest += decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise UserError(
                f"Stdin must be {encoding}.",
                f"Line {number} is not: {error}.",
                "Convert it, for example with iconv -f latin1 -t utf-8.",
            ) from error
        *whole, rest = rest.replace("\r\n", "\n").split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest:
        yield rest


def stdin_is_terminal() -> bool:
    """Return whether stdin is a terminal (or missing), where no input may ever arrive."""
    return sys.stdin is None or sys.stdin.isatty()


def batch_available(entries: Iterable[str], max_size: int) -> Iterator[list[str]]:
    """Yield batches of arrived entries, at most ``max_size`` each; wait only if there are none."""
    queue: Queue[str | Exception | None] = Queue(4 * max_size)

    def read() -> None:
        try:
            for entry in entries:
                queue.put(entry)
            queue.put(None)
        except Exception as error:
            queue.put(error)

    Thread(target=read, daemon=True).start()
    entry = queue.get()
    while isinstance(entry, str):
        group = [entry]
        entry = _next(queue)
        while isinstance(entry, str) and len(group) < max_size:
            group.append(entry)
            entry = _next(queue)
        yield group
        if entry is _NOTHING:
            entry = queue.get()
    if isinstance(entry, Exception):
        raise entry


def _next(queue: Queue[Any]) -> Any:
    try:
        return queue.get_nowait()
    except Empty:
        return _NOTHING
