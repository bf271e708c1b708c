"""The summary of a translator's results, and the dates of its demo."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from holdfast.demos.translate import DATES, dates, in_words
from holdfast.tasks.translate.metrics import Scorer
from holdfast.tasks.translate.task import Translator


def result(own: float, copy: float, words: float) -> dict[str, Any]:
    return {
        "split": "test",
        "sentences": 1000,
        "model": {"bleu": own},
        "baselines": {"copy": {"bleu": copy}, "word_by_word": {"bleu": words}},
        "signatures": {"bleu": "tok:13a"},
    }


def test_the_verdict_is_honest() -> None:
    assert Translator.scored_on(result(30.0, 1.0, 10.0)) == "translate, test split, 1,000 sentences"
    better, signature = Translator.verdict(result(30.0, 1.0, 10.0))
    assert "BLEU is 30.0" in better and "the likeliest translation of each word (10)" in better
    assert "tok:13a" in signature
    assert "below the best baseline" in Translator.verdict(result(9.0, 1.0, 10.0))[0]
    assert (
        "the source unchanged, has 50, far above: use it instead"
        in Translator.verdict(result(9.0, 50.0, 10.0))[0]
    )
    assert ["holdfast", "evaluate", "runs/x", "--json"] in Translator.next_commands("runs/x", ["train"], [])


def test_bleu_by_hand() -> None:
    """A sentence of five words, not too short, matches 4 of 5 1-grams, 3 of 4, 2 of 3, 1 of 2."""
    score = Scorer(lower=True)
    found = score(["A man sees the dog"], ["a man sees the cat"])
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert found["bleu"] == pytest.approx(expected)
    assert score(["ab"], ["ab"])["chrf"] == pytest.approx(100)
    assert "case:lc" in score.signatures["bleu"] and "tok:13a" in score.signatures["bleu"]
    assert Scorer(lower=False)(["A man sees the dog"], ["a man sees the cat"])["bleu"] < expected


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(1984, 7, 3), "the third of July nineteen eighty-four"),
        (date(1905, 1, 12), "the twelfth of January nineteen oh five"),
        (date(2000, 2, 20), "the twentieth of February two thousand"),
        (date(1700, 3, 31), "the thirty-first of March seventeen hundred"),
        (date(2019, 12, 22), "the twenty-second of December twenty nineteen"),
    ],
)
def test_dates_are_spelled_out(day: date, words: str) -> None:
    assert in_words(day) == words


def test_the_demo_dates_are_distinct_and_reproducible() -> None:
    rows = [line.split("\t") for line in dates().splitlines()]
    assert len({source for source, _ in rows}) == len({target for _, target in rows}) == DATES
    assert all(in_words(date.fromisoformat(source)) == target for source, target in rows)
    assert all(re.fullmatch(r"the [a-z-]+ of [A-Z][a-z]+ [a-z -]+", target) for _, target in rows)
    assert dates() == dates()
