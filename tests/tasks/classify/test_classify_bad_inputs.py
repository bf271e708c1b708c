"""Mistakes in a classifier's data and settings: rule, cause and fix, no half-written file."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from commands import Expected, damaged_copy, give_stdin, refused
from holdfast.cli import main
from labelled import QUICK, file, series, several, texts

GOOD = texts(40)
TEXT, SERIES = ["--text", "text"], ["--series", "series", "--step", "step"]
ROWS = "series,step,x,y,label\na,0,1,2,u\na,1,1,2,u\nb,0,1,2,v\nb,1,1,2,v\n"


def with_row(row: str) -> str:
    """Return the good texts and one more row, on line 42."""
    return GOOD + row + "\n"


FILES: dict[str, tuple[str, str | bytes, list[str], Expected]] = {
    "no file of that name": ("b.csv", GOOD, TEXT, ("must exist", "There is no", "")),
    "an empty file": ("a.csv", "", TEXT, ("hold rows", "is empty (0 bytes)", "with rows")),
    "a header only": ("a.csv", "text,label\n", TEXT, ("hold records", "no rows", "with rows")),
    "binary data": ("a.csv", b"text,label\nx\0\1\2,a\n", TEXT, ("not hold binary", "Line 2", "--encoding")),
    "a picture": ("a.png", b"\x89PNG", TEXT, ("Records must be in a CSV", "ending .png", "ends in .csv")),
    "latin-1": ("a.csv", b"text,label\nok,a\ncaf\xe9,b\n", TEXT, ("must be utf-8", "Line 3", "latin-1")),
    "an unknown encoding": (
        "a.csv",
        GOOD,
        [*TEXT, "--encoding", "utf-9"],
        ("Python knows", "'utf-9'", "latin-1"),
    ),
    "a ragged row": ("a.csv", with_row("a,b,c"), TEXT, ("the header (2)", "Line 42 has 3", "quote")),
    "an open quote": ("a.csv", with_row('"a,b'), TEXT, ("in pairs", "They do not", "Correct them")),
    "damaged JSON": ("a.jsonl", '{"text": "a"\n', TEXT, ("a JSON object", "Line 1 is not JSON", "Correct")),
    "a column twice": ("a.csv", "text,text\na,b\n", TEXT, ("unique", "occurs twice: text", "Rename")),
    "a wrong text column": (
        "a.csv",
        GOOD,
        ["--text", "txt"],
        ("--text must name a column", "'txt' is not one of them: text, label", "Did you mean 'text'"),
    ),
    "a wrong label column": (
        "a.csv",
        GOOD,
        [*TEXT, "--label", "stars"],
        ("--label must name a column", "'stars' is not one of them", "--label"),
    ),
    "an empty text": ("a.csv", with_row(",good"), TEXT, ("at least 1 character", "Line 42", "Remove")),
    "a text of white space": ("a.csv", with_row("  ,good"), TEXT, ("at least 1", "Line 42", "fill in")),
    "a number for a text": ("a.jsonl", '{"text": 3, "label": "a"}\n', TEXT, ("at least", "int", "Remove")),
    "an empty label": ("a.csv", with_row("hello,"), TEXT, ("have one label", "Line 42 has none", "Fill")),
    "a list of labels": (
        "a.jsonl",
        '{"text": "x", "label": ["a", "b"]}\n',
        TEXT,
        ("have one label", "Line 1 has a list", "--separator"),
    ),
    "one class only": (
        "a.csv",
        "text,label\n" + "hello,a\n" * 20,
        TEXT,
        ("at least 2 classes", "only 'a'", "another class"),
    ),
    "another label for each row": (
        "a.csv",
        "text,label\n" + "".join(f"hello,{row}\n" for row in range(20)),
        TEXT,
        ("a label must occur in several", "All 20 values of the column 'label' differ", "--label"),
    ),
    "too few rows": ("a.csv", "text,label\nx,a\ny,b\n", TEXT, ("validation split", "It has 0", "--split")),
    "neither text nor series": ("a.csv", GOOD, [], ("--text COLUMN", "Neither was given", "one of the two")),
    "text and series": (
        "a.csv",
        GOOD,
        [*TEXT, "--series", "s"],
        ("--text COLUMN", "Both were given", "one of"),
    ),
    "channels of texts": ("a.csv", GOOD, [*TEXT, "--channels", "x"], ("with series", "--series", "Leave")),
    "vectors of series": (
        "a.csv",
        ROWS,
        [*SERIES, "--vectors", "v.txt"],
        ("with texts", "There is no --text", "Leave"),
    ),
    "vectors of bytes": (
        "a.csv",
        GOOD,
        [*TEXT, "--vectors", "v.txt", "--token", "byte"],
        ("--token word", "byte", "--token word"),
    ),
    "a missing channel": (
        "a.csv",
        ROWS.replace("b,1,1,2,v", "b,1,,2,v"),
        SERIES,
        ("'x' must have a number in each row", "Line 5 has none", "--channels"),
    ),
    "NaN in a channel": (
        "a.csv",
        ROWS.replace("a,1,1,2,u", "a,1,1,NaN,u"),
        SERIES,
        ("'y' must have a number", "Line 3 has none", "Fill in"),
    ),
    "text in a channel": (
        "a.csv",
        ROWS.replace("a,1,1,2,u", "a,1,1,high,u"),
        SERIES,
        ("hold numbers", "Line 3 has 'high'", "Correct"),
    ),
    "an infinite channel": (
        "a.csv",
        ROWS.replace("a,1,1,2,u", "a,1,1,inf,u"),
        SERIES,
        ("finite", "Line 3", "Correct"),
    ),
    "an unknown channel": (
        "a.csv",
        ROWS,
        [*SERIES, "--channels", "x,z"],
        ("channel must be a column", "'z' is not one of them", "Name"),
    ),
    "no channel": (
        "a.csv",
        "series,label\na,u\nb,v\n",
        ["--series", "series"],
        ("at least 1 channel", "no other column", "--channels"),
    ),
    "two labels in a series": (
        "a.csv",
        ROWS.replace("b,1,1,2,v", "b,1,1,2,u"),
        SERIES,
        ("same label", "Line 5 has 'u', and an earlier row of its series 'v'", "Correct"),
    ),
    "a series without a label": (
        "a.csv",
        ROWS.replace(",v", ","),
        SERIES,
        ("have a label", "Line 4 has none", "Fill"),
    ),
    "a row without a series": (
        "a.csv",
        ROWS.replace("b,1", ",1"),
        SERIES,
        ("name its series", "Line 5", "Fill"),
    ),
    "a row without a step": ("a.csv", ROWS.replace("b,1", "b,"), SERIES, ("its step", "Line 5", "Fill")),
    "a step twice": ("a.csv", ROWS.replace("b,1", "b,0"), SERIES, ("steps of a series", "Line 5", "Remove")),
    "a wrong step column": (
        "a.csv",
        ROWS,
        ["--series", "series", "--step", "stp"],
        ("step must be a column", "'stp' is not one of them", "Did you mean 'step'"),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_is_reported(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, content, flags, expected = FILES[name]
    file(tmp_path, own, content)
    data = tmp_path / ("a.csv" if own == "b.csv" else own)
    out = tmp_path / "run"
    refused(capsys, ["train", "classify", data, *flags, *QUICK, "--out", out], expected)
    assert not out.exists()


SETTINGS: dict[str, tuple[list[str], Expected]] = {
    "no length": (["--max-length", "0"], ("--max-length must be at least 1", "It was 0", "--max-length 400")),
    "no vocabulary": (["--vocabulary", "1"], ("--vocabulary must be at least 2", "It was 1", "20000")),
    "no unit": (["--hidden-size", "0"], ("--hidden-size must be at least 1", "It was 0", "64")),
    "all words dropped": (["--word-dropout", "1"], ("[0, 1)", "It was 1", "--word-dropout 0.2")),
    "no token": (["--tokens", "0"], ("--tokens must be at least 1", "It was 0", "16384")),
    "a split above one": (["--split", "0.9/0.2/0.1"], ("sum of at most 1", "0.9/0.2/0.1", "0.9/0.05/0.05")),
    "a split of words": (["--split", "most"], ("train/valid/test", "'most'", "--split")),
    "an empty separator": (["--separator", ""], ("--separator", "''", "';'")),
    "an unknown pooling": (["--pooling", "min"], ("pooling", "min", "")),
    "missing vectors": (["--vectors", "none.txt"], ("must exist", "none.txt", "Check")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_reported(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, expected = SETTINGS[name]
    own = [
        word for pair in zip(QUICK[::2], QUICK[1::2], strict=True) if pair[0] not in flags for word in pair
    ]
    data, out = file(tmp_path, "a.csv", GOOD), tmp_path / "run"
    refused(capsys, ["train", "classify", data, *TEXT, *own, *flags, "--out", out], expected)
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("great 1 2\nfilm 1 2 3\n", ("same size (2)", "Line 2 has 3 numbers", "Correct")),
        ("great 1 2\nfilm 1 two\n", ("finite numbers", "Line 2 has 'two'", "Correct")),
        ("zebra 1 2\n", ("words of the training texts", "has none", "same language")),
        ("great 1 2\n", ("--embedding-size must be that", "It was 6", "Leave it out")),
    ],
)
def test_a_mistake_in_word_vectors_is_reported(
    content: str, expected: Expected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, vectors = file(tmp_path, "a.csv", GOOD), file(tmp_path, "v.txt", content)
    refused(capsys, ["train", "classify", data, *TEXT, *QUICK, "--vectors", vectors], expected)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on texts and one on series."""
    folder = tmp_path_factory.mktemp("trained")
    for name, content, flags in (("texts", GOOD, TEXT), ("series", series(30), SERIES)):
        data = file(folder, f"{name}.csv", content)
        assert main(["train", "classify", str(data), *flags, *QUICK, "--out", str(folder / name)]) == 0
    return folder


