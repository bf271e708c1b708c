"""Speech synthesized by espeak-ng: training and transcription by the command line."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from commands import give_stdin
from holdfast.cli import main
from holdfast.data.audio.sound_files import read_sound
from holdfast.demos.speech import PHRASES, STRANGER, Spoken, manifest, phrases, speak
from holdfast.errors import UserError

WORDS = ("light", "radio", "seven", "garden")
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="needs the program espeak-ng (apt install espeak-ng)"
)


def spoken_phrases(count: int, seed: int) -> list[Spoken]:
    """Return phrases of two or three words in three voices."""
    rng = random.Random(seed)
    voices = ("en-us+m1", "en-gb+f2", "en-us+f4")
    return [
        Spoken(" ".join(rng.choices(WORDS, k=rng.randint(2, 3))), voices[k % 3], rng.randint(130, 170), 50)
        for k in range(count)
    ]


def spoken(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    those = spoken_phrases(count, seed)
    speak(those, folder)
    (folder / "all.tsv").write_text(manifest(those))
    return folder / "all.tsv"


@pytest.mark.slow
@needs_espeak
def test_speech_is_synthesized_learned_and_transcribed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = spoken(tmp_path / "train", 150, 0), spoken(tmp_path / "test", 24, 1)
    run = str(tmp_path / "run")
    settings = "--token word --no-bidirectional --hidden-size 48 --num-layers 1 --channels 48 --subsampling 4"
    flags = [
        "--test",
        str(test),
        *settings.split(),
        "--epochs",
        "20",
        "--learning-rate",
        "0.006",
        "--batch-size",
        "8",
    ]
    assert main(["train", "speech", str(train), *flags, "--device", "cpu", "--out", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, str(test), "--live", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"]["wer"] < 0.1 < 0.5 < result["baselines"]["most_frequent"]["wer"]
    assert result["live"]["wer"] == result["model"]["wer"]
    sound = str(tmp_path / "test" / "0.wav")
    assert main(["predict", run, sound]) == 0
    text = capsys.readouterr().out.split()
    assert main(["predict", run, sound, "--live"]) == 0
    assert capsys.readouterr().out.split() == text and set(text) <= set(WORDS)
    samples, rate = read_sound(Path(sound))
    give_stdin(monkeypatch, (samples * 32768).astype("<i2").tobytes())
    assert main(["predict", run, "--live", "--pcm-rate", str(rate), "--times"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[2] for row in rows] == text and all(0 < float(row[3]) <= 1 for row in rows)
    times = [float(value) for row in rows for value in row[:2]]
    assert times == sorted(times) and times[-1] <= len(samples) / rate


def test_a_demo_without_espeak_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["demo", "speech", "--out", str(tmp_path / "demo")]) == 2
    assert "apt install espeak-ng" in capsys.readouterr().err and not (tmp_path / "demo").exists()


@needs_espeak
def test_a_missing_voice_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobody"):
        speak([Spoken("one", "nobody", 150, 50)], tmp_path)


def test_the_demo_speaks_each_phrase_once_and_holds_out_a_voice() -> None:
    those = phrases(PHRASES)
    assert len(set(those)) == PHRASES and those == phrases(PHRASES)
    assert sum(one.voice == STRANGER for one in those) == PHRASES // 13
