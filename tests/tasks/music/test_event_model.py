"""Events: pieces as tokens and back, transposition, streams, and metrics by hand."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.music.midi import ScorePiece, read_scores
from holdfast.data.music.notes import ScoreMeta, save_midi
from holdfast.data.music.piano_roll import LOWEST
from holdfast.data.music.remi import HIGHEST, EventVocabulary
from holdfast.errors import UserError
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.options import LanguageOptions
from holdfast.models.truncated_bptt import texts_nll
from holdfast.tasks.music.baselines import EventNGrams
from holdfast.tasks.music.config import MusicData
from holdfast.tasks.music.metrics import score_events
from holdfast.tasks.music.preprocessing import EventPreprocessing
from holdfast.tasks.music.task import Composer
from holdfast.tasks.music.trainable import EventTraining, event_nats
from holdfast.tasks.registry import load
from musical import melody

STEPS = 4
SMALL: dict[str, Any] = {
    "model": "events", "hidden_size": 24, "embedding_size": 12, "epochs": 2, "steps": 16, "batch_size": 4,
    "transpose": 2, "learning_rate": 0.01, "device": "cpu",
}  # fmt: skip


def piece(seed: int, bars: int = 4, signature: tuple[int, int] = (4, 4)) -> Any:
    """Return a melody on a flute, a bass on a piano, and drums, on a grid of sixteenths."""
    random, score = np.random.default_rng(seed), symusic.Score(STEPS)
    for name, program, low, every in (("tune", 73, 60, 2), ("bass", 0, 36, 4)):
        track = symusic.Track(name, program, False)
        for start in range(0, 4 * STEPS * bars, every):
            velocity = int(random.choice([55, 79, 103]))
            track.notes.append(symusic.Note(start, every, low + int(random.choice([0, 2, 4, 7])), velocity))
        score.tracks.append(track)
    drums = symusic.Track("drums", 0, True)
    for start in range(0, 4 * STEPS * bars, STEPS):
        drums.notes.append(symusic.Note(start, 1, 36, 79))
    score.tracks.append(drums)
    return ScoreMeta(100, None, signature).apply_to(score)


SCORES = [piece(seed) for seed in range(6)]
PREPROCESSING = EventPreprocessing.fit(
    [ScorePiece(str(i), one) for i, one in enumerate(SCORES)], MusicData(steps_per_beat=STEPS)
)
VOCABULARY = PREPROCESSING.vocabulary


def rows(score: Any) -> list[tuple[Any, ...]]:
    """Return every note: voice, instrument, start and length in quarters, pitch."""
    ticks = score.ticks_per_quarter
    return sorted(
        (t.is_drum, "" if t.is_drum else t.name, t.program if not t.is_drum else 0,
         n.time / ticks, n.duration / ticks, n.pitch)
        for t in score.tracks
        for n in t.notes
    )  # fmt: skip


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([(4, 4), (3, 4)]))
def test_tokens_keep_notes_voices_and_instruments(seed: int, bars: int, signature: tuple[int, int]) -> None:
    vocabulary = EventVocabulary.fit([*SCORES, piece(0, signature=(3, 4))], STEPS)
    score = piece(seed, bars, signature)
    ids = vocabulary.encode(score)
    again = vocabulary.decode(ids)
    assert rows(again) == rows(score)
    assert vocabulary.encode(again).tolist() == ids.tolist()


def test_the_vocabulary_survives_json() -> None:
    state = json.loads(json.dumps(VOCABULARY.state()))
    again = EventVocabulary.from_state(state)
    assert again.names == VOCABULARY.names and again.voices == VOCABULARY.voices
    assert again.encode(SCORES[0]).tolist() == VOCABULARY.encode(SCORES[0]).tolist()
    with pytest.raises(UserError, match="events are damaged"):
        EventVocabulary.from_state({"tokenizer": {}, "voices": []})


@pytest.mark.parametrize("semitones", [-12, -1, 0, 5])
def test_transposition_moves_pitches_and_nothing_else(semitones: int) -> None:
    ids = VOCABULARY.encode(SCORES[1])
    table = VOCABULARY.transposition(semitones)
    expected = [
        (drums, name, program, start, length, pitch if drums else pitch + semitones)
        for drums, name, program, start, length, pitch in rows(SCORES[1])
    ]
    assert rows(VOCABULARY.decode(table[ids])) == sorted(expected)


def test_transposition_is_limited_by_the_keyboard() -> None:
    score = symusic.Score(STEPS)
    score.tracks.append(symusic.Track("tune", 73, False))
    for pitch in (LOWEST + 1, HIGHEST - 3):
        score.tracks[0].notes.append(symusic.Note(0, 4, pitch, 80))
    ids = VOCABULARY.encode(ScoreMeta().apply_to(score))
    assert VOCABULARY.room(ids, 5) == (-1, 3) and VOCABULARY.room(ids[:0], 5) == (0, 0)
    split = PREPROCESSING.encode([ScorePiece("far", score)])
    assert PREPROCESSING.transposed(split, [4]).pieces[0].ids.tolist() == split.pieces[0].ids.tolist()
    assert PREPROCESSING.transposed(split, [3]).pieces[0].ids.tolist() != split.pieces[0].ids.tolist()


def test_track_names_make_voices_of_instruments() -> None:
    scores = []
    for number in range(20):
        score = piece(number)
        score.tracks[0].name = f"tune {number}"
        scores.append(score)
    voices = EventVocabulary.fit(scores, STEPS).voices
    assert [(voice.name, voice.program) for voice in voices] == [("", 0), ("", 73)]


def test_notes_name_what_events_drop(tmp_path: Path) -> None:
    for seed in range(10):
        save_midi(tmp_path / f"{seed}.mid", piece(seed))
    score = piece(3)
    score.tracks[0].notes.append(symusic.Note(0, 13 * STEPS, 90, 80))
    score.tracks[0].notes.append(symusic.Note(0, STEPS, 120, 80))
    save_midi(tmp_path / "3.mid", score)
    model = Composer(**(SMALL | {"epochs": 1})).fit(tmp_path)
    notes = ("notes beyond a piano's keys, left out of 3.mid", "notes of more than 12 beats, cut in 3.mid")
    assert set(notes) <= set(model.metrics["notes"])
    model.evaluate(tmp_path / "3.mid")
    assert model.notes == notes
    model.evaluate(tmp_path / "4.mid")
    assert model.notes == ()
    assert VOCABULARY.changes(score) == tuple(one.removesuffix(" 3.mid") for one in notes)
    assert EventVocabulary.fit([melody(2)], STEPS).changes(piece(1)) == ("drums, left out of",)


# -- the network -----------------------------------------------------------------------------------


def network() -> RecurrentLanguageModel:
    options = LanguageOptions(embedding_size=8, hidden_size=16, num_layers=2, tied=False)
    return RecurrentLanguageModel(VOCABULARY.size, options).eval()


def test_a_batch_of_pieces_is_scored_like_single_pieces() -> None:
    net = network()
    split = PREPROCESSING.encode([ScorePiece(str(i), piece(i, bars=1 + i)) for i in range(4)])
    found = texts_nll(net, [one.ids for one in split.pieces], split.end)
    for one, nats in zip(split.pieces, found, strict=True):
        text = torch.tensor([split.end, *one.ids, split.end])[:, None]
        with torch.no_grad():
            hidden, _ = net(text[:-1])
            expected = -net.output.log_probabilities(hidden.raw).gather(2, text[1:, :, None]).flatten()
        np.testing.assert_allclose(nats, expected, rtol=1e-4, atol=1e-5)
    total = sum(float(nats.sum(dtype=np.float64)) for nats in found)
    assert event_nats(net, split).tolist() == np.concatenate(found).tolist()
    every = sum(piece(i, bars=1 + i).note_num() for i in range(4))  # drums included
    assert split.note_count == every and split.steps == sum(len(one.ids) + 1 for one in split.pieces)
    metrics = score_events(split, event_nats(net, split))
    assert tuple(metrics.values())[:2] == pytest.approx((total / split.steps, total / every))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("midi")
    for seed in range(12):
        save_midi(path / f"{seed:02}.mid", piece(seed))
    return path


def test_only_training_pieces_are_transposed_and_each_comes_once_in_an_epoch(folder: Path) -> None:
    model = Composer(**SMALL)
    dataset = model.prepare(folder)
    preprocessing, training = dataset.preprocessing, model.untrained(dataset)[1]
    assert isinstance(preprocessing, EventPreprocessing)
    assert isinstance(training, EventTraining)
    end, table = preprocessing.vocabulary.begin, preprocessing.vocabulary.pitches()
    texts = [training.text(epoch) for epoch in (1, 2)]
    assert texts[0].tolist() == training.text(1).tolist() != texts[1].tolist()
    tunes = [one.ids for one in dataset.train.pieces]
    for text in texts:
        pieces = np.split(text, np.flatnonzero(text == end) + 1)[:-1]
        moves = []
        for ids in pieces:
            near = [(other, table[ids[:-1]] - table[other]) for other in tunes if len(other) == len(ids) - 1]
            fits = [set(by[table[other] >= 0].tolist()) for other, by in near]
            moves += [by for by in fits if len(by) == 1 and -2 <= next(iter(by)) <= 2][:1]
        assert len(moves) == len(tunes) == 10
    valid = dataset.valid.pieces[0]
    assert valid.ids.tolist() == preprocessing.vocabulary.encode(piece(int(valid.name[:2]))).tolist()


def test_n_grams_count_every_transposition() -> None:
    train, valid = (
        PREPROCESSING.encode([ScorePiece(str(i), piece(i)) for i in range(*ends)])
        for ends in ((0, 3), (3, 5))
    )
    found = EventNGrams(PREPROCESSING, 2).fit(train, valid)
    assert found.counts is not None
    unigrams = found.counts.ngrams.levels[0]
    assert unigrams.counts.sum() == 5 * train.steps
    pitches = VOCABULARY.pitches()
    seen = {int(pitches[ids]) for one in train.pieces for ids in one.ids} - {-1}
    counted = {int(pitches[event]) for event in unigrams.keys} - {-1}
    assert counted == {pitch + by for pitch in seen for by in range(-2, 3)}


def test_a_run_is_scored_among_n_grams_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    model = Composer(**SMALL).fit(folder, out=tmp_path / "run")
    metrics = model.metrics
    assert metrics["step_kind"] == "token" and metrics["pieces"] == 1
    assert set(metrics["baselines"]) >= {"unigram"} and "nll_per_note" in metrics["model"]
    assert {path.suffix for path in (tmp_path / "run").iterdir()} <= {
        ".toml", ".json", ".safetensors", ".csv", ""
    }  # fmt: skip
    again = load(tmp_path / "run")
    found, expected = again.evaluate(folder), model.evaluate(folder)
    assert found["model"] == pytest.approx(expected["model"])
    assert found["baselines"] == expected["baselines"]
    steps = f"{metrics['steps']:,}"
    assert model.scored_on(metrics) == f"music, test split, {steps} tokens of 1 piece"
    assert again.training_notes.names == model.training_notes.names


def test_a_resumed_run_equals_an_uninterrupted_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Composer(**SMALL).fit(folder, out=tmp_path / "whole")
    taken, plain = itertools.count(), EventTraining.loss

    def interrupted(self: EventTraining, batch: Any) -> Any:
        if next(taken) == 11:
            signal.raise_signal(signal.SIGINT)
        return plain(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(EventTraining, "loss", interrupted)
        stopped = Composer(**SMALL).fit(folder, out=tmp_path / "run")
    assert stopped.history is not None and stopped.history.stopped == "interrupted"
    resumed = Composer(**SMALL).fit(folder, out=tmp_path / "run", resume=True)
    assert resumed.metrics["model"] == whole.metrics["model"]
    for name, tensor in whole.fitted_module().state_dict().items():
        assert torch.equal(tensor, resumed.fitted_module().state_dict()[name])


def test_songs_as_tokens_and_back_are_the_same_tokens(shared_data: Callable[[str], Path]) -> None:
    files = sorted(shared_data("music/pop909").glob("*.mid"))[::90]
    songs = [song for file in files for song in read_scores(file)]
    vocabulary = EventVocabulary.fit([song.score for song in songs], 8)
    assert sorted(voice.name for voice in vocabulary.voices) == ["BRIDGE", "MELODY", "PIANO"]
    for song, one in zip(songs, EventPreprocessing(vocabulary, (4, 4)).encode(songs).pieces, strict=True):
        again = vocabulary.decode(one.ids)
        assert vocabulary.encode(again).tolist() == one.ids.tolist()
        assert one.note_count == again.note_num() <= song.score.note_num() <= 1.02 * one.note_count
