"""Text through a pipe: lines of stdin, and entries in groups of those that are there already."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from queue import Empty, Queue
from threading import Thread
from typing import Any

from holdfast.errors import UserError

NOTHING = object()


def stdin_lines(encoding: str) -> Iterator[str]:
    """The lines of stdin as they come, with their ends (the last one may have none).

    Raises:
        UserError: bytes that are no text in the encoding, with their line.
    """
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    decoder = codecs.getincrementaldecoder(name)()
    rest = ""
    for number, raw in enumerate(chain(sys.stdin.buffer, [b""]), 1):
        try:
            rest += decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise UserError(
                f"Stdin is read as {encoding}.",
                f"Line {number} is not: {error}.",
                "Convert it, for example by iconv -f latin1 -t utf-8.",
            ) from error
        *whole, rest = rest.replace("\r\n", "\n").split("\n")
        yield from (f"{line}\n" for line in whole)
    if rest:
        yield rest


def stdin_is_terminal() -> bool:
    """Whether stdin is a terminal, at which nobody may be typing."""
    return sys.stdin is None or sys.stdin.isatty()


def batch_available(entries: Iterable[str], most: int) -> Iterator[list[str]]:
    """Up to so many of the entries at once: those that are there; where none is, the next one is waited for."""
    queue: Queue[str | Exception | None] = Queue(4 * most)

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
        while isinstance(entry, str) and len(group) < most:
            group.append(entry)
            entry = _next(queue)
        yield group
        if entry is NOTHING:
            entry = queue.get()
    if isinstance(entry, Exception):
        raise entry


def _next(queue: Queue[Any]) -> Any:
    try:
        return queue.get_nowait()
    except Empty:
        return NOTHING
