"""Mistakes in recordings and settings of speech: rule, cause and fix, no half-written file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from commands import Expected, damaged_copy, give_stdin, refused
from holdfast.cli import main
from sounds import cut, tone, write

BOTH = ["--epochs", "1", "--hidden-size", "4", "--channels", "4", "--num-layers", "1"]
QUICK = [*BOTH, "--no-bidirectional"]
HEADER = "path\ttext\tspeaker\n"
NAN = tone(0.3, 8000)
NAN[77] = np.nan


def spoken(folder: Path, count: int = 12) -> str:
    """Write recordings of two words, and the manifest that lists them."""
    rows = []
    for k in range(count):
        write(folder / f"{k}.wav", tone(0.25, 8000, (900.0 if k % 2 else 300.0) + k), 8000)
        rows.append(f"{k}.wav\t{'high' if k % 2 else 'low'}\ts{k % 3}\n")
    return HEADER + "".join(rows)


def features(folder: Path, count: int = 12, size: int = 5) -> str:
    """Write the same as precomputed features."""
    for k in range(count):
        np.save(folder / f"{k}.npy", np.random.default_rng(k).normal(size=(30, size)).astype(np.float32))
    return HEADER + "".join(f"{k}.npy\t{'high' if k % 2 else 'low'}\ts\n" for k in range(count))


def instead(make: Callable[[Path], object], name: str = "7.wav") -> Callable[[Path], str]:
    """Return the good manifest, with one file replaced."""

    def written(folder: Path) -> str:
        text = spoken(folder).replace("7.wav", name)
        (folder / "7.wav").unlink()
        make(folder / name)
        return text

    return written


def array(content: object, name: str = "7.npy") -> Callable[[Path], str]:
    """Return the good features, with one file replaced."""

    def written(folder: Path) -> str:
        text = features(folder)
        np.save(folder / name, content, allow_pickle=True)  # type: ignore[arg-type]
        return text

    return written


def changed(old: str, new: str, of: Callable[[Path], str] = spoken) -> Callable[[Path], str]:
    """Return the good manifest with a text replaced in it."""
    return lambda folder: of(folder).replace(old, new)


def mixed(folder: Path) -> str:
    features(folder)
    return spoken(folder).replace("7.wav", "7.npy")


def silent(folder: Path) -> str:
    text = spoken(folder)
    for path in folder.glob("*.wav"):
        write(path, np.zeros(2000), 8000)
    return text


def long_texts(folder: Path) -> str:
    return spoken(folder).replace("low", "low " * 40).replace("high", "high " * 40)


DATA: dict[str, tuple[Callable[[Path], str | bytes], Expected]] = {
    "an empty manifest": (lambda folder: "", ("hold rows", "is empty (0 bytes)", "with rows")),
    "a header only": (lambda folder: HEADER, ("hold records", "no rows", "with rows")),
    "no column of paths": (
        changed("path", "wav"),
        ("path-field", "'path' is not one of them", "--path-field"),
    ),
    "no column of texts": (
        changed("text", "said"),
        ("text-field", "'text' is not one of them", "--text-field"),
    ),
    "a missing file": (changed("7.wav", "none.wav"), ("must exist", "Line 9 names", "Correct or remove")),
    "a missing file among several": (
        changed("7.wav", "7.wav none.wav"),
        ("must exist", "none.wav, which does not exist", "Correct or remove"),
    ),
    "a folder for a file": (changed("7.wav", "."), ("must exist", "which is a folder", "Correct")),
    "an empty path": (changed("7.wav", ""), ("must name a file", "Line 9", "Fill in the path")),
    "an empty text": (
        lambda folder: spoken(folder) + "1.wav\t \ts\n",
        ("must have a transcript", "Line 14 of", "Write the transcript"),
    ),
    "a ragged row": (changed("7.wav", "7.wav\tx"), ("the header (3)", "Line 9 has 4", "Correct")),
    "latin-1": (
        lambda folder: spoken(folder).replace("high", "höch").encode("latin-1"),
        ("must be utf-8", "Line 3 of", "--encoding latin-1"),
    ),
    "binary data": (lambda folder: b"RIFF\0\0\1\2WAVE", ("not hold binary", "zero byte", "text file")),
    "a text named .wav": (
        instead(lambda path: path.write_text("some text")),  # type: ignore[arg-type]
        ("wav, flac, ogg or mp3", "7.wav cannot be read", "ffmpeg"),
    ),
    "an empty wav": (
        instead(lambda path: path.write_bytes(b"")),  # type: ignore[arg-type]
        ("must hold samples", "7.wav is empty (0 bytes)", "leave it out"),
    ),
    "a wav of zero length": (
        instead(lambda path: write(path, tone(0.0), 8000)),
        ("must hold samples", "7.wav has none", "leave it out"),
    ),
    "a cut wav": (
        instead(lambda path: cut(write(path, tone(0.3, 8000), 8000), 0.6)),
        ("be complete", "7.wav is not: its header declares", "leave it out"),
    ),
    "a cut mp3": (
        instead(lambda path: cut(write(path, tone(2.0), 16000), 0.5), "7.mp3"),
        ("be complete", "7.mp3 is not: it declares", "leave it out"),
    ),
    "a cut flac": (
        instead(lambda path: cut(write(path, tone(0.3, 8000), 8000), 0.5), "7.flac"),
        ("be complete", "lost sync", "leave it out"),
    ),
    "samples that are not numbers": (
        instead(lambda path: write(path, NAN, 8000, "FLOAT")),
        ("finite numbers", "7.wav has nan at sample 77", "leave it out"),
    ),
    "silence": (silent, ("not all be silent", "of the training split is silent", "Record again")),
    "texts too long for their sounds": (
        long_texts,
        ("a frame for each token", "No utterance of the training split has enough", "--subsampling"),
    ),
    "sounds and features": (mixed, ("all sounds or all features", "7.npy holds features", "two manifests")),
    "sounds and features joined": (
        lambda folder: mixed(folder).replace("7.npy", "7.wav 7.npy"),
        ("all sounds or all features", "Line 9", "Correct"),
    ),
    "features of one axis": (array(np.ones(30, np.float32)), ("[frames, numbers]", "(30,)", "again")),
    "features of whole numbers": (array(np.ones((30, 5), int)), ("of floats", "type int64", "again")),
    "features of objects": (
        array(np.array([{}], object)),
        ("of floats", "7.npy is not, or is cut off", "again"),
    ),
    "empty features": (array(np.ones((0, 5))), ("of floats", "is empty: shape (0, 5)", "again")),
    "features that are not numbers": (
        array(np.full((30, 5), np.nan)),
        ("finite", "Frame 0 of", "again"),
    ),
    "features of another size": (
        array(np.ones((30, 4), np.float32)),
        ("5 numbers in a frame", "7.npy has 4", "leave it out"),
    ),
    "one utterance": (
        lambda folder: HEADER + spoken(folder).splitlines()[1] + "\n",
        ("must have at least 1 utterance", "only utterance is in other splits", "--split"),
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_a_mistake_in_the_data_is_reported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = DATA[name]
    content = make(tmp_path)
    data, out = tmp_path / "all.tsv", tmp_path / "run"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(capsys, ["train", "speech", data, *QUICK, "--out", out], expected)
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none.tsv", ("must exist", "none.tsv", "Check")),
        ("folder", ("*.trans.txt", "has none", "manifest")),
        ("0.wav", ("must be in a manifest", "ending .wav", "path and text")),
    ],
)
def test_a_file_without_a_manifest_is_reported(
    name: str, expected: Expected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    spoken(tmp_path, 1)
    refused(capsys, ["train", "speech", tmp_path / name, *QUICK, "--out", tmp_path / "run"], expected)


SETTINGS: dict[str, tuple[list[str], Expected]] = {
    "no speaker of that name": (["--hold-out", "s9"], ("a speaker in the data", "'s9'", "s0, s1, s2")),
    "a missing speaker column": (
        ["--speaker-field", "who"],
        ("--speaker-field must name a column", "'who'", "--speaker-field"),
    ),
    "an unknown encoding": (["--encoding", "utf-9"], ("that Python knows", "'utf-9'", "latin-1")),
    "too many bands": (["--bands", "150"], ("each band must hold a frequency", "It was 150", "--bands 40")),
    "too few bands": (["--bands", "2"], ("--bands", "It was 2", "--bands 40")),
    "a rate of 0": (["--rate", "0"], ("--rate", "It was 0", "--rate 16000")),
    "an unknown normalisation": (["--normalize", "globel"], ("--normalize", "globel", "")),
    "a speed of 0": (["--speeds", "0"], ("--speeds must be 0.5 to 2", "0", "0.9,1.0,1.1")),
    "an invalid noise ratio": (["--noise", "500"], ("--noise must be -20 to 100", "500", "--noise 10")),
    "noise of a missing folder": (
        ["--noise", "10", "--noise-folder", "no-such-folder"],
        ("a folder of sounds", "no-such-folder is not a folder", "white and pink"),
    ),
    "a noise folder without noise": (
        ["--noise-folder", "x"],
        ("used with --noise", "No --noise", "--noise 10"),
    ),
    "a subsampling of 3": (["--subsampling", "3"], ("1, 2, 4 or 8", "It was 3", "--subsampling 2")),
    "a split of words": (["--split", "most"], ("split", "most", "--split")),
    "a cache that is a file": (["--cache", "FILE"], ("must be a folder", "is a file", "--cache")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_reported(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, expected = SETTINGS[name]
    data, out = tmp_path / "all.tsv", tmp_path / "run"
    data.write_text(spoken(tmp_path))
    own = [str(data) if flag == "FILE" else flag for flag in flags]
    refused(capsys, ["train", "speech", data, *QUICK, *own, "--out", out], expected)
    assert not out.exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train runs: streaming, of whole utterances, and of precomputed features."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "all.tsv").write_text(spoken(folder))
    (folder / "f").mkdir()
    (folder / "f" / "all.tsv").write_text(features(folder / "f"))
    for name, data, flags in (
        ("live", "all.tsv", [*QUICK, "--normalize", "running"]),
        ("whole", "all.tsv", [*QUICK, "--normalize", "utterance"]),
        ("both", "all.tsv", BOTH),
        ("features", "f/all.tsv", QUICK),
    ):
        arguments = ["train", "speech", str(folder / data), *flags, "--out", str(folder / name)]
        assert main(arguments) == 0
    return folder


USES: dict[str, tuple[list[str], Expected]] = {
    "no sound": (["predict", "live", "none.wav"], ("must exist", "none.wav", "path")),
    "no file": (["predict", "live"], ("come from files", "None was given", "--live")),
    "a folder without sounds": (["predict", "live", "empty"], ("must hold sounds", "holds none", "another")),
    "a text": (
        ["predict", "live", "text.wav"],
        ("wav, flac, ogg or mp3", "text.wav cannot be read", "ffmpeg"),
    ),
    "a cut sound": (["predict", "live", "cut.wav"], ("be complete", "cut.wav is not", "leave it out")),
    "a cut sound live": (
        ["predict", "live", "cut.wav", "--live"],
        ("be complete", "cut.wav is not", "leave"),
    ),
    "features for sounds": (
        ["predict", "live", "f/0.npy"],
        ("sounds, or precomputed features", "0.npy", "Give"),
    ),
    "sounds for features": (
        ["predict", "features", "0.wav"],
        ("sounds, or precomputed features", "0.wav", "Give"),
    ),
    "live features": (
        ["predict", "features", "f/0.npy", "--live"],
        ("live sound", "precomputed features", "Train"),
    ),
    "live in both directions": (["predict", "both", "0.wav", "--live"], ("forwards", "both", "--no-bi")),
    "live by the whole": (
        ["predict", "whole", "0.wav", "--live"],
        ("without its future frames", "utterance", "running"),
    ),
    "a rate without live": (["predict", "live", "0.wav", "--pcm-rate", "8000"], ("live", "--live", "Give")),
    "a rate of a file": (
        ["predict", "live", "0.wav", "--live", "--pcm-rate", "8000"],
        ("from stdin", "has its own rate", "Leave"),
    ),
    "missing transcripts": (
        ["evaluate", "live", "unnamed.tsv"],
        ("--text-field must name a column", "'text' is not one of them", "--text-field"),
    ),
}


@pytest.mark.parametrize("name", USES)
def test_a_mistake_in_prediction_is_reported(
    name: str, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.chdir(trained)
    (trained / "empty").mkdir(exist_ok=True)
    (trained / "text.wav").write_text("text")
    (trained / "unnamed.tsv").write_text("path\n0.wav\n")
    cut(write(trained / "cut.wav", tone(0.04, 8000), 8000), 0.8)
    words, expected = USES[name]
    try:
        refused(capsys, words, expected)
    finally:
        (trained / "text.wav").unlink()
        (trained / "cut.wav").unlink()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", ("raw samples", "begins like a sound file", "ffmpeg")),
        (b"\1\2\3", ("16 bits", "ended within a sample", "s16le")),
    ],
)
def test_a_mistake_on_stdin_is_reported(
    data: bytes,
    expected: Expected,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_stdin(monkeypatch, data)
    refused(capsys, ["predict", trained / "live", "--live"], expected)


def test_a_damaged_run_folder_is_reported(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = damaged_copy(trained / "live", tmp_path, "data.json", b"{}")
    refused(capsys, ["predict", copy, trained / "0.wav"], ("as training wrote", "damaged", "Copy"))
    copy = damaged_copy(trained / "live", tmp_path, "baselines.safetensors", b"")
    expected = ("complete safetensors", "cannot be read", "backup")
    refused(capsys, ["predict", copy, trained / "0.wav"], expected)


# -- unusual data ----------------------------------------------------------------------------------

ODD: dict[str, Callable[[Path], str]] = {
    "8 bits": instead(lambda path: write(path, tone(0.25, 8000), 8000, "PCM_U8")),
    "24 bits": instead(lambda path: write(path, tone(0.25, 8000), 8000, "PCM_24")),
    "5 channels": instead(lambda path: write(path, np.tile(tone(0.25, 8000)[:, None], (1, 5)), 8000)),
    "an mp3": instead(lambda path: write(path, tone(0.4, 16000), 16000), "7.mp3"),
    "another rate": instead(lambda path: write(path, tone(0.25, 44100), 44100)),
    "an empty row": changed("7.wav\thigh\ts1\n", "\n"),
    "words that no training sentence has": changed("0.wav\tlow", "0.wav\tLOW!"),
}


@pytest.mark.parametrize("name", ODD)
def test_unusual_data_trains(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "all.tsv"
    data.write_text(ODD[name](tmp_path))
    assert main(["train", "speech", str(data), *QUICK, "--out", str(tmp_path / "run")]) == 0
    if name == "another rate":
        assert "7.wav (44,100)" in capsys.readouterr().err


NOTES: dict[str, tuple[Callable[[Path], object], str]] = {
    "clipped": (lambda path: write(path, np.clip(9 * tone(0.25, 8000), -1, 1), 8000), "clipped in the"),
    "silent": (lambda path: write(path, np.zeros(2000), 8000), "silent in the"),
    "too short": (lambda path: write(path, tone(0.03, 8000), 8000), "(left out)"),
    "twice": (lambda path: shutil.copy(path.with_name("5.wav"), path), "duplicate sounds|also in the"),
}


@pytest.mark.parametrize("name", NOTES)
def test_faults_of_audio_are_reported_with_the_file_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = NOTES[name]
    data = tmp_path / "all.tsv"
    data.write_text(instead(make)(tmp_path))
    assert main(["train", "speech", str(data), *QUICK, "--out", str(tmp_path / "run")]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if "7.wav" in line]
    assert any(word in line for line in warned for word in words.split("|")), warned
