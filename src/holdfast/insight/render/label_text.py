"""Make step labels printable, and lay out text on lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_BLANKS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "": "∅"}
_ASCII_SIGNS = {"␣": "_", "⏎": "/", "⇥": ">", "␍": "<", "∅": "-"}
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: str) -> str:
    """Replace control characters, lone surrogates and direction marks, but not tabs or line ends.

    Example:
        >>> clean("a\\x00b\\ud800")
        'a�b�'
    """
    return "".join(c if c in _BLANKS or unicodedata.category(c) not in _UNSHOWN else "�" for c in text)


def sign(label: str) -> str:
    """Make a label visible: a label of only blanks, and any line ends and tabs, become symbols.

    Example:
        >>> sign(" "), sign("\\n"), sign("two words"), sign("")
        ('␣', '⏎', 'two words', '∅')
    """
    if label in _BLANKS:
        return _BLANKS[label]
    shown = "".join(c if c == " " else _BLANKS.get(c, c) for c in clean(label))
    return shown if shown.strip() else "␣" * len(shown)


def plain(text: str) -> str:
    """Convert a text to ASCII letter by letter; a letter without counterpart becomes "?".

    Example:
        >>> plain("naïve ␣ …")
        'naive _ .'
    """
    return "".join(_plain(c) for c in unicodedata.normalize("NFC", text))


def _plain(letter: str) -> str:
    if unicodedata.combining(letter):
        return ""
    first = unicodedata.normalize("NFKD", _ASCII_SIGNS.get(letter, letter))[0]
    return first if first.isascii() else "?"


@dataclass(frozen=True)
class Place:
    """Line, column and width (in cells) of a step in a text of fixed width."""

    line: int
    column: int
    width: int


def lay_out(labels: Sequence[str], width: int) -> list[Place]:
    """Return the places of steps in a text; a line ends at a label's line end or when it is full.

    Labels of single characters are adjacent; longer labels have a gap between them.

    Example:
        >>> lay_out(["a", "\\n", "b"], 80)[2]
        Place(line=1, column=0, width=1)
    """
    gap = int(any(len(label) > 1 for label in labels))
    places, line, column = [], 0, 0
    for label in labels:
        size = min(cell_len(sign(label)) or 1, width)
        if column and column + size > width:
            line, column = line + 1, 0
        places.append(Place(line, column, size))
        column += size + gap
        if label.endswith("\n"):
            line, column = line + 1, 0
    return places
