"""Composition with piano rolls and with events follows the request."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli import main
from holdfast.data.music.key_detection import Key
from holdfast.data.music.midi import ScorePiece, read_scores, roll_of
from holdfast.data.music.notes import ScoreMeta, save_midi
from holdfast.data.music.piano_roll import KEYS, LOWEST
from holdfast.models.music import SILENT, SOUNDS
from holdfast.tasks.music.config import MusicConfig, MusicData, Prediction
from holdfast.tasks.music.piano_roll_model import PianoRollBackend, generator, known_under
from holdfast.tasks.music.request import CompositionRequest
from holdfast.tasks.music.result import sentences
from holdfast.tasks.music.task import Composer
from holdfast.tasks.registry import load
from musical import folder_of, melody, piece, tiny, trained

KINDS = ("roll", "independent", "events")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("music")
    folder = folder_of(root / "midi")
    save_midi(root / "primer.mid", piece(99, 2))
    save_midi(root / "melody.mid", melody())
    return {
        "roll": trained(folder, root / "roll"),
        "independent": trained(folder, root / "independent", output="independent", cell="gru"),
        "events": trained(folder, root / "events", model="events", epochs=5, learning_rate=0.02),
        "primer": root / "primer.mid",
        "melody": root / "melody.mid",
    }


def rows(score: Any, end: float = 1e9) -> list[tuple[Any, ...]]:
    """Return instrument, start and length in quarters, and pitch of all notes before a quarter."""
    ticks = score.ticks_per_quarter
    found = ((t.program, n.time / ticks, n.duration / ticks, n.pitch) for t in score.tracks for n in t.notes)
    return sorted(row for row in found if row[1] < end)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_piece(runs: dict[str, Path], kind: str) -> None:
    model = load(runs[kind])
    one, again, other = (model.compose(bars=4, seed=seed) for seed in (5, 5, 6))
    assert rows(one.score) == rows(again.score) != rows(other.score)


@pytest.mark.parametrize("kind", KINDS)
def test_tempo_key_and_length_are_as_requested(runs: dict[str, Path], kind: str) -> None:
    found = load(runs[kind]).compose(seconds=6, tempo=80, key="Bb minor", seed=1)
    heading = ScoreMeta.of(found.score)
    assert (heading.tempo, heading.key) == (80, Key.of("Bb minor"))
    assert found.seconds == pytest.approx(6) and found.score.end() / found.score.ticks_per_quarter <= 8
    allowed = Key.of("Bb minor").scale
    assert rows(found.score) and all(allowed[pitch % 12] for *_, pitch in rows(found.score))


@pytest.mark.parametrize("kind", KINDS)
def test_a_continuation_begins_with_its_primer_note_by_note(runs: dict[str, Path], kind: str) -> None:
    found = load(runs[kind]).compose(runs["primer"], bars=3, seed=2)
    primer = read_scores(runs["primer"])[0].score
    assert rows(found.score, 8) == rows(primer)
    assert [t.name for t in found.score.tracks][:2] == ["tune", "bass"]
    assert {t.program for t in found.score.tracks} == {73, 0}
    later = [row for row in rows(found.score) if row[1] >= 8]
    assert later and max(start + length for _, start, length, _ in later) <= 20
    assert ScoreMeta.of(found.score) == ScoreMeta.of(primer)


def test_only_the_first_bars_of_a_primer_are_taken(runs: dict[str, Path]) -> None:
    found = load(runs["roll"]).compose(runs["primer"], primer_bars=1, bars=1, seed=2)
    assert rows(found.score, 4) == rows(read_scores(runs["primer"])[0].score, 4)
    assert max(start + length for _, start, length, _ in rows(found.score)) <= 8


def test_voices_missing_in_the_primer_get_their_own_tracks(runs: dict[str, Path]) -> None:
    found = load(runs["roll"]).compose(runs["melody"], bars=4, seed=2).score
    first, *others = found.tracks
    assert (first.name, first.program) == ("tune", 73) and others
    roll = roll_of(ScorePiece("new", found), 2)[16:]
    assert 1 + len(others) >= roll.sum(1).max() > 1


def test_events_keep_their_voices_and_instruments(runs: dict[str, Path]) -> None:
    found = load(runs["events"]).compose(bars=8, seed=3)
    assert {(t.name, t.program) for t in found.score.tracks} <= {("tune", 73), ("bass", 0)}


@pytest.mark.parametrize("kind", ["roll", "independent"])
def test_a_harmonised_melody_is_unchanged_and_on_top(runs: dict[str, Path], kind: str) -> None:
    found = load(runs[kind]).compose(harmonize=runs["melody"], proposals=6, seed=4)
    tune, *others = found.score.tracks
    given = read_scores(runs["melody"])[0]
    assert (tune.name, tune.program) == ("tune", 73)
    assert [(n.time, n.duration, n.pitch) for n in tune.notes] == [
        (n.time, n.duration, n.pitch) for n in given.score.tracks[0].notes
    ]
    whole, top = (roll_of(song, 2) for song in (ScorePiece("whole", found.score), given))
    assert not (whole[: len(top)] & above_the_melody(top)).any()
    assert others and sum(len(track.notes) for track in others) > 0
    assert all(track.name.startswith("voice ") or track.name in ("alto", "tenor", "bass") for track in others)


def above_the_melody(top: Any) -> Any:
    """Return [T, K]: the keys above a melody's note."""
    return np.array([np.arange(KEYS) > (np.flatnonzero(f).max() if f.any() else KEYS) for f in top])


