"""The recipes of CONTRIBUTING.md, step by step: a cell, a kernel, a task, a data reader."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from holdfast.cli import app
from holdfast.data.tabular import table
from holdfast.data.tabular.series import Columns, read_panel
from holdfast.nn import kernels
from holdfast.nn.cells import CELLS, Activations, Recurrence, State
from holdfast.nn.kernels import Problem, ScanResult
from holdfast.nn.kernels.reference import Reference
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent
from holdfast.tasks import registry


class MinimalGate:
    """Minimal gated unit (Zhou et al. 2016): one gate that forgets and resets."""

    name = "mgu"
    gates: tuple[str, ...] = ("forget", "candidate")
    states: tuple[str, ...] = ("hidden",)
    activations: tuple[str, ...] = ("forget", "candidate")
    peepholes = 0

    def step(self, projected: Tensor, state: State, recur: Recurrence) -> tuple[State, Activations]:
        """``f = sigmoid(x_f + W_f h)``; ``n = tanh(x_n + W_n (f h))``; ``h' = (1 - f) h + f n``."""
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


# -- a task ----------------------------------------------------------------------------------------

NOUNS, VERBS = ("dog", "cat", "bird", "fish"), ("sees", "hears", "likes")


def tagged_text(sentences: int = 150) -> str:
    """Return sentences in which "light" is an adjective before a noun, and a noun elsewhere."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(sentences):
        subject, verb, thing = random.choice(NOUNS), random.choice(VERBS), random.choice(NOUNS)
        objects = (f"light/ADJ {thing}/NOUN", "light/NOUN")
        lines.append(f"the/DET {subject}/NOUN {verb}/VERB the/DET {objects[random.integers(2)]}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def tagging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line with the task in its table; without it afterwards."""
    monkeypatch.setitem(registry.TASKS, "tagging", registry.Entry("tagging", "Tagger", "TagConfig"))
    importlib.reload(app)
    yield
    monkeypatch.undo()
    importlib.reload(app)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    code = app.main([str(word) for word in words])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


@pytest.mark.usefixtures("tagging")
def test_a_seventh_task_does_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "tags.txt", tmp_path / "run"
    data.write_text(tagged_text())
    flags = ["--epochs", "12", "--batch-size", "8", "--learning-rate", "0.02", "--device", "cpu"]
    out = run(capsys, "train", "tagging", data, *flags, "--out", folder)
    assert "above the best baseline, the most frequent tag of each word" in out
    page = (folder / "report.html").read_text()
    assert "First sentences" in page and "share of words with the right tag" in page

    result = json.loads(run(capsys, "evaluate", folder, data, "--json"))
    assert result["model"]["accuracy"] == 1.0 > result["baselines"]["most_frequent"]["accuracy"]
    assert run(capsys, "predict", folder, data, "--words").splitlines()[0] == data.read_text().splitlines()[0]
    run(capsys, "inspect", folder, data, "--out", tmp_path / "inspected")
    assert "Tagger reading a sentence" in (tmp_path / "inspected" / "report.html").read_text()


@pytest.mark.usefixtures("tagging")
def test_a_seventh_task_resumes_bit_for_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "tags.txt"
    data.write_text(tagged_text())
    flags = ["--batch-size", "8", "--schedule", "constant", "--device", "cpu"]
    run(capsys, "train", "tagging", data, *flags, "--epochs", "4", "--out", tmp_path / "whole")
    run(capsys, "train", "tagging", data, *flags, "--epochs", "2", "--out", tmp_path / "halves")
    run(capsys, "train", "tagging", data, *flags, "--epochs", "4", "--out", tmp_path / "halves", "--resume")
    whole, halves = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert whole.keys() == halves.keys()
    assert all(np.array_equal(whole[name], halves[name]) for name in whole)


@pytest.mark.usefixtures("tagging")
def test_a_seventh_task_answers_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "tags.txt"
    data.write_text("the/DET dog\n")
    assert app.main(["train", "tagging", str(data), "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert "Every word must have a tag" in err and "Line 1" in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_task_costs_four_files_and_about_450_lines() -> None:
    files = sorted((Path(__file__).parent / "tagging").glob("*.py"))
    own = [file for file in files if file.name not in ("__init__.py", "network.py")]
    assert len(own) <= 4
    assert sum(len(file.read_text().splitlines()) for file in own) <= 450