USES: dict[str, tuple[list[str], str, Expected]] = {
    "labels unseen in training": (
        ["evaluate", "texts", "FILE"],
        "text,label\na film,superb\na play,good\n",
        ("those of the training split: bad, good", "has 'superb'", "remove their rows"),
    ),
    "no labels to score": (
        ["evaluate", "texts", "FILE"],
        "text\na film\n",
        ("--label must name a column", "'label' is not one of them: text", "--label"),
    ),
    "an empty text": (
        ["predict", "texts", "FILE"],
        "text\na film\n \nso\n",
        ("at least 1", "Line 3", "fill"),
    ),
    "no text": (["predict", "texts", "--text", " "], "", ("--text must be a text", "It was empty", "a file")),
    "nothing": (["predict", "texts"], "", ("file or a --text", "Neither", "one of the two")),
    "a file and a text": (
        ["predict", "texts", "FILE", "--text", "so"],
        "text\na\n",
        ("file or a --text", "Both", "one of"),
    ),
    "a text for series": (["predict", "series", "--text", "so"], "", ("model of texts", "series", "a file")),
    "other channels": (
        ["predict", "series", "FILE"],
        "series,step,x,z\na,0,1,2\n",
        ("training split: x, y", "has x, z", "Rename"),
    ),
    "a series' label unseen": (
        ["evaluate", "series", "FILE"],
        "series,step,x,y,label\na,0,1,2,side\n",
        ("training split: down, up", "'side'", "train on examples"),
    ),
}


