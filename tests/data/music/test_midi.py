"""MIDI and ABC: reading, writing, and synthesis."""

from __future__ import annotations

import contextlib
import io
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from holdfast.data.music import synthesis
from holdfast.data.music.key_detection import KEYS as ALL_KEYS
from holdfast.data.music.key_detection import Key, likeliest_key
from holdfast.data.music.midi import (
    ScorePiece,
    check_midi,
    omissions,
    parse_midi,
    read_rolls,
    read_scores,
    roll_of,
)
from holdfast.data.music.notes import ScoreMeta, notes_of, save_midi, score_of_roll, split_voices, voice_names
from holdfast.data.music.piano_roll import KEYS, LOWEST
from holdfast.errors import UserError

SCALE = "X:1\nT:scale\nM:4/4\nL:1/4\nQ:1/4=90\nK:D\nDEFG|A4|\n"


def score(*notes: tuple[int, int, int], drums: bool = False, tempo: float = 120.0) -> Any:
    """A score of notes (start and length in ticks of 480 to the quarter, pitch)."""
    found, track = symusic.Score(480), symusic.Track("lead", 24, drums)
    for start, length, pitch in notes:
        track.notes.append(symusic.Note(start, length, pitch, 90))
    found.tracks.append(track)
    return ScoreMeta(tempo).apply_to(found)


def back(midi: Any) -> ScorePiece:
    return ScorePiece("again", parse_midi(bytes(midi.dumps_midi()), "again"))


rolls = arrays(np.bool_, st.tuples(st.integers(1, 12), st.just(KEYS)), elements=st.booleans()).map(
    lambda roll: roll & (np.arange(KEYS) % 7 == 3)
)


@given(rolls.filter(lambda roll: bool(roll.any())), st.sampled_from([1, 2, 3, 4, 8, 12]))
def test_a_roll_survives_midi(roll: Any, steps: int) -> None:
    found = roll_of(back(score_of_roll(roll, steps)), steps)
    np.testing.assert_array_equal(found, roll[: len(found)])
    assert not roll[len(found) :].any()


@given(rolls)
def test_voices_hold_every_note_once_and_one_at_a_time(roll: Any) -> None:
    voices = split_voices(roll)
    assert sorted(note for voice in voices for note in voice) == sorted(notes_of(roll))
    for voice in voices:
        assert all(a.end <= b.start for a, b in pairwise(voice))
    assert len(voices) >= roll.sum(1).max()  # as many as sound at once, and all are used
    assert all(voices) or not roll.any()


def test_voices_are_split_from_the_top_and_a_held_note_stays_whole() -> None:
    roll = np.zeros((4, KEYS), np.bool_)
    roll[:, 40] = True  # held over the middle
    for frame, (low, high) in enumerate([(20, 60), (21, 59), (22, 58), (23, 57)]):
        roll[frame, [low, high]] = True
    top, middle, bottom = split_voices(roll)
    assert [note.key for note in top] == [60, 59, 58, 57]
    assert [tuple(note) for note in middle] == [(0, 4, 40)]
    assert [note.key for note in bottom] == [20, 21, 22, 23]


def test_four_voices_are_a_choir_and_three_under_a_melody_are_too() -> None:
    assert voice_names(4) == ["soprano", "alto", "tenor", "bass"] and voice_names(3, 2) == [
        "alto",
        "tenor",
        "bass",
    ]
    assert voice_names(2) == ["voice 1", "voice 2"]


def test_midi_holds_tempo_key_and_bars() -> None:
    heading = ScoreMeta(90, Key.of("Bb minor"), (3, 4))
    midi = back(heading.apply_to(score((0, 480, 60)))).score
    assert ScoreMeta.of(midi) == heading
    assert (midi.tempos[0].mspq, midi.key_signatures[0].key, midi.key_signatures[0].tonality) == (
        666_667,
        -5,
        1,
    )


@pytest.mark.parametrize("key", ALL_KEYS, ids=str)
def test_keys_are_read_by_their_names_and_found_in_their_scales(key: Key) -> None:
    assert Key.of(str(key)) == key
    sounding = np.zeros(12)
    for semitones, weight in {0: 5, 3 if key.minor else 4: 3, 7: 4, 2: 1, 5: 1}.items():
        sounding[(key.tonic + semitones) % 12] = weight
    assert likeliest_key(sounding) == key
    third = (key.tonic + (3 if key.minor else 4)) % 12
    assert key.scale[[key.tonic, third]].all() and not key.scale[(key.tonic + 1) % 12]


@pytest.mark.parametrize("name", ["H", "", "D mixolydian", "Fb", "C##", "G# major", "0"])
def test_an_invalid_key(name: str) -> None:
    with pytest.raises(UserError, match="--key must be a letter"):
        Key.of(name)


