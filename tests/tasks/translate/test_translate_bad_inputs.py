"""Mistakes with a translator: rule, cause and fix, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import damaged_copy, give_stdin
from holdfast.errors import UserError
from holdfast.tasks.registry import load
from holdfast.tasks.translate.config import Prediction
from holdfast.tasks.translate.predict import write_predictions
from holdfast.tasks.translate.task import Translator

TINY: dict[str, Any] = {
    "token": "character",
    "hidden_size": 4,
    "epochs": 1,
    "batch_size": 200,
    "device": "cpu",
}

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "a vocabulary too small": ({"vocabulary": 3}, r"--vocabulary must be at least 16"),
    "no length": ({"max_length": 0}, r"--max-length must be at least 1"),
    "an invalid split": ({"split": "a/b/c"}, r"'a/b/c'"),
    "a split of two": ({"split": "0.9/0.1"}, r"'0\.9/0\.1'"),
    "a split above 1": ({"split": "0.9/0.2/0.2"}, r"'0\.9/0\.2/0\.2'"),
    "a split without validation": ({"split": "0.9/0/0.1"}, r"'0\.9/0/0\.1'"),
    "half a sentence": ({"split": "rest/2.5/3"}, r"'rest/2\.5/3'"),
    "a pair and fields": (
        {"pair": "de-en", "source_field": "de"},
        "Parallel files must come without field names",
    ),
    "an unknown token": ({"token": "syllable"}, "token"),
    "no hidden unit": ({"hidden_size": 0}, "--hidden-size must be at least 1"),
    "no layer": ({"decoder_layers": 0}, "--decoder-layers must be at least 1"),
    "all dropped": ({"dropout": 1.0}, r"--dropout must be in \[0, 1\)"),
    "all smoothed": ({"label_smoothing": 1.0}, r"--label-smoothing must be in \[0, 1\)"),
    "sampling below 0": ({"sampling": -0.1}, r"--sampling must be in \[0, 1\)"),
    "an unknown attention": ({"attention": "global"}, "attention"),
    "a beam of 0": ({"beam": 0}, "--beam must be at least 1"),
    "a beam of all": ({"beam": 100_000}, "--beam must be at most 1000"),
    "a length penalty below 0": ({"length_penalty": -1.0}, "--length-penalty must be at least 0"),
    "an unknown field": ({"hiden_size": 3}, "hidden_size"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    fields, message = SETTINGS[name]
    with pytest.raises(UserError, match=message) as caught:
        Translator(**fields)
    assert caught.value.fix


PREDICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a beam of 0": ({"beam": 0}, "--beam must be at least 1"),
    "no best": ({"n_best": 0}, "--n-best must be at least 1"),
    "more than the beam has": ({"n_best": 6}, "They are 6 and 5"),
    "more than the given beam has": ({"n_best": 3, "beam": 2}, "They are 3 and 2"),
    "a sampled beam": ({"sample": True, "beam": 3}, "--sample"),
    "sampled best": ({"sample": True, "n_best": 3}, "--sample"),
    "too cold": ({"sample": True, "temperature": -1.0}, "--temperature must be at least 0"),
    "a seed below 0": ({"sample": True, "seed": -1}, "--seed must be at least 0"),
    "a temperature without sampling": ({"temperature": 0.5}, "There is no --sample"),
    "a seed without sampling": ({"seed": 3}, "There is no --sample"),
    "coverage below 0": ({"coverage_penalty": -0.1}, "--coverage-penalty must be at least 0"),
    "no number": ({"length_penalty": float("nan")}, "--length-penalty must be at least 0"),
    "an invalid plot": ({"plot": Path("a.jpg")}, r"a\.jpg"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    pairs = [f"{a}{b}\t{b}{a}\n" for a in "abcdef" for b in "ghijkl"]
    (folder / "pairs.tsv").write_text("".join(pairs))
    Translator(**TINY).fit(folder / "pairs.tsv", out=folder / "run")
    return folder / "run"


@pytest.mark.parametrize("name", PREDICTIONS)
def test_wrong_predictions(run: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields, message = PREDICTIONS[name]
    give_stdin(monkeypatch, b"ag\n")
    with pytest.raises(UserError, match=message):
        list(write_predictions(load(run), None, Prediction(**fields)))


DATA: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "one pair for three splits": (lambda f: put(f, "a\tb\n"), {}, "none is left"),
    "one group of pairs": (lambda f: put(f, "a\tb\n" * 50), {}, "none is left"),
    "all too long": (lambda f: put(f, distinct(40)), {"max_length": 1}, "at most 1 tokens"),
    "subwords without bytes": (
        lambda f: put(f, distinct(40)),
        {"token": "subword", "vocabulary": 100},
        "256 bytes",
    ),
}


def put(folder: Path, text: str) -> Path:
    (folder / "pairs.tsv").write_text(text)
    return folder / "pairs.tsv"


def distinct(count: int) -> str:
    return "".join(f"source {i}\ttarget {i}\n" for i in range(count))


@pytest.mark.parametrize("name", DATA)
def test_unusable_data(tmp_path: Path, name: str) -> None:
    make, fields, message = DATA[name]
    data = make(tmp_path)
    with pytest.raises(UserError, match=message):
        Translator(**TINY | fields).fit(data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stdin_in_another_encoding_is_reported_with_its_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_stdin(monkeypatch, b"ag\nbh\nT\xfcr\n")
    with pytest.raises(UserError, match=r"must be utf-8\. Line 3 is not"):
        list(write_predictions(load(run), None, Prediction()))


def test_a_plot_of_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_stdin(monkeypatch, b"\n\n")
    with pytest.raises(UserError, match="The first ones are empty"):
        list(write_predictions(load(run), None, Prediction(plot=tmp_path / "a.png")))


def test_a_missing_file_to_translate(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no"):
        list(write_predictions(load(run), tmp_path / "none.txt", Prediction()))


@pytest.mark.parametrize("name", ["data.json", "baselines.safetensors", "model.safetensors"])
def test_a_damaged_folder(run: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        load(damaged_copy(run, tmp_path, name, b"{}" if name == "data.json" else b"no tensors"))


def test_the_command_line_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "train.de").write_text("a\nb\n")
    (tmp_path / "train.en").write_text("a\n")
    command = [
        sys.executable,
        "-m",
        "holdfast",
        "train",
        "translate",
        str(tmp_path / "train"),
        "--pair",
        "de-en",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "train.de has 2" in " ".join(done.stderr.split()) and "train.en has 1" in " ".join(
        done.stderr.split()
    )