@pytest.mark.parametrize("name", USES)
def test_a_mistake_in_prediction_is_reported(
    name: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    words, content, expected = USES[name]
    data = file(tmp_path, "a.csv", content)
    verb, run, *rest = [str(data) if word == "FILE" else word for word in words]
    refused(capsys, [verb, trained / run, *rest], expected)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("texts", ("at least 1 character", "Line 2 is empty", "Remove")),
        ("series", ("must get a file", "None was given", "CSV")),
    ],
)
def test_a_mistake_on_stdin_is_reported(
    run: str,
    expected: Expected,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_stdin(monkeypatch, b"a film\n\nso\n")
    capsys.readouterr()
    assert main(["predict", str(trained / run)]) == 2
    out, err = capsys.readouterr()
    assert [line[:2] for line in out.splitlines()[1:]] == (
        ["1,"] if run == "texts" else []
    )  # what came before
    assert all(words in err for words in expected) and "Traceback" not in err


def test_a_resumed_run_keeps_its_data(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = file(trained, "other.csv", texts(40, seed=5))
    expected = ("must keep its settings and its data", "The data differ", "train again")
    refused(capsys, ["train", "classify", other, "--out", trained / "texts", "--resume"], expected)


def test_labels_of_a_validation_file_unseen_in_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, other = file(tmp_path, "a.csv", GOOD), file(tmp_path, "b.csv", "text,label\nso,odd\n")
    expected = ("those of the training split", "The validation split also has 'odd'", "train on examples")
    refused(capsys, ["train", "classify", data, *TEXT, *QUICK, "--valid", other], expected)


def test_a_damaged_run_folder_is_reported(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = damaged_copy(trained / "texts", tmp_path, "data.json", b'{"kind": "text", "digest": ""}')
    expected = ("as training wrote it", "damaged", "Copy the run folder again")
    refused(capsys, ["predict", copy, "--text", "so"], expected)
    copy = damaged_copy(trained / "texts", tmp_path, "baselines.safetensors", b"")
    expected = ("complete safetensors file", "cannot be read", "backup")
    refused(capsys, ["predict", copy, "--text", "so"], expected)


def test_no_label_at_all_is_one_of_several(tmp_path: Path) -> None:
    data, out = file(tmp_path, "a.jsonl", several(60)), tmp_path / "run"
    assert main(["train", "classify", str(data), *TEXT, *QUICK, "--separator", ";", "--out", str(out)]) == 0


def test_a_parquet_file_with_lists_of_labels(tmp_path: Path) -> None:
    rows = {"text": ["a film", "a play", "an act"] * 8, "label": [["x"], ["y", "x"], []] * 8}
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    arguments = [str(tmp_path / "a.parquet"), *TEXT, *QUICK, "--separator", ";"]
    assert main(["train", "classify", *arguments, "--out", str(tmp_path / "run")]) == 0
