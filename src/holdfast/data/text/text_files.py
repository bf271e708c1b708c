"""Text from files and folders, read in chunks: a dataset may be larger than memory."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from holdfast.errors import UserError
from holdfast.files import missing_file

CHUNK = 1 << 20
"""Characters per chunk."""


@dataclass(frozen=True)
class TextFiles:
    """The text of several files, in order; line ends are ``\\n``.

    Attributes:
        paths: the files.
        encoding: the encoding of all files; a UTF-8 byte order mark is skipped.
    """

    paths: Sequence[Path]
    encoding: str = "utf-8"

    @classmethod
    def of(cls, path: Path, encoding: str = "utf-8") -> TextFiles:
        """Return the text of a file, or of a folder's files by name, without hidden ones.

        Raises:
            UserError: the path is missing, the folder is empty, or the encoding is unknown.
        """
        try:
            "".encode(encoding)  # knows codecs that make no text, such as base64, as well
        except (LookupError, UnicodeError) as error:
            rule = "The encoding must be a text encoding that Python knows."
            raise UserError(rule, f"It was {encoding!r}.", "Give for example utf-8 or latin-1.") from error
        if not path.exists():
            raise missing_file(path)
        paths = sorted(_files(path)) if path.is_dir() else [path]
        if not paths:
            rule = "A folder of texts must hold files."
            raise UserError(rule, f"{path} holds none.", "Give another folder, or a file.")
        return cls(paths, encoding)

    def chunks(self) -> Iterator[str]:
        """Yield chunks that end after a line, or within a very long line after white space.

        Raises:
            UserError: a file is not text in this encoding (the error names the line).
        """
        name = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        for path in self.paths:
            try:
                with path.open(encoding=name) as file:
                    yield from _whole_lines(_checked(path, file))
            except UnicodeError as error:
                raise self._undecodable(path, name, error) from error

    def _undecodable(self, path: Path, name: str, error: UnicodeError) -> UserError:
        line = 1 + _line_ends_before_error(path, name)
        return UserError(
            f"The text must be {self.encoding}.",
            f"Line {line} of {path} is not: {error}.",
            "Correct that line, convert the file (for example with iconv -f latin1 -t utf-8), or train with "
            "--encoding latin-1; or check that it is a text file at all.",
        )


def is_number(text: str) -> bool:
    """Return whether a text can be read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def characters_between(chunks: Iterable[str], start: int, stop: int) -> Iterator[str]:
    """Yield the characters ``start`` to ``stop`` (excluded) of a text in chunks."""
    at = 0
    for chunk in chunks:
        inside = chunk[max(start - at, 0) : max(stop - at, 0)]
        if inside:
            yield inside
        at += len(chunk)
        if at >= stop:
            return


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _checked(path: Path, file: TextIO) -> Iterator[str]:
    lines = 1
    while chunk := file.read(CHUNK):
        if "\0" in chunk:
            line = lines + chunk[: chunk.index("\0")].count("\n")
            raise UserError(
                "A text file must not hold binary data.",
                f"Line {line} of {path} has a zero byte.",
                "Give a text file; convert UTF-16 with iconv, or train with --encoding utf-16.",
            )
        lines += chunk.count("\n")
        yield chunk


def _whole_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Cut text after line ends; cut a line longer than a chunk after white space, if it has any."""
    rest = ""
    for chunk in chunks:
        rest += chunk
        end = rest.rfind("\n") + 1 or (_last_space(rest) if len(rest) > CHUNK else 0)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _last_space(text: str) -> int:
    """Return the position after the last white space; 0 if there is none."""
    if text[-1:].isspace():
        return len(text)
    _, *last = text.rsplit(None, 1)
    return len(text) - len(last[0]) if last else 0


def _line_ends_before_error(path: Path, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)()
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            before = decoder.getstate()
            try:
                found += decoder.decode(chunk).count("\n")
            except UnicodeError:
                decoder.setstate(before)
                return found + _until_error(decoder, chunk).count("\n")
    return found


def _until_error(decoder: codecs.IncrementalDecoder, chunk: bytes) -> str:
    text = ""
    with contextlib.suppress(UnicodeError):
        for number in chunk:
            text += decoder.decode(bytes([number]))
    return text
