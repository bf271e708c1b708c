"""Mistakes on the command line: exit code 2, a message of three lines, no half-written file."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import Expected, merged, refused
from holdfast.cli import main

ROWS = 120
FLAGS = ["--target", "temp", "--horizon", "3", "--lookback", "8", "--hidden-size", "4", "--epochs", "2"]


def rows(count: int = ROWS) -> list[str]:
    """Hourly rows: date, temp, rain (always positive) and a holiday flag."""
    days = (f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00" for i in range(count))
    return [f"{day},{10 + i % 24},{1 + i % 5},{i % 2}" for i, day in enumerate(days)]


def csv(lines: list[str], header: str = "date,temp,rain,holiday") -> str:
    return "\n".join([header, *lines]) + "\n"


def changed(row: int, line: str) -> str:
    """The good file with one line replaced."""
    lines = rows()
    lines[row] = line
    return csv(lines)


def in_series(names: str) -> str:
    """A block of rows for each series."""
    return csv([f"{line},{name}" for name in names for line in rows(60)], "date,temp,rain,holiday,place")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.csv"
    path.write_text(csv(rows()))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, good: Path) -> Path:
    """A run with a covariate that is known in advance."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "forecast", str(good), *FLAGS, "--known", "holiday", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def trained_on_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on the series a and b."""
    folder = tmp_path_factory.mktemp("trained_on_series")
    (folder / "ab.csv").write_text(in_series("ab"))
    flags = [*FLAGS, "--series", "place", "--out", str(folder / "run")]
    assert main(["train", "forecast", str(folder / "ab.csv"), *flags]) == 0
    return folder / "run"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


# -- the file --------------------------------------------------------------------------------------

HOUR_30 = "2024-01-02 06:00:00"

