"""The recipes of CONTRIBUTING.md, each done as it says: a cell, a kernel, a task, a data reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from holdfast.data.tabular import table
from holdfast.data.tabular.series import Columns, read_panel
from holdfast.nn import kernels
from holdfast.nn.cells import CELLS, Activations, Recurrence, State
from holdfast.nn.kernels import Problem, ScanResult
from holdfast.nn.kernels.reference import Reference
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent


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
