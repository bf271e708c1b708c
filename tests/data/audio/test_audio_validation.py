"""Notes on recordings before training: each fault is made by hand and named with its file."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.validation import (
    check_audio,
    facts_of,
    long_enough,
    min_ctc_frames,
    most_common_rate,
    rate_notes,
    shared_speakers,
)
from holdfast.errors import UserError
from sounds import tone, write


def utterance(*paths: Path, text: str = "x", speaker: str | None = None) -> Utterance:
    return Utterance(" ".join(path.name for path in paths), paths, text, speaker)


def sounds(folder: Path, count: int, first: int = 0) -> list[Utterance]:
    numbers = range(first, first + count)
    return [utterance(write(folder / f"s{k}.wav", tone(0.1, hertz=200.0 + 10 * k))) for k in numbers]


def test_good_audio_gets_no_note(tmp_path: Path) -> None:
    parts = {"training": sounds(tmp_path, 4), "test": sounds(tmp_path, 2, 10)}
    assert check_audio(parts) == () and most_common_rate(parts["training"]) == 16000
    assert rate_notes(parts, 16000) == ()


def test_different_sample_rates(tmp_path: Path) -> None:
    those = sounds(tmp_path, 3)
    those += [utterance(write(tmp_path / f"o{k}.wav", tone(0.1, 8000), 8000)) for k in range(2)]
    assert most_common_rate(those) == 16000 and most_common_rate(those[2:4]) == 8000
    assert rate_notes({"training": those[:3], "test": those}, 16000) == (
        "the test split has other rates, resampled to 16,000 samples per second: o0.wav (8,000), o1.wav (8,000)",
    )


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "FLOAT"])
def test_clipped_files(tmp_path: Path, subtype: str) -> None:
    those = sounds(tmp_path, 3)
    loud = np.clip(3 * tone(0.5), -1, 1)
    those.append(utterance(write(tmp_path / "loud.wav", loud, 16000, subtype)))
    [note] = check_audio({"training": those})
    share = f"{(np.abs(soundfile.read(tmp_path / 'loud.wav')[0]) >= 0.99).mean():.1%}"
    assert note == f"clipped in the training split (fraction of samples at full scale): loud.wav ({share})"


def test_silent_files(tmp_path: Path) -> None:
    quiet = utterance(write(tmp_path / "quiet.wav", 0.001 * tone(0.1)))
    assert check_audio({"training": [*sounds(tmp_path, 3), quiet]}) == (
        "silent in the training split: quiet.wav",
    )
    with pytest.raises(UserError, match=r"Every file of the test split is silent, such as quiet.wav"):
        check_audio({"training": sounds(tmp_path, 3), "test": [quiet]})


def test_duplicate_audio_in_two_formats(tmp_path: Path) -> None:
    those = sounds(tmp_path, 3)
    same, _ = soundfile.read(those[1].paths[0], dtype="int16")
    twin = utterance(write(tmp_path / "twin.flac", same), text="y")
    assert facts_of(twin.paths[0]) == facts_of(those[1].paths[0])
    [note] = check_audio({"training": [*those, twin]})
    assert note == (
        "duplicate sounds in the training split: twin.flac = s1.wav, with the text 'y' instead of 'x'"
    )
    assert check_audio({"training": [*those, those[0]]}) == (
        "duplicate sounds in the training split: s0.wav",
    )
    [note] = check_audio({"training": those, "test": [twin, *sounds(tmp_path, 2, 10)]})
    assert note.startswith("sounds of the test split that are also in the training split")
    assert note.endswith("twin.flac = s1.wav")


def test_a_joined_file_in_two_splits(tmp_path: Path) -> None:
    paths = [one.paths[0] for one in sounds(tmp_path, 5)]
    parts = {
        "training": [utterance(*paths[:2]), utterance(*paths[1:3])],
        "validation": [utterance(paths[3])],
        "test": [utterance(paths[4], paths[2]), utterance(paths[3], paths[4])],
    }
    notes = check_audio(parts)
    assert [note.split(", so")[0] for note in notes] == [
        "sounds of the test split that are also in the training split",
        "sounds of the test split that are also in the validation split",
    ]
    assert notes[0].endswith(": s2.wav") and notes[1].endswith(": s3.wav")


def test_speakers_in_two_splits(tmp_path: Path) -> None:
    those = [utterance(tmp_path / "a.wav", speaker=who) for who in ("jo", "al", None, "bo")]
    notes = shared_speakers({"training": those[:3], "validation": those[2:], "test": those[1:]})
    first, second = notes
    assert first.startswith(
        "speakers of the test split who are also in the training split"
    ) and first.endswith(": al")
    assert second.startswith("speakers of the test split who are also in the validation split")
    assert second.endswith(": bo")


def test_features_are_checked_like_audio(tmp_path: Path) -> None:
    still, own = np.ones((9, 3), np.float32), np.random.default_rng(0).normal(size=(9, 3))
    for name, array in (("still", still), ("a", own), ("b", own)):
        np.save(tmp_path / f"{name}.npy", array)
    notes = check_audio({"training": [utterance(tmp_path / f"{name}.npy") for name in ("still", "a", "b")]})
    assert notes == (
        "silent in the training split: still.npy",
        "duplicate sounds in the training split: b.npy = a.npy",
    )


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    those = sounds(tmp_path, 12)
    those[7].paths[0].write_text("text")
    for run in (lambda: check_audio({"training": those}), lambda: most_common_rate(those)):
        with pytest.raises(UserError, match=r"s7.wav cannot be read"):
            run()


# -- CTC -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 3), max_size=8), st.integers(1, 12))
def test_the_minimum_of_frames_has_a_finite_loss(units: list[int], frames: int) -> None:
    loss = torch.nn.functional.ctc_loss(
        torch.zeros(frames, 1, 4).log_softmax(-1),
        torch.tensor([units], dtype=torch.long).reshape(1, -1),
        torch.tensor([frames]),
        torch.tensor([len(units)]),
    )
    assert bool(loss.isfinite()) == (min_ctc_frames(units) <= frames)
    assert min_ctc_frames(units) == len(units) + sum(len(list(run)) - 1 for _, run in groupby(units))


def test_texts_too_long_for_their_frames_are_dropped(tmp_path: Path) -> None:
    those = [utterance(tmp_path / f"{name}.wav") for name in "abcd"]
    kept, lost = long_enough("training", those, [9, 8, 0, 100], [5, 5, 0, 5], 2)
    assert kept == [0, 3] and lost == "b.wav (needs 5, has 4), c.wav (needs 0, has 0)"
    assert long_enough("training", those, [10] * 4, [5] * 4, 2) == ([0, 1, 2, 3], None)
    with pytest.raises(
        UserError, match=r"No utterance of the test split has enough, such as a.wav \(needs 6, has 5"
    ):
        long_enough("test", those, [10] * 4, [6] * 4, 2)