BAD_FILES: dict[str, tuple[str | bytes, list[str], Expected]] = {
    "empty": ("", [], ("", "empty", "")),
    "header only": (csv([]), [], ("rows", "none", "")),
    "one row": (csv(rows(1)), [], ("", "1", "")),
    "no such column": (csv(rows()), ["--target", "tmep"], ("column", "tmep", "temp")),
    "text in a number column": (changed(30, f"{HOUR_30},mild,1,0"), [], ("number", "mild", "")),
    "infinity": (changed(30, f"{HOUR_30},inf,1,0"), [], ("finite", "inf", "")),
    "all values missing": (
        csv([",".join([line.split(",")[0], "", "1", "0"]) for line in rows()]),
        [],
        ("", "", ""),
    ),
    "a time twice": (changed(31, f"{HOUR_30},5,1,0"), [], ("", HOUR_30, "")),
    "unsorted times": (csv(rows()[60:] + rows()[:60]), [], ("order", "", "--sort")),
    "an invalid time": (changed(30, "someday,5,1,0"), [], ("time", "someday", "")),
    "mixed time zones": (changed(30, "2024-01-02T06:00:00+02:00,5,1,0"), [], ("", "", "")),
    "horizon longer than the series": (
        csv(rows()),
        ["--horizon", "500"],
        ("and 500 to forecast", "120", "--horizon"),
    ),
    "look-back longer than the series": (
        csv(rows()),
        ["--lookback", "500"],
        ("500 rows of input", "120", "--lookback"),
    ),
    "binary": (b"\x00\xff\xfe\x01PNG\r\n\x1a\n" * 50, [], ("", "", "")),
    "latin-1": (csv(rows()).replace("rain", "Regenhöhe").encode("latin-1"), [], ("utf-8", "", "utf-8")),
    "ragged rows": (changed(30, f"{HOUR_30},5,1,0,7,8"), [], ("", "", "")),
    "a row too short": (changed(30, f"{HOUR_30},5"), [], ("", "", "")),
    "a column twice": (csv(rows(), "date,temp,temp,holiday"), [], ("", "temp", "")),
    "target is the time": (csv(rows()), ["--target", "date"], ("", "date", "")),
    "covariate is the target": (csv(rows()), ["--past", "temp"], ("", "temp", "")),
    "prices that are not positive": (
        changed(30, f"{HOUR_30},-5,1,0"),
        ["--returns"],
        ("positive", "-5", "--returns"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_training_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, flags, expected = BAD_FILES[name]
    data, out = tmp_path / "bad.csv", tmp_path / "out"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(capsys, ["train", "forecast", data, *merged(FLAGS, flags), "--out", out], expected)
    assert not out.exists()


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        capsys,
        ["train", "forecast", tmp_path / "none.csv", *FLAGS, "--out", tmp_path / "out"],
        ("", "none.csv", ""),
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_instead_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        capsys,
        ["train", "forecast", tmp_path, *FLAGS, "--out", tmp_path / "out"],
        ("file", "folder", ""),
    )


def test_a_truncated_parquet_file(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl = pytest.importorskip("polars")
    data = tmp_path / "cut.parquet"
    pl.read_csv(good).write_parquet(data)
    data.write_bytes(data.read_bytes()[:-100])
    refused(capsys, ["train", "forecast", data, *FLAGS, "--out", tmp_path / "out"], ("parquet", "", ""))
    assert not (tmp_path / "out").exists()


def test_an_unreadable_file(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(good))

    monkeypatch.setattr("holdfast.tasks.forecast.dataset.read_panel", deny)  # also for root
    refused(
        capsys,
        ["train", "forecast", good, *FLAGS, "--out", tmp_path / "out"],
        ("readable", "Permission denied", "permissions"),
    )
    assert not (tmp_path / "out").exists()


# -- flags -----------------------------------------------------------------------------------------

BAD_FLAGS: dict[str, tuple[list[str], Expected]] = {
    "horizon 0": (["--horizon", "0"], ("horizon", "0", "--horizon 1")),
    "horizon in words": (["--horizon", "three"], ("whole number", "three", "--help")),
    "half a horizon": (["--horizon", "2.5"], ("whole number", "2.5", "--help")),
    "horizon twice": (["--horizon", "3", "--horizon", "4"], ("once", "again", "--help")),
    "horizon without a value": (["--horizon"], ("--horizon must have a value", "none", "--help")),
    "negative look-back": (["--lookback", "-3"], ("--lookback", "-3", "--lookback 128")),
    "unknown cell": (["--cell", "gruu"], ("rnn, gru, lstm", "gruu", "Did you mean 'gru'?")),
    "unknown flag": (["--horizn", "3"], ("A flag", "--horizn", "Did you mean '--horizon'?")),
    "a stray word": (["stray"], ("arguments", "stray", "--help")),
    "bad split": (["--split", "0.7/0.5"], ("split", "0.7/0.5", "--split 0.7/0.1/0.2")),
    "split above 1": (["--split", "0.7/0.2/0.2"], ("at most 1", "0.7/0.2/0.2", "--split")),
    "split with more rows than there are": (["--split", "100/20/20"], ("split", "140 rows", "--split")),
    "quantiles without a median": (["--quantiles", "0.1,0.9"], ("0.5", "0.1, 0.9", "--quantiles")),
    "quantiles that are not numbers": (["--quantiles", "low,high"], ("numbers with commas", "low", "--help")),
    "bad budget": (["--budget", "soon"], ("duration", "soon", "90s")),
    "no epochs": (["--epochs", "0"], ("epochs", "0", "--epochs 1")),
    "negative learning rate": (["--learning-rate", "-1"], ("--learning-rate", "-1", "--learning-rate 0.001")),
    "dropout of everything": (["--dropout", "1"], ("dropout", "1.0", "--dropout 0.2")),
    "no hidden units": (["--hidden-size", "0"], ("--hidden-size", "0", "--hidden-size 64")),
    "unknown device": (["--device", "gpu"], ("cuda", "gpu", "--device")),
    "a missing recipe": (
        ["--recipe", "none.toml"],
        ("settings must exist", "There is no none.toml", "path"),
    ),
    "missing test file": (["--test", "none.csv"], ("", "none.csv", "")),
}


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_a_bad_flag(name: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, expected = BAD_FLAGS[name]
    refused(capsys, ["train", "forecast", good, "--out", tmp_path / "out", *merged(FLAGS, flags)], expected)
    assert not (tmp_path / "out").exists()


BAD_COMMANDS: dict[str, tuple[list[str], Expected]] = {
    "unknown verb": (["trian", "forecast"], ("train", "trian", "Did you mean 'train'?")),
    "unknown task": (["train", "forcast", "x.csv"], ("forecast", "forcast", "Did you mean 'forecast'?")),
    "no task": (["train"], ("task", "None", "forecast")),
    "no file": (["train", "forecast"], ("DATA", "None", "--help")),
    "unknown demo": (["demo", "forcast"], ("forecast", "forcast", "Did you mean 'forecast'?")),
    "misspelt token": (["train", "language", "x", "--token", "letters"], ("byte", "letters", "'character'?")),
    "odd token": (["train", "language", "x", "--token", "xyz"], ("byte", "xyz", "example --token character")),
    "no run": (["evaluate"], ("RUN", "None", "--help")),
    "a missing run": (["evaluate", "runs/none"], ("folder", "runs/none", "--out")),
    "nothing to predict from": (["predict", "runs/none", "x.csv"], ("folder", "runs/none", "--out")),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_a_bad_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, expected = BAD_COMMANDS[name]
    refused(capsys, [*arguments], expected)
    assert not list(tmp_path.iterdir())


def test_no_target(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        capsys,
        ["train", "forecast", good, "--out", tmp_path / "out"],
        ("column", "--target", "date, temp, rain, holiday"),
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cells", "gru,lstn"], ("rnn, gru, lstm", "lstn", "Did you mean 'lstm'?")),
        (["--seeds", "0"], ("seed", "0", "--seeds 3")),
    ],
)
def test_a_bad_comparison(
    flags: list[str], expected: Expected, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["compare", "forecast", good, *FLAGS, *flags, "--out", tmp_path / "out"], expected)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--folds", "1"], ("2 folds", "1", "--folds 5")),
        (["--folds", "50"], ("horizon", "50", "--folds")),
    ],
)
def test_a_bad_backtest(
    flags: list[str], expected: Expected, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["backtest", "forecast", good, *FLAGS, *flags], expected)


def test_a_backtest_is_for_forecast_only(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = ("the task forecast: it is for no other task", "'language'", "holdfast train language")
    refused(capsys, ["backtest", "language", good], expected)


RECIPES: dict[str, tuple[str, Expected]] = {
    "unknown field": (
        'task = "forecast"\n[network]\nhiden_size = 3\n',
        ("hidden_size", "hiden_size", "hidden_size"),
    ),
    "a choice misspelt": (
        'task = "forecast"\n[network]\ncell = "gruu"\n',
        ("cell must be one of rnn, gru, lstm", "recipe.toml it is 'gruu'", "Did you mean 'gru'?"),
    ),
    "unknown part": ('task = "forecast"\n[networks]\n', ("network", "networks", "network")),
    "wrong type": ('task = "forecast"\nhorizon = "3"\n', ("horizon", "'3'", "horizon")),
    "a value where a table belongs": ('task = "forecast"\nnetwork = 3\n', ("network", "3", "network")),
    "not TOML": ("task = forecast\n", ("TOML", "line 1", "line")),
    "no task": ("horizon = 3\n", ("task", "None", "task")),
    "another task": ('task = "language"\n', ("forecast", "language", "forecast")),
    "a value outside its rule": (
        'task = "forecast"\nhorizon = 0\n',
        ("horizon", "recipe.toml: It was 0", ""),
    ),
    "a newer format": ('format = 99\ntask = "forecast"\n', ("format", "99", "upgrade")),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_bad_recipe(name: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = RECIPES[name]
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    arguments = ["train", "forecast", good, "--target", "temp", "--recipe", recipe, "--out", tmp_path / "out"]
    refused(capsys, arguments, expected)
    assert not (tmp_path / "out").exists()


def test_a_bad_flag_with_a_recipe(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('task = "forecast"\nhorizon = 3\n[data]\ntarget = ["temp"]\n')
    err = refused(
        capsys, ["train", "forecast", good, "--recipe", recipe, "--horizon", "0"], ("horizon", "0", "1")
    )
    assert "recipe" not in err  # the flag is not at fault


# -- output ----------------------------------------------------------------------------------------


def test_an_output_path_under_a_file(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("here first")
    refused(
        capsys,
        ["train", "forecast", good, *FLAGS, "--out", tmp_path / "file" / "run"],
        ("writable", "Not a directory", "another folder"),
    )
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.parametrize("flag", [[], ["--overwrite"]])
@pytest.mark.parametrize("verb", ["train", "compare", "claims", "backtest"])
def test_an_output_folder_in_use(
    verb: str, flag: list[str], good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("here first")
    refused(
        capsys,
        [verb, "forecast", good, *FLAGS, *flag, "--out", tmp_path],
        ("empty folder", "mine.txt", "another folder"),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("verb", ["train", "compare", "claims", "backtest"])
def test_a_mistake_keeps_earlier_results(
    verb: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--overwrite removes nothing before the new file is known to be good."""
    bad = tmp_path / "bad.csv"
    bad.write_text(csv(rows(1)))
    before = sorted(path.name for path in copy.iterdir())
    refused(capsys, [verb, "forecast", bad, *FLAGS, "--overwrite", "--out", copy], ("", "1", ""))
    assert sorted(path.name for path in copy.iterdir()) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_failing_disk(
    number: int,
    trained: Path,
    good: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "The disk says no")

    data = tmp_path / "longer.csv"
    data.write_text(with_future(3))
    monkeypatch.setattr("os.fsync", refuse)
    out = tmp_path / "forecast.csv"
    refused(capsys, ["predict", trained, data, "--out", out], ("writable", "The disk says no", "space"))
    assert [path.name for path in tmp_path.iterdir()] == ["longer.csv"]


def test_a_full_disk_while_training(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    out = tmp_path / "out"
    refused(
        capsys,
        ["train", "forecast", good, *FLAGS, "--out", out],
        ("writable", "No space left", "Free some space"),
    )
    assert not out.exists()


def test_a_missing_device(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["train", "forecast", good, *FLAGS, "--device", "cuda:77", "--out", out]
    refused(capsys, arguments, ("device", "", "--device"))
    assert not out.exists()


def test_resume_without_a_run(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    refused(
        capsys,
        ["train", "forecast", good, *FLAGS, "--out", out, "--resume"],
        ("--resume", "no folder", "--out"),
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "was", "now"),
    [
        (["--cell", "lstm"], "gru", "lstm"),
        (["--horizon", "4"], "3", "4"),
        (["--target", "rain"], "temp", "rain"),
    ],
)
def test_resume_with_another_setting(
    flags: list[str], was: str, now: str, copy: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    refused(
        capsys,
        ["train", "forecast", good, *flags, "--out", copy, "--resume"],
        (
            "--epochs, --patience, --budget",
            f"{was} in {copy}; the command gives {now}",
            f"Leave {flags[0]} out",
        ),
    )
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_resume_and_overwrite(copy: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "forecast", good, "--out", copy, "--resume", "--overwrite"]
    refused(capsys, arguments, ("--resume", "--overwrite", "Leave one"))


# -- predicting with a run -------------------------------------------------------------------------


def with_future(count: int) -> str:
    """Return the good file with its last rows without a target."""
    lines = [line.split(",") for line in rows(ROWS + count)]
    return csv([",".join([p[0], "" if i >= ROWS else p[1], *p[2:]]) for i, p in enumerate(lines)])


def test_missing_known_covariates_after_the_end(
    trained: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "forecast.csv"
    refused(capsys, ["predict", trained, good, "--out", out], ("holiday", "0 such rows", "Add rows"))
    assert not out.exists()


def test_too_few_rows_for_the_lookback(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "short.csv"
    data.write_text(csv(rows(5)))
    refused(capsys, ["predict", trained, data], ("8 rows", "has 5", "more rows of the past"))


def test_other_columns(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "other.csv"
    data.write_text(csv(rows(), "date,temperature,rain,holiday"))
    for verb in ("evaluate", "predict"):
        refused(capsys, [verb, trained, data], ("column", "temperature", ""))


def test_too_few_rows_to_score(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "short.csv"
    data.write_text(csv(rows(10)))
    refused(capsys, ["evaluate", trained, data], ("8 + 3", "has 10", "longer file"))


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_an_unknown_series(
    verb: str, trained_on_series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "ac.csv"
    data.write_text(in_series("ac"))
    refused(capsys, [verb, trained_on_series, data], ("series", "'c'", "train"))


def test_a_plot_must_be_a_png(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "longer.csv"
    data.write_text(with_future(3))
    arguments = ["predict", trained, data, "--out", tmp_path / "f.csv", "--plot", tmp_path / "f.docx"]
    refused(capsys, arguments, ("PNG", "f.docx", ".png"))
    assert not (tmp_path / "f.csv").exists()


RUN_FILES = ["config.toml", "data.json", "model.safetensors", "baselines.safetensors", "metrics.json"]


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "junk"])
def test_a_damaged_run(
    name: str, damage: str, copy: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 3] if damage == "cut" else b"\x00\xffjunk\n")
    if name == "metrics.json" and damage == "missing":
        (copy / "state.safetensors").unlink()
    assert name in refused(capsys, ["evaluate", copy, good], ("", "", ""))


def test_a_run_of_a_newer_holdfast(copy: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "config.toml"
    path.write_text(path.read_text().replace("format = 1", "format = 2"))
    refused(capsys, ["evaluate", copy, good], ("format 1", "format 2", "upgrade"))


def test_a_run_of_an_unknown_task(copy: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "config.toml"
    path.write_text(path.read_text().replace('task = "forecast"', 'task = "forcast"'))
    refused(capsys, ["evaluate", copy, good], ("forecast", "forcast", "Did you mean"))


def test_an_unfinished_run(copy: Path, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "metrics.json").unlink()
    refused(capsys, ["evaluate", copy, good], ("ended", "stopped", "--resume"))


def test_incomplete_metrics(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "metrics.json").write_text("{}")
    refused(capsys, ["evaluate", copy], ("metrics.json", "model", "file"))


# -- as processes ----------------------------------------------------------------------------------


def test_a_process_ends_with_2_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "holdfast", "train", "forecast", "none.csv", "--target", "temp"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


# -- errors of the system and bugs -----------------------------------------------------------------


def failing(error: BaseException) -> Callable[..., int]:
    def verb(*_: object) -> int:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), ("memory", "not enough", "--batch-size")),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB"),
            ("memory", "9 GB", "--batch-size"),
        ),
        (OSError(errno.ENOSPC, "No space left on device", "x"), ("writable", "x: No space", "Free")),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            ("readable", "Permission denied", "permissions"),
        ),
        (ModuleNotFoundError("No module named 'polars'", name="polars"), ("extra", "polars", "pip install")),
    ],
)
def test_an_error_of_the_operating_system(
    error: BaseException,
    expected: Expected,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("holdfast.info.info", failing(error))
    refused(capsys, ["info"], expected)


def test_a_bug_shows_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.info.info", failing(KeyError("oops")))
    assert main(["info"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "report" in err


def test_ctrl_c_outside_training(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.info.info", failing(KeyboardInterrupt()))
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
