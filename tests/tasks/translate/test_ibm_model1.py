"""IBM model 1 against its expectation maximization in plain Python, and the baselines."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.text.parallel import SentencePairs
from holdfast.errors import UserError
from holdfast.tasks.translate import ibm_model1
from holdfast.tasks.translate.baselines import baseline_set
from holdfast.tasks.translate.ibm_model1 import NOTHING, Alignment
from holdfast.tasks.translate.preprocessing import PairSplit

Sentence = list[str]


def by_hand(pairs: list[tuple[Sentence, Sentence]], rounds: int) -> dict[tuple[str, str], float]:
    """``t(target | source)``, word by word."""
    chances: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: dict[tuple[str, str], float] = defaultdict(float)
        totals: dict[str, float] = defaultdict(float)
        for source, target in pairs:
            for word in target:
                whole = sum(chances[s, word] for s in [NOTHING, *source])
                for s in [NOTHING, *source]:
                    counts[s, word] += chances[s, word] / whole
                    totals[s] += chances[s, word] / whole
        chances = defaultdict(float, {(s, t): count / totals[s] for (s, t), count in counts.items()})
    return dict(chances)


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)
OTHERS = st.lists(st.sampled_from("WXYZ"), min_size=1, max_size=4)


@given(pairs=st.lists(st.tuples(WORDS, OTHERS), min_size=1, max_size=6), rounds=st.integers(1, 4))
def test_probabilities_equal_plain_python(pairs: list[tuple[Sentence, Sentence]], rounds: int) -> None:
    found = Alignment.fit(pairs, rounds)
    expected = by_hand(pairs, rounds)
    count = len(found.targets)
    own = {
        (found.sources[key // count], found.targets[key % count]): chance
        for key, chance in zip(found.keys.tolist(), found.chances.tolist(), strict=True)
    }
    assert own == pytest.approx(expected, abs=1e-12)
    for source, target in found.likeliest().items():
        assert expected[source, target] == pytest.approx(
            max(p for (s, _), p in expected.items() if s == source)
        )


def test_the_classic_example() -> None:
    pairs = [("das Haus", "the house"), ("das Buch", "the book"), ("ein Buch", "a book")]
    found = Alignment.fit([(s.split(), t.split()) for s, t in pairs], 20).likeliest()
    assert found == {"das": "the", "Haus": "house", "Buch": "book", "ein": "a"}


def split(pairs: SentencePairs) -> PairSplit:
    return PairSplit(pairs, [], [])


def test_only_a_limited_number_of_pairs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ibm_model1, "MOST", 13)
    pairs = SentencePairs(("a b", "c d", "e f"), ("A B", "C D", "E F"))  # 6 cells each
    found = baseline_set(lower=False).fit(split(pairs), split(pairs))
    assert found.notes == ["word_by_word was fitted on the first 2 of 3 training pairs"]
    assert set(found.members[1].table) == {"a", "b", "c", "d"}  # type: ignore[attr-defined]


def test_baselines_are_saved_and_restored() -> None:
    pairs = SentencePairs(("Das Haus .", "das Buch !", "ein Buch"), ("The house .", "the book !", "a book"))
    found = baseline_set(lower=True).fit(split(pairs), split(pairs))
    again = baseline_set(lower=True).load_state(found.state())
    for one in (found, again):
        assert dict(one.each(split(SentencePairs(("DAS Buch, Pferd",), ("",))))) == {
            "copy": ["das buch, pferd"],
            "word_by_word": ["the book, pferd"],
        }
    with pytest.raises(UserError, match="lacks"):
        baseline_set(lower=True).load_state({})
