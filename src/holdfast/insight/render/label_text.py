"""Labels of steps as they can be shown: signs for what is blank, and texts laid out on lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_BLANKS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "": "∅"}
_ASCII_SIGNS = {"␣": "_", "⏎": "/", "⇥": ">", "␍": "<", "∅": "-"}
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: str) -> str:
    """A text that any output can carry: what is no character of its own (controls, halves of pairs) becomes "�".

    Marks that change the direction of writing go the same way; tabs and line ends stay.

    Example:
        >>> clean("a\\x00b\\ud800")
        'a�b�'
    """
    return "".join(c if c in _BLANKS or unicodedata.category(c) not in _UNSHOWN else "�" for c in text)


def sign(label: str) -> str:
    """A label that can be seen: blanks alone become signs, and line ends and tabs wherever they stand.

    Example:
        >>> sign(" "), sign("\\n"), sign("two words"), sign("")
        ('␣', '⏎', 'two words', '∅')
    """
    if label in _BLANKS:
        return _BLANKS[label]
    shown = "".join(c if c == " " else _BLANKS.get(c, c) for c in clean(label))
    return shown if shown.strip() else "␣" * len(shown)


def plain(text: str) -> str:
    """A text in ASCII, for terminals that can do no more, letter by letter; what has no counterpart becomes "?".

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
    """Where a step stands in a text of fixed width: its line, its column, and its width in cells."""

    line: int
    column: int
    width: int


def laid_out(labels: Sequence[str], width: int) -> list[Place]:
    """The places of steps written one after another: lines end where a label ends one, and where they are full.

    Single characters stand side by side, longer labels with a gap between them.

    Example:
        >>> laid_out(["a", "\\n", "b"], 80)[2]
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
