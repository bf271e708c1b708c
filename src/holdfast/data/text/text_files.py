"""Text from files and folders, in pieces, so that a corpus may be larger than the memory."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from holdfast.errors import UserError

CHUNK = 1 << 20
"""Characters that are read at once."""


@dataclass(frozen=True)
class TextFiles:
    """The text of some files, one after the other; line ends are ``\\n``.

    Attributes:
        paths: the files.
        encoding: of all of them; a byte order mark of UTF-8 is passed over.
    """

    paths: Sequence[Path]
    encoding: str = "utf-8"

    @classmethod
    def of(cls, path: Path, encoding: str = "utf-8") -> TextFiles:
        """A file, or all files in a folder and its folders (by name; hidden ones are passed over).

        Raises:
            UserError: nothing there, an empty folder, or an unknown encoding.
        """
        try:
            "".encode(encoding)  # knows codecs that make no text, such as base64, as well
        except (LookupError, UnicodeError) as error:
            rule = "The encoding is one of texts that Python knows."
            raise UserError(rule, f"It was {encoding!r}.", "Give for example utf-8 or latin-1.") from error
        if not path.exists():
            raise UserError("The text must be there.", f"There is no {path}.", "Check the name.")
        paths = sorted(_files(path)) if path.is_dir() else [path]
        if not paths:
            rule = "A folder of texts holds files."
            raise UserError(rule, f"{path} holds none.", "Give another folder, or a file.")
        return cls(paths, encoding)

    def chunks(self) -> Iterator[str]:
        """The text, piece by piece; a piece ends behind a line, or in a long one behind white space.

        Raises:
            UserError: bytes that are no text in the encoding, with their file and line.
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
            f"A text is read as {self.encoding}.",
            f"Line {line} of {path} is not: {error}.",
            "Correct that line, or convert the file, for example by iconv -f latin1 -t utf-8 (training also takes "
            "--encoding latin-1); or is it no text at all?",
        )


def characters_between(pieces: Iterable[str], start: int, stop: int) -> Iterator[str]:
    """The characters ``start`` to ``stop`` (excluded) of a text."""
    at = 0
    for piece in pieces:
        part = piece[max(start - at, 0) : max(stop - at, 0)]
        if part:
            yield part
        at += len(piece)
        if at >= stop:
            return


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _checked(path: Path, file: TextIO) -> Iterator[str]:
    lines = 1
    while piece := file.read(CHUNK):
        if "\0" in piece:
            line = lines + piece[: piece.index("\0")].count("\n")
            raise UserError(
                "A text holds characters, no binary data.",
                f"Line {line} of {path} has a zero byte.",
                "Give a text file; one in utf-16 is converted by iconv, or in training named by --encoding utf-16.",
            )
        lines += piece.count("\n")
        yield piece


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """The same text, cut behind line ends; a line longer than a piece behind white space, where it has some."""
    rest = ""
    for piece in pieces:
        rest += piece
        end = rest.rfind("\n") + 1 or (_last_space(rest) if len(rest) > CHUNK else 0)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _last_space(text: str) -> int:
    """Behind the last white space; 0 where there is none."""
    if text[-1:].isspace():
        return len(text)
    _, *behind = text.rsplit(None, 1)
    return len(text) - len(behind[0]) if behind else 0


def _line_ends_before_error(path: Path, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)()
    found = 0
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            before = decoder.getstate()
            try:
                found += decoder.decode(piece).count("\n")
            except UnicodeError:
                decoder.setstate(before)
                return found + _until_error(decoder, piece).count("\n")
    return found


def _until_error(decoder: codecs.IncrementalDecoder, piece: bytes) -> str:
    text = ""
    with contextlib.suppress(UnicodeError):
        for number in piece:
            text += decoder.decode(bytes([number]))
    return text