def test_abc_is_read_with_its_key_and_tempo(tmp_path: Path) -> None:
    (tmp_path / "tunes.abc").write_text(SCALE + "\n" + SCALE.replace("X:1", "X:2").replace("D4", "D2"))
    songs = read_scores(tmp_path)
    assert [song.name for song in songs] == ["tunes.abc, tune 1", "tunes.abc, tune 2"]
    heading = ScoreMeta.of(songs[0].score)
    assert (round(heading.tempo), str(heading.key)) == (90, "D major")
    (first, _) = read_rolls(tmp_path / "tunes.abc", 1)
    assert [np.flatnonzero(frame).item() + LOWEST for frame in first.roll] == [62, 64, 66, 67] + 4 * [69]


def test_abc_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_bytes(b"\xef\xbb\xbf" + SCALE.encode())
    assert read_scores(tmp_path / "a.abc")[0].score.note_num() == 5


def test_a_folder_is_read_by_name_without_other_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    save_midi(tmp_path / "b" / "two.MID", score((0, 480, 62)))
    save_midi(tmp_path / "one.midi", score((0, 480, 60)))
    (tmp_path / "readme.txt").write_text("not music")
    assert [song.name for song in read_scores(tmp_path)] == ["b/two.MID", "one.midi"]


def test_drums_and_extreme_notes_are_dropped_and_reported() -> None:
    drums = score((0, 480, 38), drums=True)
    drums.tracks.append(score((0, 960, 60), (0, 480, 110)).tracks[0])
    song = back(drums)
    roll = roll_of(song, 2)
    assert roll.shape == (4, KEYS) and np.flatnonzero(roll.any(0)).tolist() == [60 - LOWEST]
    assert omissions(song) == ("drums, left out of", "notes beyond a piano's keys, left out of")
    assert omissions(back(score((0, 480, 60)))) == ()
    with pytest.raises(UserError, match="has none, only drums"):
        roll_of(back(score((0, 480, 38), drums=True)), 2)


def test_a_bar_of_one_beat_is_taken_for_four() -> None:
    midi = ScoreMeta(120, None, (1, 4)).apply_to(score((0, 480, 60)))
    assert ScoreMeta.of(back(midi).score).signature == (4, 4)


@given(st.data())
def test_damaged_bytes_are_refused_or_read_without_a_crash(data: st.DataObject) -> None:
    whole = bytes(score(*[(480 * i, 480, 60 + i) for i in range(6)]).dumps_midi())
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UserError):
        assert parse_midi(bytes(damaged[: data.draw(st.integers(0, len(whole)))]), "x.mid").note_num()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"", "It is empty"),
        (lambda b: b"RIFF" + b[4:], "does not begin with MThd"),
        (lambda b: b[:12] + b"\x00\x00" + b[14:], "not in ticks per beat"),
        (lambda b: b[:12] + b"\xe7\x28" + b[14:], "not in ticks per beat"),
        (lambda b: b[:-5], "ends before its track"),
        (lambda b: b.replace(b"\xff\x51\x03\x07\xa1\x20", b"\xff\x51\x03\x00\x00\x00"), "tempo of 0"),
        (lambda b: b[:14] + b"\xff\x00\x01\x02" + b[18:], "does not begin with MTrk"),
    ],
)
def test_files_that_are_not_midi(change: Any, message: str) -> None:
    whole = bytes(score((0, 480, 60)).dumps_midi())
    check_midi(whole, "a.mid")
    with pytest.raises(UserError, match=message):
        check_midi(change(whole), "a.mid")


# -- synthesis -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [48, 57, 69, 81])
def test_the_sound_of_a_note_has_its_frequency(pitch: int) -> None:
    found = synthesis.sound_of(score((0, 4 * 480, pitch)), synthesis.find_soundfont()).mean(1)
    spectrum = np.abs(np.fft.rfft(found * np.hanning(len(found))))
    frequency = np.fft.rfftfreq(len(found), 1 / synthesis.RATE)
    near = np.abs(12 * np.log2(np.maximum(frequency, 1) / 440) + 69 - pitch) < 6  # half an octave
    loudest = frequency[near][spectrum[near].argmax()]
    assert 12 * np.log2(loudest / 440) + 69 == pytest.approx(pitch, abs=0.25)
    assert spectrum[near].max() > 0.3 * spectrum.max()


def test_a_wav_has_the_requested_length_and_is_not_silent(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    synthesis.save_wav(
        path, synthesis.sound_of(score((0, 960, 60), tempo=60), synthesis.find_soundfont(), 2.5)
    )
    with wave.open(io.BytesIO(path.read_bytes())) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (120_000, 48_000, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert np.abs(samples[:48_000].astype(int)).max() > 1000 and not samples[-480:].any()


def test_the_package_brings_a_soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "FOLDER", tmp_path)
    assert synthesis.find_soundfont().parent.name == "pretty_midi"
    monkeypatch.setattr(synthesis.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="soundfont must be installed"):
        synthesis.find_soundfont()
