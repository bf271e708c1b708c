"""Primers: silent bars, changes of tempo and time signature, keys, and the length of the piece."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import symusic

from holdfast.data.music.key_detection import Key
from holdfast.data.music.meta import ScoreMeta, bar_lines, seconds_of
from holdfast.data.music.midi import read_scores
from holdfast.data.music.notes import save_midi
from holdfast.tasks.music.task import Composer
from holdfast.tasks.registry import load
from musical import folder_of, melody, piece, tiny, trained

KINDS = ("roll", "events")
BAR = 4 * 480


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("primers")
    folder = folder_of(root / "midi")
    return {kind: trained(folder, root / kind, model=kind) for kind in KINDS}


def of_notes(*notes: tuple[int, int, int]) -> Any:
    """Return one voice: start and length in quarters, pitch."""
    score, track = symusic.Score(480), symusic.Track("tune", 73, False)
    for start, length, pitch in notes:
        track.notes.append(symusic.Note(480 * start, 480 * length, pitch, 80))
    score.tracks.append(track)
    return ScoreMeta(100, Key.of("C"), (4, 4)).apply_to(score)


def changing() -> Any:
    """Return a bar of 4/4 at 60 and two of 3/4 at 120, in G major, then D major."""
    score = of_notes((0, 4, 67), (4, 3, 69), (7, 3, 71))
    score.tempos = [symusic.Tempo(0, 60, ttype="tick"), symusic.Tempo(BAR, 120, ttype="tick")]
    score.time_signatures = [
        symusic.TimeSignature(0, 4, 4, ttype="tick"), symusic.TimeSignature(BAR, 3, 4, ttype="tick")
    ]  # fmt: skip
    score.key_signatures = [
        symusic.KeySignature(0, 1, 0, ttype="tick"), symusic.KeySignature(BAR, 2, 0, ttype="tick")
    ]  # fmt: skip
    return score


def maps(score: Any) -> tuple[list[Any], ...]:
    return (
        [(t.time, round(t.qpm)) for t in score.tempos],
        [(s.time, s.numerator, s.denominator) for s in score.time_signatures],
        [(k.time, k.key) for k in score.key_signatures],
    )


def begun(score: Any, quarter: float) -> float:
    """Return the start of the first note from a quarter on."""
    ticks = score.ticks_per_quarter
    return min(n.time / ticks for t in score.tracks for n in t.notes if n.time / ticks >= quarter)


def test_bars_and_seconds_follow_the_tempo_changes() -> None:
    score = changing()
    assert bar_lines(score, 10) == [0, 4, 7, 10] and bar_lines(score, 10.5)[-1] == 13
    assert bar_lines(score, 0) == [0] and bar_lines(of_notes((0, 1, 60)), 5) == [0, 4, 8]
    assert seconds_of(score, 10) == pytest.approx(4 + 3) and seconds_of(score, 2) == pytest.approx(2)
    assert [ScoreMeta.of(score, quarter).tempo for quarter in (0, 3.9, 4, 9)] == [60, 60, 120, 120]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bars_of_a_primer_are_kept_where_it_rests(
    runs: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    save_midi(tmp_path / "rests.mid", of_notes((0, 4, 60), (4, 4, 62), (16, 4, 64)))
    found = load(runs[kind]).compose(tmp_path / "rests.mid", primer_bars=4, bars=2, seed=1)
    assert found.request.start == 16 and found.seconds == pytest.approx(24 * 60 / 100)
    assert begun(found.score, 8) >= 16


@pytest.mark.parametrize("kind", KINDS)
def test_tempos_keys_and_bars_of_a_primer_are_kept(runs: dict[str, Path], kind: str, tmp_path: Path) -> None:
    save_midi(tmp_path / "changing.mid", changing())
    model = Composer.load(runs[kind])
    if kind == "events":
        with pytest.raises(Exception, match=r"That of changing\.mid is 3/4; theirs are 4/4"):
            model.compose(tmp_path / "changing.mid", bars=2, seed=1)
        again = model.compose(tmp_path / "changing.mid", primer_bars=1, bars=2, seed=1)
        assert maps(again.score) == ([(0, 60)], [(0, 4, 4)], [(0, 1)])
        return
    found = model.compose(tmp_path / "changing.mid", bars=2, seed=1)
    assert maps(found.score) == maps(changing())
    assert (found.request.start, found.request.beats) == (10, 6)  # two more bars of 3/4
    assert found.seconds == pytest.approx(4 + 12 / 2) and found.summary()["signature"] == "3/4"
    timed = model.compose(tmp_path / "changing.mid", seconds=5, seed=1)
    assert timed.request.beats == 10 and timed.seconds == pytest.approx(7 + 5)
    other = model.compose(tmp_path / "changing.mid", bars=1, tempo=90, key="E minor", seed=1)
    assert maps(other.score)[0] == [(0, 90)] and other.seconds == pytest.approx(13 * 60 / 90)
    assert maps(other.score)[2] == [(0, 1), (BAR, 2), (4800, 1)]  # the primer keeps its own
    scale = Key.of("E minor").scale
    later = [n.pitch for t in other.score.tracks for n in t.notes if n.time >= 4800]
    assert later and all(scale[pitch % 12] for pitch in later)


def test_a_melody_keeps_its_tempos_and_bars(runs: dict[str, Path], tmp_path: Path) -> None:
    save_midi(tmp_path / "changing.mid", changing())
    model = load(runs["roll"])
    found = model.compose(harmonize=tmp_path / "changing.mid", proposals=2, seed=1)
    assert maps(found.score) == maps(changing()) and found.seconds == pytest.approx(7)
    keyed = model.compose(harmonize=tmp_path / "changing.mid", key="G", proposals=2, seed=1)
    assert maps(keyed.score)[2] == [(0, 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_new_pieces_have_the_most_frequent_time_signature(kind: str, tmp_path: Path) -> None:
    for seed in range(12):
        signature = (4, 4) if seed < 4 else (3, 4)
        save_midi(tmp_path / f"{seed:02}.mid", ScoreMeta(100, None, signature).apply_to(piece(seed, 3)))
    model = Composer(**tiny(kind)).fit(tmp_path)
    found = model.compose(bars=2, seed=1)
    assert found.request.meta.signature == ScoreMeta.of(found.score).signature == (3, 4)
    assert found.request.beats == 6 and found.summary()["signature"] == "3/4"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("seconds", "tempo"), [(30, 97.3), (1, 100), (0.01, 120), (7.7, 33)])
def test_a_written_piece_is_no_longer_than_requested(
    runs: dict[str, Path], kind: str, seconds: float, tempo: float, tmp_path: Path
) -> None:
    found = load(runs[kind]).compose(seconds=seconds, tempo=tempo, seed=1)
    assert found.seconds == pytest.approx(seconds)
    found.save(tmp_path / "a.mid")
    score = read_scores(tmp_path / "a.mid")[0].score if found.score.note_num() else found.score
    ends = [n.end for t in score.tracks for n in t.notes]
    assert seconds_of(score, max(ends, default=0) / score.ticks_per_quarter) <= seconds + 1e-3
    if seconds == 30:
        assert max(ends) / score.ticks_per_quarter * 60 / tempo > seconds - 4  # not much shorter


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1e-320, 1e-40, 1e-7])
def test_temperature_zero_is_the_most_probable(runs: dict[str, Path], kind: str, temperature: float) -> None:
    model = load(runs[kind])
    cold, none = (model.compose(bars=2, seed=1, temperature=t).score for t in (temperature, 0))
    assert cold.dumps_midi() == none.dumps_midi()


def test_pieces_without_notes_are_not_primers(tmp_path: Path) -> None:
    tune = [[60], [62], [64], [65]] * 3
    (tmp_path / "a.json").write_text(json.dumps({"train": [[[], [], []]] * 9 + [tune], "valid": [tune]}))
    save_midi(tmp_path / "melody.mid", melody())
    model = Composer(**tiny()).fit(tmp_path / "a.json", out=tmp_path / "run")  # the report composes
    for seed in range(5):
        assert model.compose(bars=1, seed=seed).score.note_num()
        assert model.compose(harmonize=tmp_path / "melody.mid", proposals=2, seed=seed).score.note_num()


def test_a_short_piece_is_not_a_copy(runs: dict[str, Path]) -> None:
    summary = load(runs["roll"]).compose(seconds=0.01, seed=1).summary()
    assert summary["copied"] is None or not summary["copied"]["is_copy"]


def test_a_primer_and_a_melody_are_refused_in_python_too(runs: dict[str, Path], tmp_path: Path) -> None:
    save_midi(tmp_path / "melody.mid", melody())
    model = load(runs["roll"])
    with pytest.raises(Exception, match="a primer or harmonize"):
        model.compose(tmp_path / "melody.mid", harmonize=tmp_path / "melody.mid")
    with pytest.raises(Exception, match="--primer-bars must be used with a primer"):
        model.predict(primer_bars=2)
    one, same = model.predict(bars=2, seed=3), model.compose(bars=2, seed=3)
    assert np.array_equal(one.score.dumps_midi(), same.score.dumps_midi())
