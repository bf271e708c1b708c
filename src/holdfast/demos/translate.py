"""Demo of translate: dates in digits, written out in words."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.files import write_atomic
from holdfast.models.options import TranslationOptions
from holdfast.tasks.translate.config import (
    PairsConfig,
    SearchConfig,
    TranslateConfig,
    TranslateTraining,
)

DATES = 3000
_FIRST, _LAST = date(1700, 1, 1).toordinal(), date(2099, 12, 31).toordinal()

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"}
_ORDINALS |= {"nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM on dates to write in words, such as "the third of July ..."."""
    config = TranslateConfig(
        data=PairsConfig(token="character", split="rest/200/300"),
        network=TranslationOptions(hidden_size=64, decoder_layers=1, dropout=0.1),
        training=TranslateTraining(epochs=6, batch_size=600, learning_rate=1e-2),
        search=SearchConfig(beam=2),
    )
    data = write_data(out, "translate", config, "dates.tsv", dates())
    write_atomic(out / "questions.txt", "2001-02-03\n1789-07-14\n1969-07-20\n2040-12-31\n")
    announce(f"{DATES:,} dates and their words: {data}")
    return compare_cells("translate", config, data, "Dates in words", announce, next=_next)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    folder = data.parent
    return [
        ["holdfast", "predict", run, str(folder / "questions.txt"), "--plot", str(folder / "attention.png")],
        ["holdfast", "train", "translate", "YOUR.tsv"],
    ]


def dates() -> str:
    """Sample distinct dates of four centuries; each line is a date, a tab, and the date in words."""
    drawn = random.Random(0).sample(range(_FIRST, _LAST + 1), DATES)
    days = [date.fromordinal(number) for number in drawn]
    return "".join(f"{day.isoformat()}\t{in_words(day)}\n" for day in days)


def in_words(day: date) -> str:
    """Return a date in words.

    Example:
        >>> in_words(date(1984, 7, 3)), in_words(date(2000, 10, 21))
        ('the third of July nineteen eighty-four', 'the twenty-first of October two thousand')
    """
    return f"the {_ordinal(day.day)} of {day:%B} {_year(day.year)}"


def _ordinal(number: int) -> str:
    """Convert ``21`` to ``twenty-first``."""
    before, dash, last = _cardinal(number).rpartition("-")
    return before + dash + _ORDINALS.get(last, f"{last}th")


def _cardinal(number: int) -> str:
    """Convert ``84``, or another number below 100, to ``eighty-four``."""
    if number < len(_ONES):
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def _year(number: int) -> str:
    """Convert ``1905`` to ``nineteen oh five``."""
    century, rest = divmod(number, 100)
    if rest == 0:
        return "two thousand" if century == 20 else f"{_cardinal(century)} hundred"
    return f"{_cardinal(century)} {f'oh {_ONES[rest]}' if rest < 10 else _cardinal(rest)}"