@given(st.lists(st.one_of(st.none(), st.integers(0, KEYS - 1)), min_size=1, max_size=10))
def test_the_known_keys_under_a_melody(keys: list[int | None]) -> None:
    tune = np.zeros((len(keys), KEYS), np.bool_)
    for frame, key in enumerate(keys):
        if key is not None:
            tune[frame, key] = True
    known = known_under(tune, CompositionRequest.of(Prediction(), None))
    np.testing.assert_array_equal(known == SOUNDS, tune)
    np.testing.assert_array_equal(known == SILENT, above_the_melody(tune))


def test_without_a_seed_every_piece_is_new() -> None:
    samples = [torch.rand(4, generator=generator(None)).tolist() for _ in range(2)]
    assert samples[0] != samples[1]


# -- through the command line ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_predict_writes_midi_plot_and_sound(
    runs: dict[str, Path], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"piece.{ending}" for ending in ("mid", "png", "wav")]
    flags = [word for name, path in zip(("midi", "plot", "wav"), files) for word in (f"--{name}", str(path))]
    code = main(["predict", str(runs[kind]), "--seconds", "5", "--tempo", "96", "--seed", "1", *flags])
    out, err = capsys.readouterr()
    assert code == 0, err
    summary = json.loads(out)
    assert summary["tempo"] == 96 and summary["seconds"] == 5 and summary["midi"] == str(files[0])
    assert summary["copied"]["piece"].endswith(".mid") and 0 < summary["copied"]["share"] <= 1
    assert "longest passage that is in a training piece" in err and "The audio is in" in err
    assert sum(voice["notes"] for voice in summary["voices"]) == len(rows(read_scores(files[0])[0].score))
    assert files[1].read_bytes().startswith(b"\x89PNG")
    with wave.open(str(files[2])) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert file.getnframes() == 5 * file.getframerate() and np.abs(samples.astype(int)).max() > 10_000


def test_the_summary_names_a_copied_piece(runs: dict[str, Path]) -> None:
    model = load(runs["events"])
    found = model.compose(bars=2, seed=0)
    copy = type(found)(piece(3), found.request, model.training_notes, found.steps_per_beat)
    summary = copy.summary()
    assert summary["copied"]["piece"] == "03.mid" and summary["copied"]["share"] == 1
    assert any("most of it is a copy" in sentence for sentence in sentences(summary))


def test_the_first_frame_of_a_new_piece_is_that_of_a_training_piece(runs: dict[str, Path]) -> None:
    model = load(runs["roll"])
    roll = roll_of(ScorePiece("new", model.compose(bars=1, seed=8).score), 2)
    first = set((np.flatnonzero(roll[0]) + LOWEST).tolist())
    training = model.training_notes
    starts = [training.piece(i) for i in range(len(training))]
    assert first in [set(notes.pitches[notes.starts == 0].tolist()) for notes in starts]


def test_a_piece_without_notes_is_written_and_summarized_too(runs: dict[str, Path], tmp_path: Path) -> None:
    model = load(runs["roll"])
    silent = model.compose(bars=1, seed=0)
    for track in silent.score.tracks:
        track.notes.clear()
    summary = silent.summary()
    assert summary["notes"] == 0 and summary["copied"] is None and summary["likeliest_key"] is None
    assert len(sentences(summary)) == 2
    silent.save(tmp_path / "a.mid", tmp_path / "a.png", tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 2 * file.getframerate()  # four quarters at a tempo of 120


def with_drums(seed: int) -> Any:
    """Return a piece with a drum on every beat."""
    score = piece(seed)
    track = symusic.Track("kit", 0, True)
    for beat in range(16):
        track.notes.append(symusic.Note(480 * beat, 120, 36 + 2 * (beat % 2), 100))
    score.tracks.append(track)
    return score


@pytest.fixture(scope="module")
def drummed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drums")
    for seed in range(10):
        save_midi(root / f"{seed}.mid", with_drums(seed))
    return root


def test_notes_name_the_drums_that_a_roll_leaves_out(drummed: Path) -> None:
    notes = Composer(steps_per_beat=2).prepare(drummed).notes
    assert any(note.startswith("drums, left out of ") for note in notes)
    assert not any("drums" in note for note in Composer(model="events").prepare(drummed).notes)
    model = Composer(**tiny(steps_per_beat=2)).fit(drummed)
    model.evaluate(drummed / "3.mid")
    assert model.notes == ("drums, left out of 3.mid",)


def test_events_keep_drums_on_their_own_track(drummed: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    model = load(trained(drummed, tmp_path / "run", model="events", epochs=4, learning_rate=0.02))
    found = model.compose(bars=16, key="C major", seed=1).score
    kits = [track for track in found.tracks if track.is_drum]
    assert len(kits) == 1 and len(kits[0].notes)
    scale = Key.of("C").scale
    assert all(scale[n.pitch % 12] for t in found.tracks if not t.is_drum for n in t.notes)
    without = load(runs["events"]).compose(drummed / "0.mid", bars=2, seed=1).score
    assert sum(len(track.notes) for track in without.tracks if track.is_drum) == 16  # the primer's


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_primer_that_ends_between_frames_is_continued(
    runs: dict[str, Path], tmp_path: Path, steps: int
) -> None:
    score = melody(1)
    score.tracks[0].notes.append(symusic.Note(4 * 480 - 7, 7, 60, 80))
    save_midi(tmp_path / "late.mid", score)
    request = CompositionRequest.of(Prediction(bars=1, seed=0), read_scores(tmp_path / "late.mid")[0])
    model = load(runs["roll"])
    module, preprocessing = model.fitted()
    backend = PianoRollBackend(MusicConfig(data=MusicData(steps_per_beat=steps)))
    found = backend.compose(module, preprocessing, model.training_notes, request)
    assert rows(found, 4) == rows(read_scores(tmp_path / "late.mid")[0].score)
