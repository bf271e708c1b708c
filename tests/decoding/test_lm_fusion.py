"""What joins in the search for text, against sums by hand and the models' own scores of whole texts."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.decoding.lm_fusion import (
    UNKNOWN_COST,
    NGramWordModel,
    NoTextModel,
    RecurrentCharacterModel,
    RecurrentWordModel,
    ShallowFusion,
    TextModel,
    WordModelAsText,
)
from holdfast.tasks.language.task import LanguageModel

SENTENCES = ["go left", "go right now", "go left now", "stop", "stop now"]


def total(fusion: ShallowFusion, text: str) -> float:
    """All that a fusion of single signs adds to a text with its end."""
    state, found = fusion.start(), 0.0
    for sign in text:
        state, gained = fusion.advance(state, fusion.pieces.index(sign))
        found += gained
    return found + fusion.end(state)


def by_signs(**asked: Any) -> ShallowFusion:
    return ShallowFusion(["", *" abcdefghijklmnopqrstuvwxyz"], **asked)


def read(model: TextModel, text: str) -> float:
    state, found = model.start(), 0.0
    for sign in text:
        state, gained = model.read(state, sign)
        found += gained
    return found + model.end(state)


def test_an_n_gram_scores_words_as_its_text_is_scored() -> None:
    words = NGramWordModel.fit(SENTENCES, 3)
    text = "go left now\n"
    ids = words.words.encode(text)
    whole = -float(words.ngrams.nll(ids, words.order, np.array([words.words.begin])).sum())
    assert read(WordModelAsText(words), "go left now") == pytest.approx(whole)


def test_every_next_word_together_is_certain() -> None:
    words = NGramWordModel.fit(SENTENCES, 2)
    after_go, _ = words.word(words.start(), "go")
    known = [w for w in words.words.words if w not in ("<eos>", "<unk>")]
    chances = [np.exp(words.word(after_go, word)[1]) for word in known]
    unknown = np.exp(words.word(after_go, "<unk>")[1])
    assert sum(chances) + np.exp(words.end(after_go)) + unknown == pytest.approx(1.0)


def test_an_unknown_word_costs_more() -> None:
    words = NGramWordModel.fit(SENTENCES, 2)
    state = words.start()
    assert words.word(state, "fly")[1] == pytest.approx(words.word(state, "<unk>")[1] - UNKNOWN_COST)


@given(st.lists(st.sampled_from("ab "), max_size=8).map("".join))
def test_each_word_has_its_bonus(text: str) -> None:
    assert total(by_signs(bonus=1.5), text) == pytest.approx(1.5 * len(text.split()))


@given(st.lists(st.sampled_from(["hot", "ho", "hotter", "other"]), max_size=4).map(" ".join))
def test_only_whole_hot_words_keep_their_boost(text: str) -> None:
    found = total(by_signs(hot={"hot": 2.0, "hotel": 4.0}), text)
    assert found == pytest.approx(2.0 * text.split().count("hot"))


def test_a_hot_word_grows_letter_by_letter() -> None:
    fusion = by_signs(hot={"hot": 3.0})
    state, gained = fusion.advance(fusion.start(), fusion.pieces.index("h"))
    assert gained == pytest.approx(1.0)
    assert fusion.advance(state, fusion.pieces.index("a"))[1] == pytest.approx(-1.0)


def test_units_of_several_signs_add_as_their_signs_do() -> None:
    grams = WordModelAsText(NGramWordModel.fit(SENTENCES, 2))
    asked = {"model": grams, "weight": 0.7, "bonus": 0.3, "hot": {"left": 1.0}}
    by_words = ShallowFusion(["", "go ", "left ", "now "], **asked)  # type: ignore[arg-type]
    state, found = by_words.start(), 0.0
    for unit in (1, 2, 3):
        state, gained = by_words.advance(state, unit)
        found += gained
    assert found + by_words.end(state) == pytest.approx(total(by_signs(**asked), "go left now"))


def test_no_model_adds_nothing() -> None:
    assert read(NoTextModel(), "go left") == 0.0


@pytest.mark.parametrize("unit", ["word", "character"])
def test_a_recurrent_model_scores_as_the_language_model_does(unit: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES * 60) + "\n")
    model = LanguageModel(
        token=unit, hidden_size=12, num_layers=2, tied=False, epochs=1, steps=8, batch_size=4
    ).fit(tmp_path / "text.txt")
    reader = model.reader()
    text: TextModel = (
        WordModelAsText(RecurrentWordModel(reader)) if unit == "word" else RecurrentCharacterModel(reader)
    )
    _, nats = model.surprise("go left now\n")
    assert read(text, "go left now") == pytest.approx(-float(nats.sum()), abs=1e-4)


def test_a_pause_ends_a_word_for_the_model_and_the_bonus() -> None:
    fusion = by_signs(model=WordModelAsText(NGramWordModel.fit(SENTENCES, 2)), bonus=1.0)
    state, found = fusion.start(), 0.0
    for sign in "go":
        state, gained = fusion.advance(state, fusion.pieces.index(sign))
        found += gained
    after, gained = fusion.pause(state)
    assert fusion.pause(after) == (after, 0.0)
    for sign in "left":
        after, more = fusion.advance(after, fusion.pieces.index(sign))
        gained += more
    assert found + gained + fusion.end(after) == pytest.approx(total(fusion, "go left"))


def test_a_recurrent_model_keeps_nothing_of_a_long_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES * 60) + "\n")
    model = LanguageModel(hidden_size=8, num_layers=1, epochs=1, steps=8, batch_size=4).fit(
        tmp_path / "text.txt"
    )
    text = RecurrentCharacterModel(model.reader())
    state: Any = text.start()
    alive = weakref.ref(state)
    for sign in "go left now " * 400:
        state, _ = text.read(state, sign)
    assert np.isfinite(text.end(state)) and alive() is None
