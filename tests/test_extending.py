"""The recipes of CONTRIBUTING.md, each done as it says: a cell, a kernel, a task, a data reader."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from holdfast.cli import app, main
from holdfast.config import Training, load_config, save_config
from holdfast.data.tabular import table
from holdfast.data.tabular.series import Columns, read_panel
from holdfast.files import load_json, new_folder, save_json
from holdfast.nn import kernels
from holdfast.nn.cells import CELLS, Activations, Recurrence, State
from holdfast.nn.kernels import Problem, ScanResult
from holdfast.nn.kernels.reference import Reference
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent
from holdfast.reporting.html import write_report
from holdfast.tasks import registry as tasks


class MinimalGate:
    """Minimal gated unit (Zhou et al. 2016): one gate that forgets and resets."""

    name = "mgu"
    gates: tuple[str, ...] = ("forget", "candidate")
    states: tuple[str, ...] = ("hidden",)
    activations: tuple[str, ...] = ("forget", "candidate")
    peepholes = 0

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """``f = sigmoid(x_f + W_f h)``; ``n = tanh(x_n + W_n (f * h))``; ``h' = (1 - f) * h + f * n``."""
        (h,) = state
        x_f, x_n = projected.chunk(2, -1)
        f = torch.sigmoid(x_f + recur(h, "forget"))
        n = torch.tanh(x_n + recur(f * h, "candidate"))
        return ((1 - f) * h + f * n,), (f, n)


def test_a_new_cell_runs_with_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "mgu", MinimalGate())
    options = Options(layer_norm=True, recurrent_dropout=0.2, zoneout=0.1, learn_initial_state=True)
    layer = Recurrent(CELLS["mgu"], (3, 5, 2, 0), (True, True, 0.0, True), options, {"dtype": torch.float64})
    trace = layer.trace(torch.randn(4, 7, 3, dtype=torch.float64), lengths=[7, 2, 5, 1])
    assert trace["forget"].shape == (2, 2, 4, 7, 5)
    assert not trace["forget"][:, :, 1, 2:].any()
    plan = layer.plan(torch.randn(4, 7, 3, dtype=torch.float64))
    assert plan.kernel == "reference" and "mgu" in str(plan)


def test_a_new_kernel_is_chosen_by_name_and_by_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    class Backward(Reference):
        name = "backward"

        def refuses(self, problem: Problem) -> str | None:
            return None if problem.reverse else "it runs the reverse direction only"

        def run(self, problem: Problem) -> ScanResult:
            ran.append(problem.reverse)
            return super().run(problem)

    monkeypatch.setattr(kernels, "KERNELS", {"backward": Backward(), **kernels.KERNELS})
    layer = Recurrent(CELLS["gru"], (3, 5, 1, 0), (True, False, 0.0, True), Options(), {})
    layer._forward(torch.zeros(4, 2, 3), None, None)
    assert ran == [True]
    named = Recurrent(CELLS["gru"], (3, 5, 1, 0), (True, False, 0.0, False), Options(kernel="backward"), {})
    with pytest.raises(RuntimeError, match="the reverse direction only"):
        named.plan(torch.zeros(4, 2, 3))


def test_a_new_reader_is_one_function_and_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read_json_lines(path: Path) -> pl.DataFrame:
        return pl.DataFrame([json.loads(line) for line in path.read_text().splitlines()])

    monkeypatch.setitem(table.READERS, ".jsonl", read_json_lines)
    path = tmp_path / "air.jsonl"
    rows = [{"date": f"2024-01-{day:02d}", "air": day / 2} for day in range(1, 20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    panel = read_panel(path, Columns(targets=("air",)))
    assert panel.frequency.code == "1d" and np.isclose(panel.series[0].values[-1, 0], 9.5)


@dataclass(kw_only=True)
class MeanNetwork:
    """A network.

    Attributes:
        cell: its cell.
    """

    cell: str = "gru"


@dataclass(kw_only=True)
class MeanConfig:
    """Settings of a task that only averages.

    Attributes:
        column: what is averaged.
        network: the network.
        training: the training run.
    """

    column: str = "air"
    network: MeanNetwork = field(default_factory=MeanNetwork)
    training: Training = field(default_factory=Training)


@dataclass(kw_only=True)
class MeanPrediction:
    """What is asked.

    Attributes:
        times: how often the mean is said.
    """

    times: int = 1


class Mean:
    """The smallest task: its "model" is the mean of a column."""

    task = "mean"

    def __init__(self, config: MeanConfig) -> None:
        self.config = config
        self.history = SimpleNamespace(stopped="epochs")
        self.metrics: dict[str, Any] = {}

    def fit(self, data: Path, *, out: Path, **_: Any) -> Mean:
        """Take the mean, and write the folder."""
        mean = float(pl.read_csv(data)[self.config.column].mean())  # type: ignore[arg-type]
        self.metrics = {
            "task": "mean",
            "part": "test",
            "model": {"mae": 1.0},
            "baselines": {"zero": {"mae": 2.0}},
        }
        self.metrics |= {"parameters": 1, "seconds": 0.1, "windows": 3, "notes": [], "mean": mean}
        self.metrics |= {
            "training_size": 3,
            "epochs": 1,
            "epochs_done": 1.0,
            "best_epoch": 1,
            "stopped": "epochs",
        }
        save_config(new_folder(out) / "config.toml", "mean", self.config)
        save_json(out / "metrics.json", self.metrics)
        return self

    def to(self, device: str) -> Mean:
        """A mean is at home everywhere."""
        return self

    @classmethod
    def load(cls, folder: Path) -> Mean:
        """Read the folder."""
        model = cls(load_config(folder / "config.toml", MeanConfig))
        model.metrics = load_json(folder / "metrics.json")
        return model

    def evaluate(self, data: Path | None = None, *, int8: bool = False) -> dict[str, Any]:
        """The figures from training."""
        return self.metrics


def predicted(model: Mean, data: Path | None, asked: MeanPrediction) -> Iterator[str]:
    """The mean."""
    yield from [f"{model.metrics['mean']}\n"] * asked.times


def run_report(model: Mean, folder: Path) -> Path:
    """The page of the task."""
    return write_report(folder / "report.html", "Mean", [])


@pytest.fixture
def mean_task(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line with the task in its tables; without it afterwards."""
    parts = [f"{__name__}:{name}" for name in ("Mean", "MeanConfig", "MeanPrediction")]
    monkeypatch.setitem(
        tasks.TASKS, "mean", tasks.Task(*parts, "holdfast.tasks.forecast.summary", __name__, __name__)
    )
    importlib.reload(app)
    yield
    monkeypatch.undo()
    importlib.reload(app)


@pytest.mark.usefixtures("mean_task")
def test_a_new_task_is_found_by_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, run = tmp_path / "air.csv", tmp_path / "run"
    data.write_text("air\n1\n2\n6\n")
    assert main(["train", "mean", str(data), "--column", "air", "--cell", "lstm", "--out", str(run)]) == 0
    assert "50.0% below the best baseline" in capsys.readouterr().out
    assert load_config(run / "config.toml", MeanConfig).network.cell == "lstm"
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "mean"
    assert main(["predict", str(run), str(data), "--times", "2"]) == 0
    assert capsys.readouterr().out == "3.0\n3.0\n"
    assert main(["predict", "mean", str(run), "--times", "1"]) == 0
    assert main(["predict", "forecast", str(run)]) == 2
