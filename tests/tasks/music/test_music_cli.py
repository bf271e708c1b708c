"""Composition through the command line: output and error messages."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.io import savemat

from commands import Expected, call, damaged_copy, merged, refused
from holdfast.cli import main
from holdfast.config import load_config, save_config
from holdfast.data.music.piano_roll import KEYS, LOWEST
from holdfast.tasks.music.config import MusicConfig
from holdfast.tasks.registry import load

FLAGS = ["--hidden-size", "8", "--chord-size", "6", "--steps", "8", "--batch-size", "4", "--epochs", "2"]
CHORDS = [[60, 64, 67], [60, 65, 69], [59, 62, 67], [57, 60, 64]]


def tune(seed: int, length: int = 12) -> list[list[int]]:
    """Return chords in a fixed order, in one of seven keys."""
    random = np.random.default_rng(seed)
    start, up = int(random.integers(4)), int(random.integers(7))
    return [[pitch + up for pitch in CHORDS[(start + t) % 4]] for t in range(length)]


def roll(frames: list[list[int]]) -> np.ndarray:
    found = np.zeros((len(frames), KEYS), np.uint8)
    for t, pitches in enumerate(frames):
        found[t, [pitch - LOWEST for pitch in pitches]] = 1
    return found


def write_mat(path: Path, train: int = 12, valid: int = 4, test: int = 4) -> Path:
    splits = {}
    for name, count, first in (("train", train, 0), ("valid", valid, 100), ("test", test, 200)):
        cells = np.empty((1, count), object)
        for i in range(count):
            cells[0, i] = roll(tune(first + i, 8 + i % 5))
        splits[f"{name}data"] = cells
    savemat(path, splits)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    write_mat(folder / "tunes.mat")
    (folder / "tunes.json").write_text(json.dumps([tune(i) for i in range(20)]))
    (folder / "test.json").write_text(json.dumps([tune(i) for i in range(300, 303)]))
    return folder


@pytest.fixture(scope="module")
def trained(files: Path) -> Path:
    out = files / "run"
    assert main(["train", "music", str(files / "tunes.mat"), *FLAGS, "--out", str(out)]) == 0
    return out


def test_train_prints_the_results_and_writes_the_run(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    out, _ = call(capsys, "train", "music", files / "tunes.mat", *FLAGS, "--out", run)
    for words in ("nll_per_frame", "note_accuracy", "marginal", "markov", "pieces", "nats for each frame"):
        assert words in out
    assert {path.name for path in run.iterdir()} >= {
        "config.toml",
        "data.json",
        "model.safetensors",
        "report.html",
    }
    page = (run / "report.html").read_text()
    assert "surprise at a frame" in page and page.count("data:image/png") >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "cell", "epochs"), [("autoregressive", "lstm", 40), ("independent", "gru", 100)]
)
def test_it_learns_an_order_of_chords(
    files: Path, tmp_path: Path, output: str, cell: str, epochs: int
) -> None:
    flags = ["--epochs", str(epochs), "--learning-rate", "0.02", "--dropout", "0", "--average", "0.9"]
    flags += ["--transpose", "3", "--batch-size", "2", "--output", output, "--cell", cell]
    flags += [
        "--hidden-size",
        "32",
        "--chord-size",
        "16",
        "--patience",
        "100",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["train", "music", str(files / "tunes.mat"), *flags]) == 0
    metrics = load(tmp_path / "run").metrics
    markov = metrics["baselines"]["markov"]
    assert metrics["split"] == "test"
    assert metrics["model"]["nll_per_frame"] < markov["nll_per_frame"] / 2
    assert metrics["model"]["note_accuracy"] > 0.7 > markov["note_accuracy"]


def test_evaluate_prints_one_json_object(
    trained: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads(call(capsys, "evaluate", trained, "--json")[0])
    names = {"task", "split", "model", "baselines", "parameters", "seconds", "pieces", "steps", "step_kind"}
    assert set(result) == names
    assert (result["task"], result["split"], result["step_kind"]) == ("music", "test", "frame")
    assert (result["pieces"], result["steps"]) == (4, 7 + 8 + 9 + 10)
    assert set(result["baselines"]) == {"marginal", "markov"}
    assert set(result["model"]) == {"nll_per_frame", "note_accuracy"} == set(result["baselines"]["markov"])
    out, err = call(capsys, "evaluate", trained, files / "tunes.mat", "--json", "--int8")
    again = json.loads(out)
    assert "has splits: its test split is scored" in err
    assert again["model"]["nll_per_frame"] == pytest.approx(result["model"]["nll_per_frame"], rel=1e-5)
    assert again["baselines"] == result["baselines"] and again["steps"] == result["steps"]
    assert again["int8"]["nll_per_frame"] == pytest.approx(result["model"]["nll_per_frame"], rel=0.02)
    other = json.loads(call(capsys, "evaluate", trained, files / "test.json", "--json")[0])
    assert (other["split"], other["pieces"], other["steps"]) == ("file", 3, 33)


@pytest.mark.slow
def test_pieces_without_a_split_are_split_by_piece(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "music", files / "tunes.json", *FLAGS, "--split", "0.5/0.25/0.25"]
    call(capsys, *common, "--out", tmp_path / "a", "--seed", "0")
    call(capsys, *common, "--out", tmp_path / "b", "--seed", "1")
    one, other = (load(tmp_path / name) for name in "ab")
    assert one.digest == other.digest  # the seed of the training does not change the splits
    assert (one.metrics["training_size"], one.metrics["pieces"]) == (10, 5)
    _, err = call(capsys, *common, "--out", tmp_path / "c", "--test", files / "test.json")
    own = load(tmp_path / "c")
    assert (own.metrics["training_size"], own.metrics["pieces"]) == (15, 3)
    assert "the validation split is cut from the training file" in err
    both = ["--valid", files / "tunes.mat", "--test", files / "tunes.mat", "--out", tmp_path / "d"]
    call(capsys, *common, *both)
    assert (load(tmp_path / "d").metrics["training_size"], load(tmp_path / "d").metrics["pieces"]) == (20, 4)


def test_a_resumed_run_equals_an_uninterrupted_one(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "music", files / "tunes.mat", *FLAGS[:-2], "--schedule", "constant"]
    call(capsys, *common, "--epochs", "4", "--out", tmp_path / "whole")
    call(capsys, *common, "--epochs", "2", "--out", tmp_path / "resumed")
    call(capsys, *common, "--epochs", "4", "--out", tmp_path / "resumed", "--resume")
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert whole.keys() == resumed.keys()
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_a_budget_keeps_the_best_weights(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", "100000", "--patience", "100000", "--budget", "1s", "--out", tmp_path / "run"]
    out, _ = call(capsys, "train", "music", files / "tunes.mat", *FLAGS[:-2], *flags)
    assert "the budget is spent" in out
    assert load(tmp_path / "run").metrics["stopped"] == "budget"


def test_cells_are_compared(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--cells", "rnn,gru,lstm", "--seeds", "1", *FLAGS[:-1], "1", "--out", tmp_path / "cells"]
    out, _ = call(capsys, "compare", "music", files / "tunes.mat", *flags)
    for words in ("RNN", "GRU", "LSTM", "markov", "nll_per_frame", "one seed cannot decide"):
        assert words in out
    found = json.loads((tmp_path / "cells" / "comparison.json").read_text())
    assert [run["cell"] for run in found["runs"]] == ["rnn", "gru", "lstm"]


def test_settings_survive_the_file(tmp_path: Path) -> None:
    config = MusicConfig()
    config.data.transpose, config.network.output, config.training.steps = 0, "independent", 33
    save_config(tmp_path / "config.toml", "music", config)
    assert load_config(tmp_path / "config.toml", MusicConfig) == config
    assert tomllib.loads((tmp_path / "config.toml").read_text())["task"] == "music"


# -- mistakes --------------------------------------------------------------------------------------

BAD = {
    "one.json": [[[60], [62]]],
    "short.json": {"train": [[[60]], []], "valid": [[[60], [62]]]},
    "empty.json": [],
    "silent_test.json": {"train": [[[60], [62]]] * 3, "valid": [[[60], [62]]], "test": [[[60]]]},
    "far.json": [[[60], [200]]],
    "few.json": [[[60], [62]], [[61], [62]], [[63], [64]]],
}

TRAIN: dict[str, tuple[list[str], Expected]] = {
    "a missing file": (["none.mat"], ("file or folder", "none.mat", "path")),
    "a mat without the cells": (["other.mat"], ("traindata", "x", "cells")),
    "a damaged mat": (["damaged.mat"], ("MATLAB", "cannot be read", "again")),
    "pitches outside the keys": (["far.json"], ("21 to 108", "200", "Correct")),
    "no pieces": (["empty.json"], ("1 piece", "has 0", "--split")),
    "one piece for three splits": (["one.json"], ("1 piece", "has 1", "--split")),
    "only pieces of one frame to learn from": (
        ["short.json"],
        ("training split must have a piece of 2", "short.json", "more pieces"),
    ),
    "a test file of short pieces": (
        ["few.json", "--test", "silent_test.json"],
        ("test split", "silent_test.json", "more pieces"),
    ),
    "a split of two": (["few.json", "--split", "0.5/0.5"], ("train/valid/test", "0.5/0.5", "--split")),
    "an octave and more": (["few.json", "--transpose", "13"], ("--transpose", "13", "5")),
    "down only": (["few.json", "--transpose", "-1"], ("--transpose", "-1", "5")),
    "no frames of a beat": (["few.json", "--steps-per-beat", "0"], ("--steps-per-beat", "0", "4")),
    "no hidden unit": (["few.json", "--hidden-size", "0"], ("--hidden-size", "0", "256")),
    "no layer": (["few.json", "--num-layers", "0"], ("--num-layers", "0", "1")),
    "no unit for chords": (["few.json", "--chord-size", "0"], ("--chord-size", "0", "128")),
    "all dropped": (["few.json", "--dropout", "1"], ("--dropout", "1", "0.2")),
    "no recurrent weight left": (["few.json", "--weight-drop", "1"], ("--weight-drop", "1", "0.2")),
    "no keys read": (["few.json", "--input-dropout", "1"], ("--input-dropout", "1", "0.2")),
    "segments without frames": (["few.json", "--steps", "0"], ("--steps", "0", "200")),
    "an unknown output": (["few.json", "--output", "chords"], ("", "chords", "")),
    "an unknown cell": (["few.json", "--cell", "tcn"], ("", "tcn", "")),
    "an unknown flag": (["few.json", "--hiden-size", "3"], ("", "hiden-size", "hidden-size")),
    "no epochs": (["few.json", "--epochs", "0"], ("--epochs", "0", "--epochs")),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fill the current folder with bad files."""
    for name, content in BAD.items():
        (tmp_path / name).write_text(json.dumps(content))
    savemat(tmp_path / "other.mat", {"x": np.zeros((3, 88))})
    whole = write_mat(tmp_path / "damaged.mat").read_bytes()
    (tmp_path / "damaged.mat").write_bytes(whole[: len(whole) // 2])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", TRAIN)
def test_a_mistake_in_training(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = TRAIN[name]
    before = sorted(folder.rglob("*"))
    refused(capsys, ["train", "music", *merged(FLAGS, arguments)], expected)
    assert sorted(folder.rglob("*")) == before


SCORED: dict[str, tuple[str, Expected]] = {
    "no pieces": ("empty.json", ("2 frames", "empty.json", "whole pieces")),
    "a test split of short pieces": ("silent_test.json", ("2 frames", "test split", "whole pieces")),
    "pitches outside the keys": ("far.json", ("21 to 108", "200", "Correct")),
    "a damaged mat": ("damaged.mat", ("MATLAB", "cannot be read", "again")),
}


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.usefixtures("folder")
def test_a_mistake_in_scoring(name: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, expected = SCORED[name]
    refused(capsys, ["evaluate", trained, file], expected)


def test_notes_name_short_pieces_and_those_of_two_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = {"train": [tune(0), tune(1), [[60]]], "valid": [tune(0), []], "test": [tune(5), tune(1)]}
    (tmp_path / "tunes.json").write_text(json.dumps(splits))
    _, err = call(capsys, "train", "music", tmp_path / "tunes.json", *FLAGS, "--out", tmp_path / "run")
    assert "fewer than 2 frames, left out: 2 (train[2], valid[1])" in err.replace("\n", " ")
    assert "validation pieces that are training pieces as well: 1 of 1 (valid[0])" in err
    assert "test pieces that are training pieces as well: 1 of 2" in err


@pytest.mark.parametrize("name", ["data.json", "model.safetensors", "baselines.safetensors", "metrics.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"learnt": {}}', b"\x00\xff damaged"])
def test_a_damaged_run_is_refused(
    name: str, content: bytes | None, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["evaluate", damaged_copy(trained, tmp_path, name, content)], ("", "", ""))


def test_a_resumed_run_keeps_its_data(
    files: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    again = ["train", "music", files / "tunes.json", "--out", run, "--resume"]
    refused(capsys, again, ("must keep its settings and its data", "data differ", "--out"))


def test_results_of_an_earlier_version_are_read_under_their_new_names() -> None:
    metrics = load(Path(__file__).parents[1] / "old_runs" / "music").metrics
    assert metrics["step_kind"] == "frame" and "unit" not in metrics
