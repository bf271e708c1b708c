"""Shallow fusion against sums by hand and the models' scores of whole texts."""

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
    """Return all that a character-level fusion adds to a text and its end."""
    state, found = fusion.start(), 0.0
    for character in text:
        state, gained = fusion.advance(state, fusion.pieces.index(character))
        found += gained
    return found + fusion.end(state)


def by_characters(**settings: Any) -> ShallowFusion:
    return ShallowFusion(["", *" abcdefghijklmnopqrstuvwxyz"], **settings)


def read(model: TextModel, text: str) -> float:
    state, found = model.start(), 0.0
    for character in text:
        state, gained = model.read(state, character)
        found += gained
    return found + model.end(state)


def test_an_n_gram_scores_words_as_its_text_is_scored() -> None:
    words = NGramWordModel.fit(SENTENCES, 3)
    text = "go left now\n"
    ids = words.words.encode(text)
    whole = -float(words.ngrams.nll(ids, words.order, np.array([words.words.begin])).sum())
    assert read(WordModelAsText(words), "go left now") == pytest.approx(whole)


def test_probabilities_of_the_next_word_sum_to_one() -> None:
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
    assert total(by_characters(bonus=1.5), text) == pytest.approx(1.5 * len(text.split()))


@given(st.lists(st.sampled_from(["hot", "ho", "hotter", "other"]), max_size=4).map(" ".join))
def test_only_whole_hot_words_keep_their_boost(text: str) -> None:
    found = total(by_characters(hot={"hot": 2.0, "hotel": 4.0}), text)
    assert found == pytest.approx(2.0 * text.split().count("hot"))


def test_a_hot_word_grows_letter_by_letter() -> None:
    fusion = by_characters(hot={"hot": 3.0})
    state, gained = fusion.advance(fusion.start(), fusion.pieces.index("h"))
    assert gained == pytest.approx(1.0)
    assert fusion.advance(state, fusion.pieces.index("a"))[1] == pytest.approx(-1.0)


def test_a_token_of_several_characters_adds_the_sum_of_them() -> None:
    grams = WordModelAsText(NGramWordModel.fit(SENTENCES, 2))
    settings = {"model": grams, "weight": 0.7, "bonus": 0.3, "hot": {"left": 1.0}}
    by_words = ShallowFusion(["", "go ", "left ", "now "], **settings)  # type: ignore[arg-type]
    state, found = by_words.start(), 0.0
    for token in (1, 2, 3):
        state, gained = by_words.advance(state, token)
        found += gained
    assert found + by_words.end(state) == pytest.approx(total(by_characters(**settings), "go left now"))


def test_no_model_adds_nothing() -> None:
    assert read(NoTextModel(), "go left") == 0.0


@pytest.mark.parametrize("kind", ["word", "character"])
def test_a_recurrent_model_scores_as_the_language_model_does(kind: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES * 60) + "\n")
    model = LanguageModel(
        token=kind, hidden_size=12, num_layers=2, tied=False, epochs=1, steps=8, batch_size=4
    ).fit(tmp_path / "text.txt")
    reader = model.reader()
    text: TextModel = (
        WordModelAsText(RecurrentWordModel(reader)) if kind == "word" else RecurrentCharacterModel(reader)
    )
    _, nats = model.surprise("go left now\n")
    assert read(text, "go left now") == pytest.approx(-float(nats.sum()), abs=1e-4)


def test_a_pause_ends_a_word_for_the_model_and_the_bonus() -> None:
    fusion = by_characters(model=WordModelAsText(NGramWordModel.fit(SENTENCES, 2)), bonus=1.0)
    state, found = fusion.start(), 0.0
    for character in "go":
        state, gained = fusion.advance(state, fusion.pieces.index(character))
        found += gained
    after, gained = fusion.pause(state)
    assert fusion.pause(after) == (after, 0.0)
    for character in "left":
        after, more = fusion.advance(after, fusion.pieces.index(character))
        gained += more
    assert found + gained + fusion.end(after) == pytest.approx(total(fusion, "go left"))


def test_a_recurrent_model_frees_old_states(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES * 60) + "\n")
    model = LanguageModel(hidden_size=8, num_layers=1, epochs=1, steps=8, batch_size=4).fit(
        tmp_path / "text.txt"
    )
    text = RecurrentCharacterModel(model.reader())
    state: Any = text.start()
    alive = weakref.ref(state)
    for character in "go left now " * 400:
        state, _ = text.read(state, character)
    assert np.isfinite(text.end(state)) and alive() is None
