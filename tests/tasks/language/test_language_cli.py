"""The language model through the command line: output and error messages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Expected, call, damaged_copy, give_stdin, merged, refused
from holdfast.cli import main
from holdfast.config import save_config
from holdfast.tasks.language.config import LanguageConfig
from plain_text import text

FLAGS = ["--hidden-size", "8", "--steps", "8", "--batch-size", "4", "--epochs", "2", "--num-layers", "1"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("language_cli") / "text.txt"
    path.write_text(text())
    return path


@pytest.fixture(scope="module")
def trained(file: Path) -> Path:
    out = file.parent / "run"
    assert main(["train", "language", str(file), *FLAGS, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def of_words(file: Path) -> Path:
    out = file.parent / "words"
    assert main(["train", "language", str(file), *FLAGS, "--token", "word", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def of_bytes(file: Path) -> Path:
    out = file.parent / "bytes"
    assert main(["train", "language", str(file), *FLAGS, "--token", "byte", "--out", str(out)]) == 0
    return out


def test_train_prints_metrics_and_the_next_commands(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    out, _ = call(capsys, "train", "language", file, *FLAGS, "--out", run)
    for words in ("bits_per_char", "unigram", "kneser_ney", "tokens a second", f"predict {run} --length"):
        assert words in out
    assert {path.name for path in run.iterdir()} >= {
        "config.toml",
        "data.json",
        "model.safetensors",
        "report.html",
    }
    page = (run / "report.html").read_text()
    assert "What it writes" in page and "perplexity" in page
    for command in (line.split() for line in out.splitlines() if line.startswith("  holdfast ")):
        assert main([*command[1:], *(["--help"] if command[1] == "compare" else [])]) == 0
        (Path.cwd() / "surprise.csv").unlink(missing_ok=True)


def test_evaluate_prints_one_json_object(
    trained: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads(call(capsys, "evaluate", trained, "--json")[0])
    assert set(result) == {"task", "split", "model", "baselines", "parameters", "seconds", "tokens", "token"}
    assert (result["task"], result["split"]) == ("language", "test")
    more = json.loads(call(capsys, "evaluate", trained, file, "--cache", "20", "--int8", "--json")[0])
    assert {"cache", "int8"} <= set(more)
    shown, _ = call(capsys, "evaluate", trained, file, "--cache", "20", "--dynamic", "0.1")
    assert "LSTM with the neural cache" in shown and "With dynamic evaluation it is" in shown


def test_predict_continues_the_prompt(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["predict", trained, "--prompt", "the dog", "--length", "30", "--seed", "1"]
    out, _ = call(capsys, *command)
    assert out.startswith("the dog") and len(out.rstrip("\n")) <= len("the dog") + 30
    assert call(capsys, *command)[0] == out
    call(capsys, *command, "--out", tmp_path / "written.txt")
    assert (tmp_path / "written.txt").read_text().rstrip("\n") == out.rstrip("\n")
    one_line, _ = call(capsys, "predict", trained, "--length", "400", "--stop", "\\n", "--stop", "zz")
    assert one_line.count("\n") <= 1
    limited, _ = call(capsys, *command, "--stop", out[9:12])
    assert out[9:12] not in limited[7:]
    chosen = ["--temperature", "0.5", "--top-k", "5", "--top-p", "0.9", "--repetition-penalty", "1.2"]
    assert call(capsys, *command, *chosen)[0].startswith("the dog")


def test_a_prompt_may_begin_with_a_hyphen(of_bytes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = call(capsys, "predict", of_bytes, "--prompt", "- the", "--length", "4", "--temperature", "1e-39")
    assert out.startswith("- the")


def test_predict_does_not_change_the_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (trained / "model.safetensors").read_bytes()
    refused(
        capsys, ["predict", trained, "--out", trained / "model.safetensors"], ("run", "model.saf", "another")
    )
    assert (trained / "model.safetensors").read_bytes() == before


def test_the_same_command_with_resume_continues_a_recipe_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = LanguageConfig()
    config.network.cell, config.network.hidden_size, config.training.epochs = "gru", 8, 1
    save_config(tmp_path / "recipe.toml", "language", config)
    monkeypatch.chdir(tmp_path)
    command = ["train", "language", file, "--recipe", "recipe.toml"]
    call(capsys, *command)
    out, _ = call(capsys, *command, "--epochs", "2", "--resume")
    assert "2 epochs" in out and (tmp_path / "runs" / f"{file.stem}-gru").exists()
    refused(
        capsys,
        [*command, "--resume", "--hidden-size", "9"],
        ("must keep its settings", "settings differ", "--out"),
    )


def test_predict_scores(trained: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = call(capsys, "predict", trained, file, "--score")
    header, *lines = out.splitlines()
    assert header == "token,bits" and len(lines) == len(file.read_text())
    result = json.loads(call(capsys, "evaluate", trained, file, "--json")[0])
    mean = sum(float(line.rpartition(",")[2]) for line in lines) / len(lines)
    assert mean == pytest.approx(result["model"]["bits_per_char"], abs=1e-3)
    assert f"{result['model']['bits_per_char']:.4g} bits per character" in err
    assert call(capsys, "predict", trained, "--prompt", "the cat", "--score")[0].count("\n") == 8


def test_stdin_is_scored_like_a_file(
    trained: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = call(capsys, "predict", trained, file, "--score")
    give_stdin(monkeypatch, file.read_bytes())
    assert call(capsys, "predict", trained, "-", "--score")[0] == whole


def test_a_closed_pipe_is_not_an_error(trained: Path) -> None:
    command = [sys.executable, "-m", "holdfast", "predict", str(trained), "--length", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_cells_are_compared(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "compare",
        "language",
        file,
        *FLAGS,
        "--cells",
        "gru,lstm",
        "--seeds",
        "1",
        "--out",
        tmp_path / "c",
    ]
    out, err = call(capsys, *command)
    assert "one seed cannot decide" in out and "unigram" in out and "100% of the training tokens" in err
    assert (tmp_path / "c" / "report.html").exists()


def test_a_folder_of_texts_and_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, part in (("a.txt", text(50)), ("b.txt", text(40))):
        (folder / name).write_text(part)
    config = LanguageConfig()
    config.network.hidden_size, config.training.steps, config.training.epochs = 8, 8, 1
    save_config(tmp_path / "recipe.toml", "language", config)
    out, _ = call(
        capsys, "train", "language", folder, "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "r"
    )
    assert "language, test split" in out


# -- mistakes --------------------------------------------------------------------------------------

FILES: dict[str, bytes] = {
    "empty.txt": b"",
    "short.txt": b"abc\n",
    "binary.txt": bytes(range(256)) * 40,
    "zero.txt": b"some text\n" * 40 + b"a\0b\n",
    "latin.txt": "caf\xe9 au lait\n".encode("latin-1") * 40,
    "lines.txt": b"\n" * 3,
}
TRAIN: dict[str, tuple[list[str], Expected]] = {
    "no such file": (["none.txt"], ("must exist", "none.txt", "path")),
    "an empty file": (["empty.txt"], ("at least 2", "0", "more text")),
    "a short file": (["short.txt"], ("at least", "has 0", "more text")),
    "a binary file": (["binary.txt"], ("", "line", "encoding")),
    "a zero byte": (["zero.txt"], ("not hold binary", "line 41", "encoding")),
    "another encoding": (["latin.txt"], ("utf-8", "line 1", "latin-1")),
    "an unknown encoding": (["text.txt", "--encoding", "utf-9"], ("encoding", "utf-9", "latin-1")),
    "an empty folder": (["nothing"], ("must hold files", "none", "another")),
    "too many steps": (["text.txt", "--steps", "5000"], ("twice as long", "5000", "lower")),
    "no steps": (["text.txt", "--steps", "0"], ("steps", "0", "64")),
    "an unknown unit": (["text.txt", "--token", "letter"], ("character", "letter", "")),
    "a small vocabulary": (["text.txt", "--vocabulary", "1"], ("at least 2", "1", "10000")),
    "an invalid split": (["text.txt", "--split", "80/20"], ("train/valid/test", "80/20", "0.9")),
    "a split of too much": (["text.txt", "--split", "0.9/0.2/0.1"], ("at most 1", "0.9", "0.9")),
    "no validation part": (["text.txt", "--split", "1/0/0"], ("split", "1/0/0", "0.9")),
    "a negative size": (["text.txt", "--hidden-size", "-4"], ("hidden-size", "-4", "--hidden-size 256")),
    "no layers": (["text.txt", "--num-layers", "0"], ("num-layers", "0", "--num-layers 2")),
    "dropout of all": (["text.txt", "--output-dropout", "1"], ("[0, 1)", "1", "0.2")),
    "a negative penalty": (["text.txt", "--activation", "-1"], ("activation", "-1", "1")),
    "cuts that fall": (["text.txt", "--adaptive", "20,10", "--no-tied"], ("increase", "20", "2000")),
    "0 samples": (["text.txt", "--sampled", "-5"], ("at least 0", "-5", "2000")),
    "samples and cuts": (
        ["text.txt", "--sampled", "5", "--adaptive", "9", "--no-tied"],
        ("adaptive", "with --adaptive", "alone"),
    ),
    "cuts of a tied softmax": (["text.txt", "--adaptive", "10"], ("own", "tied", "--no-tied")),
    "cuts beyond the vocabulary": (
        ["text.txt", "--adaptive", "9,2000", "--no-tied"],
        ("below", "2000", "leave out"),
    ),
    "a vocabulary of bytes": (
        ["text.txt", "--token", "byte", "--vocabulary", "99"],
        ("bytes", "99", "leave"),
    ),
    "too few subwords": (["text.txt", "--token", "subword", "--vocabulary", "99"], ("256", "99", "8000")),
    "two sizes of one layer": (["text.txt", "--embedding-size", "9"], ("tied", "9", "--no-tied")),
    "an encoding of no text": (["text.txt", "--encoding", "rot13"], ("text encoding", "rot13", "latin-1")),
    "an empty test file": (["text.txt", "--test", "empty.txt"], ("test", "empty.txt", "leave it out")),
    "no order": (["text.txt", "--order", "0"], ("order", "0", "5")),
    "a word for a number": (["text.txt", "--hidden-size", "big"], ("whole number", "big", "help")),
    "a misspelt flag": (["text.txt", "--hiden-size", "4"], ("flag", "hiden", "hidden-size")),
    "another task's flag": (["text.txt", "--target", "x"], ("flag", "--target", "")),
    "an unknown cell": (["text.txt", "--cell", "lsmt"], ("lstm", "lsmt", "lstm")),
    "no validation file": (["text.txt", "--valid", "gone.txt"], ("must exist", "gone.txt", "path")),
    "an empty validation file": (["text.txt", "--valid", "empty.txt"], ("validation", "0", "more text")),
    "nothing to resume": (["text.txt", "--resume"], ("", "", "--out")),
}
USE: dict[str, tuple[list[str], Expected]] = {
    "an unknown character": (["--prompt", "caf\xe9"], ("prompt", "\xe9", "--token byte")),
    "no length": (["--length", "0"], ("length", "0", "500")),
    "a negative temperature": (["--temperature", "-1"], ("temperature", "-1", "0.8")),
    "no tokens to sample from": (["--top-k", "0"], ("top-k", "0", "40")),
    "a share above one": (["--top-p", "1.5"], ("top-p", "1.5", "0.9")),
    "no penalty": (["--repetition-penalty", "0"], ("repetition-penalty", "0", "1.2")),
    "a negative seed": (["--seed", "-1"], ("seed", "-1", "0")),
    "an empty stop": (["--stop", ""], ("--stop", "it was", "give")),
    "a folder to write": (["--out", "nothing"], ("file", "nothing", "name of a file")),
    "a file to write on": (["text.txt"], ("score", "text.txt", "--score")),
    "nothing to score": (["--score"], ("empty", "it was", "file")),
    "a file and a prompt": (["text.txt", "--score", "--prompt", "a"], ("one text", "both", "leave")),
    "a score and sampling": (
        ["text.txt", "--score", "--top-k", "3", "--seed", "1"],
        ("without options", "--top-k, --seed", "leave"),
    ),
    "an empty file to score": (["empty.txt", "--score"], ("empty", "it was", "file")),
    "no such file to score": (["none.txt", "--score"], ("must exist", "none.txt", "path")),
    "a flag of another task": (["--method", "linear"], ("flag", "--method", "")),
}
EVALUATE: dict[str, tuple[list[str], Expected]] = {
    "an empty file": (["empty.txt"], ("empty", "empty.txt", "another")),
    "a binary file": (["zero.txt"], ("binary", "line 41", "encoding")),
    "a cache of 0": (["text.txt", "--cache", "0"], ("cache", "0", "2000")),
    "a cache without a text": (["--cache", "10"], ("file", "none", "give one")),
    "tuning without a cache": (["text.txt", "--tune", "text.txt"], ("tune", "no --cache", "--cache")),
    "tuning on what is scored": (
        ["text.txt", "--cache", "9", "--tune", "./text.txt"],
        ("other text", "text.txt", "validation"),
    ),
    "a share of all": (["text.txt", "--cache", "9", "--cache-share", "1"], ("(0, 1)", "1", "0.1")),
    "a rate of 0": (["text.txt", "--dynamic", "0"], ("dynamic", "0", "0.05")),
    "int8 without a text": (["--int8"], ("int8", "none", "give one")),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> Path:
    """Fill the current folder with good and bad files."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "nothing").mkdir()
    shutil.copy(file, tmp_path / "text.txt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", TRAIN)
def test_a_mistake_in_training(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = TRAIN[name]
    before = sorted(folder.rglob("*"))
    refused(capsys, ["train", "language", *merged(FLAGS, arguments)], expected)
    assert [path for path in sorted(folder.rglob("*")) if path.name != "runs"] == before


@pytest.mark.parametrize("name", USE)
@pytest.mark.usefixtures("folder")
def test_a_mistake_in_prediction(
    name: str, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    arguments, expected = USE[name]
    refused(capsys, ["predict", trained, *arguments], expected)


@pytest.mark.parametrize("name", EVALUATE)
@pytest.mark.usefixtures("folder")
def test_a_mistake_in_scoring(name: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = EVALUATE[name]
    refused(capsys, ["evaluate", trained, *arguments], expected)


def test_an_unknown_word(of_words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["predict", of_words, "--prompt", "the zebra"], ("words", "'zebra'", "--token byte"))


@pytest.mark.parametrize("name", ["data.json", "model.safetensors", "baselines.safetensors", "metrics.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x00\xff damaged"])
def test_a_damaged_run_is_reported(
    name: str, content: bytes | None, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["evaluate", damaged_copy(trained, tmp_path, name, content)], ("", "", ""))
