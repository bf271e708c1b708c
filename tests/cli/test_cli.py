"""The command line from training to prediction; metrics are compared with a computation by hand."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import call
from holdfast.checkpoint import load_arrays
from holdfast.cli import app, main
from holdfast.cli.output import score_table
from holdfast.cli.params import help_texts
from holdfast.config import Training, load_config, settings_of
from holdfast.files import to_json
from holdfast.models.options import ForecastOptions
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.metrics import Metric, Scoreboard
from holdfast.tasks.registry import TASKS

ROWS, HORIZON, SEASON = 240, 3, 24
VALUES = np.array([10.0 + i % SEASON + i / 100 for i in range(ROWS)])
TEST = range(192, ROWS)
"""Rows of the test split: the last fifth."""

FLAGS = ["--target", "temp", "--horizon", "3", "--season", "24", "--lookback", "24", "--hidden-size", "4"]
FIGURES = {"mae", "rmse", "smape", "mase", "pinball", "coverage", "mse_z", "mae_z"}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "weather.csv"
    times = (f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00" for i in range(ROWS))
    path.write_text("date,temp\n" + "".join(f"{t},{v:.2f}\n" for t, v in zip(times, VALUES, strict=True)))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    out = tmp_path_factory.mktemp("cli_run") / "run"
    assert main(["train", "forecast", str(data), *FLAGS, "--epochs", "2", "--out", str(out)]) == 0
    return out


def last_value_mae(origins: range) -> float:
    """Compute by hand: the value before each origin against the three from it on."""
    errors = [abs(VALUES[o + k] - VALUES[o - 1]) for o in origins for k in range(HORIZON)]
    return float(np.mean(errors))


# -- the main commands -----------------------------------------------------------------------------


def test_train_writes_the_run_folder(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    wanted = ["config.toml", "data.json", "model.safetensors", "metrics.json", "history.csv", "report.html"]
    assert names >= set(wanted)
    config = load_config(trained / "config.toml", ForecastConfig)
    assert (config.data.target, config.horizon, config.training.epochs) == (("temp",), HORIZON, 2)


def test_train_prints_metrics_and_what_to_do_next(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "a run"
    out, err = call(capsys, "train", "forecast", data, *FLAGS, "--epochs", "1", "--out", run)
    assert "GRU" in out and "seasonal_naive" in out and "mae" in out
    assert f"holdfast evaluate '{run}' --json" in out
    assert f"holdfast predict '{run}' {data}" in out
    assert f"holdfast compare forecast {data} --target temp --horizon 3" in out
    assert "epoch 1/1" in err and "epoch 1/1" not in out
    assert "note: time column" in err and "note:" not in out


def test_evaluate_prints_one_json_object(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = call(capsys, "evaluate", trained, "--json")
    result = json.loads(out)
    assert list(result) == ["task", "split", "model", "baselines", "parameters", "seconds", "windows"]
    assert (result["task"], result["split"], result["windows"]) == (
        "forecast",
        "test",
        len(TEST) - HORIZON + 1,
    )
    assert set(result["model"]) == FIGURES
    assert all(set(figures) == FIGURES for figures in result["baselines"].values())
    assert isinstance(result["parameters"], int) and result["parameters"] > 0 and result["seconds"] > 0


def test_metrics_of_the_test_split_are_right(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baselines = json.loads(call(capsys, "evaluate", trained, "--json")[0])["baselines"]
    origins = range(TEST.start, TEST.stop - HORIZON + 1)
    assert baselines["last_value"]["mae"] == pytest.approx(last_value_mae(origins), rel=1e-4)
    assert baselines["seasonal_naive"]["mae"] == pytest.approx(SEASON / 100, rel=1e-3)


def test_metrics_of_a_file_are_right(trained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(call(capsys, "evaluate", trained, data, "--json")[0])
    origins = range(24, ROWS - HORIZON + 1)
    assert result["windows"] == len(origins)
    assert result["baselines"]["last_value"]["mae"] == pytest.approx(last_value_mae(origins), rel=1e-4)


def test_evaluate_shows_a_table(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = call(capsys, "evaluate", trained)
    header = next(line.split() for line in out.splitlines() if "mae" in line)
    row = next(line.split() for line in out.splitlines() if line.split()[:1] == ["seasonal_naive"])
    assert header == [name for name in header if name in FIGURES]
    assert float(row[1 + header.index("mae")]) == pytest.approx(SEASON / 100, abs=1e-3)
    assert "baseline" in out


def forecast_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def test_predict_writes_csv_to_stdout(trained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = forecast_rows(call(capsys, "predict", trained, data)[0])
    assert [row["time"][:16].replace("T", " ") for row in rows] == [
        f"2024-01-11 {hour:02d}:00" for hour in range(3)
    ]
    for row in rows:
        assert row["target"] == "temp"
        assert float(row["forecast"]) == float(row["q0.5"])


def test_predict_writes_files(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "f.csv", tmp_path / "f.png"
    out, err = call(capsys, "predict", trained, data, "--out", table, "--plot", picture)
    assert out == "" and str(table) in err and str(picture) in err
    assert table.read_text() == call(capsys, "predict", trained, data)[0]
    assert picture.read_bytes().startswith(b"\x89PNG")


# -- where settings come from ----------------------------------------------------------------------


def config_of(run: Path) -> ForecastConfig:
    return load_config(run / "config.toml", ForecastConfig)


def test_flags_override_a_recipe(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'task = "forecast"\nhorizon = 2\nlookback = 10\n[data]\ntarget = ["temp"]\nsort = true\n'
        '[network]\ncell = "lstm"\nhidden_size = 4\n[training]\nepochs = 1\nseed = 5\n'
    )
    flags = ["--recipe", str(recipe), "--horizon", "3", "--no-sort", "--out", str(tmp_path / "run")]
    assert main(["train", "forecast", str(data), *flags]) == 0
    out = capsys.readouterr().out
    assert f"holdfast compare forecast {data} --recipe {recipe} --horizon 3 --no-sort\n" in out
    assert config_of(tmp_path / "run") == ForecastConfig(
        data=DataConfig(target=("temp",), sort=False),
        network=ForecastOptions(cell="lstm", hidden_size=4),
        training=Training(epochs=1, seed=5),
        horizon=3,
        lookback=10,
    )


@pytest.mark.parametrize(
    "flags", [["--target", "a,b"], ["--target", "a", "--target", "b"], ["--target", "a, b"]]
)
def test_several_targets(flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []

    def settings(task: str, given: dict[str, Any], *_: Any) -> None:
        found.append((task, given))
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.cli.commands.train._settings", settings)
    assert main(["train", "forecast", "x.csv", *flags, "--quantiles", "0.25,0.5,0.75"]) == 130
    assert found == [("forecast", {"target": ("a", "b"), "quantiles": (0.25, 0.5, 0.75)})]


def test_prices_are_compared_with_the_random_walk_baseline(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = call(
        capsys,
        "train",
        "forecast",
        data,
        "--target",
        "temp",
        "--returns",
        "--epochs",
        "1",
        "--out",
        tmp_path / "run",
    )
    assert "direction" in out and "random walk" in out
    assert f"holdfast backtest forecast {data} --target temp --returns\n" in out
    prices = forecast_rows(call(capsys, "predict", tmp_path / "run", data)[0])
    assert 5 < float(prices[0]["forecast"]) < 50


def test_the_folder_has_a_name_by_default(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, err = call(capsys, "train", "forecast", data, *FLAGS, "--epochs", "1", "--cell", "rnn")
    assert "The run folder is runs/weather-rnn." in err
    assert (tmp_path / "runs" / "weather-rnn" / "metrics.json").exists()


# -- interrupted and resumed -----------------------------------------------------------------------


@pytest.fixture
def _interrupted_after_one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.tasks.forecast.trainable import WindowTraining

    validate = WindowTraining.validate

    def press_ctrl_c(self: WindowTraining) -> dict[str, float]:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return validate(self)

    monkeypatch.setattr(WindowTraining, "validate", press_ctrl_c)


@pytest.mark.usefixtures("_interrupted_after_one_epoch")
def test_an_interrupted_run_resumes_to_the_same_model(
    data: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    command = ["train", "forecast", str(data), *FLAGS, "--epochs", "2", "--out", str(run)]
    assert main(command) == 130
    out, err = capsys.readouterr()
    assert out == "" and "--resume" in err and "Traceback" not in err
    assert not (run / "metrics.json").exists()
    assert main([*command, "--resume"]) == 0
    resumed, straight = (load_arrays(folder / "model.safetensors") for folder in (run, trained))
    assert resumed.keys() == straight.keys()
    assert all(np.array_equal(resumed[name], straight[name]) for name in straight)
    assert len((run / "history.csv").read_text().splitlines()) == 3


def test_a_finished_run_resumes_for_more_epochs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "forecast", str(data), *FLAGS, "--epochs", "1", "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["train", "forecast", str(data), "--epochs", "2", "--out", str(run), "--resume"]) == 0
    assert "--target temp --horizon 3" in capsys.readouterr().out
    assert config_of(run).training.epochs == 2
    assert config_of(run).network.hidden_size == 4
    assert json.loads((run / "metrics.json").read_text())["epochs"] == 2


def test_a_baseline_forecasts_too(trained: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = forecast_rows(call(capsys, "predict", trained, data, "--method", "last_value")[0])
    with data.open() as file:
        last = float(list(csv.DictReader(file))[-1]["temp"])
    assert [float(row["forecast"]) for row in rows] == pytest.approx([last] * HORIZON, rel=1e-6)
    assert main(["predict", str(trained), str(data), "--method", "liner"]) == 2
    err = capsys.readouterr().err
    assert "--method must be one of network, last_value" in err and "Did you mean 'linear'?" in err


def test_a_result_does_not_replace_its_data(
    trained: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = data.read_bytes()
    for flag in ("--out", "--plot"):
        assert main(["predict", str(trained), str(data), flag, str(data)]) == 2
        assert "is the data file" in capsys.readouterr().err
    assert data.read_bytes() == before


def test_a_comparison_cannot_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text('format = 1\ntask = "forecast"\n')
    (tmp_path / "comparison.json").write_text("{}")
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "holds a comparison, which keeps no model" in capsys.readouterr().err


# -- experiments -----------------------------------------------------------------------------------


def test_compare(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*FLAGS, "--epochs", "1", "--cells", "rnn,gru", "--seeds", "2", "--out", str(tmp_path / "out")]
    out, err = call(capsys, "compare", "forecast", data, *flags, "--json")
    runs = json.loads(out)["runs"]
    assert {(run["cell"], run["seed"]) for run in runs} == {(c, s) for c in ("rnn", "gru") for s in (0, 1)}
    assert "run 4 of 4: gru, seed 1, 100% of the training windows" in err
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == json.loads(out)
    assert (tmp_path / "out" / "report.html").exists()


def test_compare_shows_tables(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = call(
        capsys, "compare", "forecast", data, *FLAGS, "--epochs", "1", "--cells", "gru", "--seeds", "2"
    )
    assert "GRU" in out and "±" in out and "parameters" in out and "last_value" in out
    folder = tmp_path / "runs" / f"compare-{data.stem}"
    assert f"open runs/compare-{data.stem}/report.html" in out
    assert (folder / "plots" / "comparison.png").exists() and config_of(folder).horizon == 3


def test_an_interrupted_comparison_keeps_its_runs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.experiments import compare

    whole, ended = compare.save_json, []

    def then_ctrl_c(path: Path, values: dict[str, Any]) -> None:
        whole(path, values)
        ended.append(path)
        if len(ended) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(compare, "save_json", then_ctrl_c)
    flags = [*FLAGS, "--epochs", "1", "--out", str(tmp_path / "out")]
    assert main(["compare", "forecast", str(data), *flags]) == 130
    assert f"of the finished runs are in {tmp_path / 'out' / 'comparison.json'}" in capsys.readouterr().err
    first = json.loads((tmp_path / "out" / "comparison.json").read_text())["runs"]
    assert len(first) == 2
    monkeypatch.setattr(compare, "save_json", whole)
    assert main(["compare", "forecast", str(data), *flags, "--resume", "--overwrite"]) == 2
    assert "must be given without --overwrite" in capsys.readouterr().err
    assert main(["compare", "forecast", str(data), *flags[:-1], str(tmp_path / "none"), "--resume"]) == 2
    assert "There is no folder" in capsys.readouterr().err
    assert main(["compare", "forecast", str(data), *flags, "--resume", "--dropout", "0.3"]) == 2
    assert "must keep its settings" in capsys.readouterr().err
    out, err = call(capsys, "compare", "forecast", data, *flags, "--resume", "--json", "--cells", "rnn,gru")
    runs = json.loads(out)["runs"]
    assert runs[:2] == first and len(runs) == 6 and "run 2 of" not in err and "run 3 of 6" in err
    assert all(run["baselines"] == runs[0]["baselines"] for run in runs)
    (tmp_path / "out" / "comparison.json").write_text("{}")
    assert main(["compare", "forecast", str(data), *flags, "--resume"]) == 2
    assert "It is damaged" in capsys.readouterr().err


def test_backtest(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    flags = [*FLAGS, "--epochs", "1", "--folds", "2", "--out", str(out)]
    result = json.loads(call(capsys, "backtest", "forecast", data, *flags, "--json")[0])
    assert len(result["folds"]) == 2
    assert result["folds"][0]["from"] < result["folds"][1]["from"]
    assert set(result["model"]) == set(result["spread"]) == FIGURES
    assert json.loads((out / "backtest.json").read_text()) == result
    text, _ = call(capsys, "backtest", "forecast", data, *flags, "--overwrite")
    assert "±" in text and "last_value" in text
    assert (out / "report.html").exists() and (out / "plots" / "blocks.png").exists()


def test_demo(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast import demos as demo
    from holdfast.experiments.compare import Comparison

    run = json.loads((trained / "metrics.json").read_text()) | {"share": 1.0}
    found = Comparison("forecast", [run], run["baselines"], ())

    def quick(task: str, out: Path, announce: demo.Announce) -> demo.Demo:
        announce(f"{task} into {out}")
        return demo.Demo(tmp_path / "co2.csv", found, tmp_path / "report.html", ("holdfast train ...",))

    monkeypatch.setattr(demo, "demo", quick)
    out, err = call(capsys, "demo")
    assert "GRU" in out and "report.html" in out and "holdfast train ..." in out
    assert "forecast into runs/demo-forecast" in err


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert "torch" in json.loads(call(capsys, "info", "--json")[0])["versions"]
    assert "Kernels" in call(capsys, "info")[0]


# -- tables ----------------------------------------------------------------------------------------


def test_the_best_of_each_metric_is_bold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    score_table(
        "title",
        {
            "net": {"mae": 1.5, "accuracy": 0.9, "coverage": 0.8, "direction": 0.625, "rmse": float("nan")},
            "naive": {"mae": 2.5, "accuracy": 0.6, "coverage": 0.7, "direction": 0.5, "rmse": float("nan")},
            "none": {"mae": 3.5, "coverage": 0.7, "rmse": float("nan")},  # forecasts no direction
        },
        Scoreboard(
            tuple(
                Metric(name, name, "", direction=way)
                for name, way in {
                    "mae": "lower",
                    "accuracy": "higher",
                    "coverage": "none",
                    "direction": "higher",
                    "rmse": "lower",
                }.items()
            ),
            "windows",
        ),
    )
    out = capsys.readouterr().out
    bold = {text.split("\x1b")[0].strip() for text in out.split("\x1b[1m")[1:]}
    assert bold >= {"1.5", "0.625", "0.9"}
    assert not bold & {"2.5", "0.6", "0.5", "0.8", "0.7", "-"}


def test_json_has_no_nan() -> None:
    text = to_json({"a": [float("nan"), 1.0, (float("inf"), 2)], 3: None})
    assert json.loads(text) == {"a": [None, 1.0, [None, 2]], "3": None}


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["train", "compare", "claims", "backtest"])
def test_help_lists_every_setting_with_its_text_and_default(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    importlib.reload(app)  # cyclopts keeps the width of each command's first output
    out, _ = call(capsys, verb, "forecast", "--help")
    lines = {line.split()[1]: " ".join(line.split()) for line in out.splitlines() if line[:4] == "│ --"}
    for field in settings_of(ForecastConfig):
        line = lines["--" + field.name.replace("_", "-")]
        assert help_texts(field.owner)[field.name] in line
        if isinstance(field.default, str | int | float) and field.default:
            assert f"[default: {field.default}]" in line


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "compare", "claims"])
def test_help_says_what_file_each_task_takes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    pages = {task: call(capsys, verb, task, "--help")[0] for task in TASKS}
    texts = {task: page.partition(" DATA ")[2].partition("╰")[0] for task, page in pages.items()}
    words = dict.fromkeys(TASKS, "") | {"forecast": "able", "language": "Text", "speech": "anifest"}
    assert all(words[task] in text for task, text in texts.items()), texts
    assert len(set(texts.values())) == len(TASKS)


def test_every_setting_is_a_flag_with_a_description() -> None:
    classes = (DataConfig, ForecastOptions, Training)
    own = {field.name for field in dataclasses.fields(ForecastConfig)} - {"data", "network", "training"}
    names = own | {field.name for config in classes for field in dataclasses.fields(config)}
    assert {field.name for field in settings_of(ForecastConfig)} == names
    assert all(
        help_texts(config).keys() >= {f.name for f in dataclasses.fields(config)} for config in classes
    )


def test_help_of_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = call(capsys, "--help")
    for verb in ("demo", "train", "evaluate", "predict", "compare", "claims", "backtest", "info"):
        assert verb in out
        assert "Usage: holdfast " + verb in call(capsys, verb, "--help")[0]
    assert call(capsys)[0] == out  # no words


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import holdfast

    assert call(capsys, "--version")[0].strip() == holdfast.__version__


# -- as processes ----------------------------------------------------------------------------------

HEAVY = ("torch", "polars", "lightning_fabric", "matplotlib", "pydantic")


def test_help_as_a_process_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom holdfast.cli import main\ncode = main(['train', 'forecast', '--help'])\n"
        f"sys.exit(', '.join(name for name in {HEAVY} if name in sys.modules) or code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--horizon" in done.stdout


def test_python_m_holdfast() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: holdfast" in done.stdout


def test_a_terminal_without_unicode() -> None:
    program = (
        "import holdfast.info\nfrom holdfast.cli import main\n"
        "holdfast.info.render = lambda found: '1 ± 2'\nraise SystemExit(main(['info']))"
    )
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=ascii_only
    )
    assert (done.returncode, done.stdout) == (0, "1 ? 2\n"), done.stderr


def test_a_closed_stdout_is_not_an_error(trained: Path, data: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "holdfast", "predict", str(trained), str(data)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
