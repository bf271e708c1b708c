"""Parts of the recognizer: tokenizer, segments, timed words, templates, metrics and settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.audio.feature_cache import ReadyFeatures
from holdfast.data.audio.manifest import Utterance
from holdfast.decoding.ctc import CTCDecoder, GreedyCTC, PrefixBeamSearch, Span
from holdfast.errors import UserError
from holdfast.tasks.speech.baselines import Templates, baseline_set, shape
from holdfast.tasks.speech.config import DecodingConfig, Prediction, SoundConfig
from holdfast.tasks.speech.frontend import Frontend
from holdfast.tasks.speech.metrics import edits, score
from holdfast.tasks.speech.preprocessing import SpeechSplit
from holdfast.tasks.speech.segments import LONGEST, Segmenter, segments_of, text_of, words
from holdfast.tasks.speech.tokenizer import CTCTokenizer

SENTENCES = ["ab a", "ba  b", "abba", "café 日本 a"]


@pytest.mark.parametrize("kind", ["character", "word", "subword"])
def test_a_text_is_decoded_from_its_tokens(kind: str, tmp_path: Path) -> None:
    tokenizer = CTCTokenizer.fit(SENTENCES, kind, 300)
    again = CTCTokenizer.from_dict(tokenizer.to_dict(), tmp_path)
    for text in SENTENCES:
        tokens = tokenizer.encode(text)
        assert 0 not in tokens and tokenizer.decode(tokens) == " ".join(text.split())
        assert again.encode(text) == tokens and again.decode(tokens) == tokenizer.decode(tokens)
        assert "".join(tokenizer.pieces[token] for token in tokens).split() == text.split()


def test_characters_missing_in_training_are_not_written() -> None:
    assert CTCTokenizer.fit(SENTENCES, "character", 0).unknown("ab x") == 1
    assert CTCTokenizer.fit(SENTENCES, "word", 0).unknown("ab c a") == 1
    assert CTCTokenizer.fit(SENTENCES, "subword", 300).unknown("ab x") == 1
    with pytest.raises(UserError, match="damaged"):
        CTCTokenizer.from_dict({"unit": "word"}, Path("data.json"))


# -- segments --------------------------------------------------------------------------------------


def certain(path: list[int], tokens: int = 4) -> np.ndarray:
    return np.log(np.eye(tokens)[path] * 0.96 + 0.01)


@pytest.mark.parametrize("pieces", [["a ", "b ", "c "], [" ", "a", "b"], [" a", "b", " c"]])
@pytest.mark.parametrize("decoding", [GreedyCTC(), PrefixBeamSearch(size=3)])
@given(
    path=st.lists(st.integers(0, 3), max_size=80),
    blocks=st.lists(st.integers(1, 20), min_size=1, max_size=9),
)
def test_segments_do_not_depend_on_the_block_size(
    pieces: list[str], decoding: CTCDecoder, path: list[int], blocks: list[int]
) -> None:
    tokenizer = CTCTokenizer("character", pieces)
    scores = certain(path) if path else np.zeros((0, 4))
    segmenter, found, at = Segmenter(decoding, tokenizer, 0.1), [], 0
    for block in blocks * 80:
        found += segmenter.accept(scores[at : at + block])
        at += block
    found += segmenter.finish()
    assert found == segments_of(scores, decoding, tokenizer, 0.1)
    assert text_of(found).split() == [word.text for segment in found for word in segment.words]


def test_a_word_ends_with_a_pause_in_the_text_as_in_time() -> None:
    tokenizer = CTCTokenizer("character", [" ", "a", "b"])
    found = segments_of(certain([2, 3] + [0] * 15 + [2, 3]), GreedyCTC(), tokenizer, 0.1)
    assert text_of(found) == "ab ab" and [s.text for s in found] == ["ab", "ab"]


def test_a_long_segment_is_cut_after_a_whole_word() -> None:
    tokenizer = CTCTokenizer("character", [" ", "a", "b"])
    path = ([2, 0, 3, 0, 1, 0] * 100)[: int(1.5 * LONGEST / 0.1)]
    first, second = segments_of(certain(path), GreedyCTC(), tokenizer, 0.1)
    assert set(f"{first.text} {second.text}".split()) == {"ab"} and len(first.tokens) < len(path) / 2


def test_a_segment_without_pauses_is_cut_too() -> None:
    segmenter = Segmenter(PrefixBeamSearch(size=2), CTCTokenizer("character", [" ", "a", "b"]), 0.1)
    for _ in range(3000):
        segmenter.accept(certain([2, 3]))
        assert len(segmenter.frames) <= 2 * LONGEST / 0.1


def test_a_pause_ends_a_segment_and_times_continue() -> None:
    tokenizer = CTCTokenizer("word", ["a ", "b ", "c "])
    path = [0, 1, 1, 0, 2] + [0] * 12 + [3, 3]
    first, second = segments_of(certain(path), GreedyCTC(), tokenizer, 0.1)
    assert [word.text for word in first.words] == ["a", "b"] and first.text == "a b"
    assert [(round(w.start, 3), round(w.end, 3)) for w in first.words] == [(0.1, 0.3), (0.4, 0.5)]
    assert [(round(w.start, 3), round(w.end, 3)) for w in second.words] == [(1.7, 1.9)]
    assert first.words[0].confidence == pytest.approx(0.97)


def test_letters_become_timed_words() -> None:
    tokenizer = CTCTokenizer("character", [" ", "a", "b"])
    spans = [Span(2, 0, 1, np.log(0.5)), Span(3, 2, 4, np.log(0.25)), Span(1, 5, 6, 0.0), Span(2, 7, 8, 0.0)]
    first, second = words(spans, tokenizer, 0.1, first=10)
    assert (first.text, round(first.start, 3), round(first.end, 3)) == ("ab", 1.0, 1.4)
    assert first.confidence == pytest.approx((0.5 * 0.25 * 0.25) ** (1 / 3))
    assert second.text == "a" and second.confidence == 1.0


def test_uncertain_text_stays_open() -> None:
    segmenter = Segmenter(GreedyCTC(), CTCTokenizer("word", ["a ", "b ", "c "]), 0.1)
    segmenter.accept(certain([1, 0, 2]))
    assert segmenter.certain() == segmenter.open() == "a b"
    letters = Segmenter(GreedyCTC(), CTCTokenizer("character", [" ", "a", "b"]), 0.1)
    letters.accept(certain([2, 1, 3]))
    assert (letters.certain(), letters.open()) == ("a", "a b")


# -- templates -------------------------------------------------------------------------------------


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            cost = np.linalg.norm(a[i] - b[j])
            table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[-1, -1]) / (len(a) + len(b))


def test_distances_equal_dynamic_time_warping() -> None:
    random = np.random.default_rng(0)
    sounds = [random.normal(size=(int(n), 5)).astype(np.float32) for n in random.integers(4, 30, 12)]
    templates = Templates.of(sounds, [str(i % 3) for i in range(12)])
    sound = shape(random.normal(size=(17, 5)).astype(np.float32))
    wanted = [
        by_definition(frames[:length], sound)
        for frames, length in zip(templates.frames, templates.lengths, strict=True)
    ]
    np.testing.assert_allclose(templates.distances(sound), wanted, rtol=1e-4)
    assert (
        templates.nearest(sounds[4]) == templates.texts[int(templates.distances(shape(sounds[4])).argmin())]
    )


def split_of(sounds: list[np.ndarray], texts: list[str]) -> SpeechSplit:
    frontend = Frontend(ReadyFeatures(3), "none")
    return SpeechSplit([Utterance("", (), text) for text in texts], sounds, [[]] * len(texts), frontend)


def test_baselines_are_restored_from_their_arrays() -> None:
    random = np.random.default_rng(0)
    sounds = [random.normal(size=(9, 3)).astype(np.float32) for _ in range(6)]
    split = split_of(sounds, ["yes", "no", "no", "yes", "no", "ja"])
    fitted = baseline_set().fit(split, split)
    found = dict(fitted.each(split))
    assert found == dict(baseline_set().load_state(fitted.state()).each(split))
    assert set(found["most_frequent"]) == {"no"} and found["nearest_template"][1] == "no"
    several = split_of(sounds, ["a b", "c", "c", "c", "c", "c"])
    fitted = baseline_set().fit(several, several)
    assert dict(fitted.each(several)).keys() == {"most_frequent"} and not fitted.notes
    assert dict(baseline_set().load_state(fitted.state()).each(several)).keys() == {"most_frequent"}
    with pytest.raises(UserError, match="lacks 'sentence'"):
        baseline_set().load_state({})


# -- metrics ---------------------------------------------------------------------------------------


def test_errors_are_counted_over_all_sentences() -> None:
    metrics = score(["a x c", "", "d e"], ["a b c", "a", "d"])
    assert metrics["wer"] == pytest.approx(3 / 5)
    assert (metrics["substitutions"], metrics["deletions"], metrics["insertions"]) == (0.2, 0.2, 0.2)
    assert metrics["cer"] == pytest.approx((1 + 1 + 2) / 7) and metrics["accuracy"] == 0.0


def test_spaces_do_not_count() -> None:
    assert score(["a  b "], ["a b"])["accuracy"] == 1.0


@given(st.lists(st.integers(1, 4), max_size=6), st.lists(st.integers(1, 4), max_size=6))
def test_edits_are_the_fewest(one: list[int], other: list[int]) -> None:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    assert edits(one, other) == row[-1]


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 0}, "--beam"),
        ({"beam": 2000}, "at most 1000"),
        ({"beam": 1, "lm": "ngram"}, "--beam 16"),
        ({"lm_weight": 0.5}, "No --lm"),
        ({"lm": "ngram", "lm_weight": -1.0}, "--lm-weight"),
        ({"hot_words": ("two words",)}, "--hot-words"),
        ({"hot_words": ("a",), "hot_boost": float("nan")}, "--hot-boost"),
    ],
)
def test_an_invalid_search_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DecodingConfig(**settings)  # type: ignore[arg-type]


def test_contradicting_settings_are_refused() -> None:
    with pytest.raises(UserError, match="--live"):
        Prediction(pcm_rate=8000)
    with pytest.raises(UserError, match="PNG"):
        Prediction(plot=Path("a.jpg"))
    with pytest.raises(UserError, match="whole sound"):
        Prediction(plot=Path("a.png"), live=True)
    with pytest.raises(UserError, match="--rate"):
        SoundConfig(rate=10)
