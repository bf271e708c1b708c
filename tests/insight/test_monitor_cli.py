"""``holdfast train ... --monitor``: warnings for faulty runs only, and the same result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.checkpoint import load_arrays
from holdfast.cli import main
from holdfast.insight.monitor.warning_log import read_warnings
from holdfast.models import truncated_bptt
from labelled import series

SMALL = ["--cell", "gru", "--hidden-size", "8"]
TEXT = "the cat sat on the mat\na dog saw the cat\nit rained\nthe dog sat and the cat ran\n" * 22
LANGUAGE = ["--hidden-size", "16", "--steps", "8", "--batch-size", "4", "--num-layers", "1"]


def hourly(days: int) -> str:
    rows = [
        f"2024-{1 + d // 28:02d}-{1 + d % 28:02d} {h:02d}:00:00,{10 + h + d / 9:.2f}"
        for d in range(days)
        for h in range(24)
    ]
    return "\n".join(["date,temp", *rows]) + "\n"


RUNS: dict[str, tuple[str, str, list[str]]] = {
    "forecast": (
        "weather.csv",
        hourly(14),
        ["--target", "temp", "--horizon", "3", "--epochs", "4", *SMALL],
    ),
    "language": ("text.txt", TEXT, [*LANGUAGE, "--cell", "lstm", "--epochs", "3"]),
    "classify": (
        "series.csv",
        series(120),
        ["--series", "series", "--step", "step", "--epochs", "8", "--batch-size", "8", *SMALL],
    ),
}


def train(task: str, folder: Path, out: str, *flags: str) -> Path:
    name, content, own = RUNS[task]
    (folder / name).write_text(content)
    assert main(["train", task, str(folder / name), *own, *flags, "--out", str(folder / out)]) == 0
    return folder / out


def metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


@pytest.mark.parametrize("task", RUNS)
def test_a_healthy_run_is_silent_and_the_same_as_without(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, monitored = train(task, tmp_path, "plain"), train(task, tmp_path, "monitored", "--monitor")
    assert "warning" not in capsys.readouterr().err and not (monitored / "warnings.csv").exists()
    saved = metrics(monitored)["monitor"]
    assert saved["checks"] >= 3 and {row["step"] for row in saved["gradients"]} >= {1}
    assert all(row["left"] >= 0 and row["followed"] > 0 for row in saved["gradients"])
    assert (monitored / "plots" / "gradients.png").exists() and not (
        plain / "plots" / "gradients.png"
    ).exists()
    assert metrics(monitored)["notes"] == metrics(plain)["notes"]
    one, two = (load_arrays(run / "model.safetensors") for run in (plain, monitored))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert metrics(plain)["model"] == metrics(monitored)["model"]


def test_a_learning_rate_far_too_high_is_reported_and_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("language", tmp_path, "run", "--monitor", "--learning-rate", "0.2")
    (first, *_), err = read_warnings(run / "warnings.csv"), capsys.readouterr().err
    assert first[0] == 2 and first[1].kind == "too large steps"
    assert "warning: step 2, too large steps (layer 1): one step changed the weights by" in err
    saved = [note for note in metrics(run)["notes"] if note.startswith("step 2, too large steps")]
    assert len(saved) == 1 and "too large steps (layer 1)" in (run / "report.html").read_text()


def test_a_state_that_a_task_loses_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = truncated_bptt._scaled
    monkeypatch.setattr(truncated_bptt, "_scaled", lambda state, share: kept(state, torch.zeros_like(share)))
    train("language", tmp_path, "run", "--monitor")
    err = capsys.readouterr().err
    assert err.count("lost state") == 2  # when it happens, and in the notes at the end
    assert "zeros at 3 batch boundaries in a row" in err


def test_the_monitor_can_join_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train("language", tmp_path, "run")
    assert (round(metrics(run)["epochs_done"]), (run / "warnings.csv").exists()) == (3, False)
    kept = truncated_bptt._scaled
    monkeypatch.setattr(truncated_bptt, "_scaled", lambda state, share: kept(state, torch.zeros_like(share)))
    rerun = [str(tmp_path / "text.txt"), "--resume", "--monitor", "--epochs", "4", "--out", str(run)]
    assert main(["train", "language", *rerun]) == 0
    ((number, found),) = read_warnings(run / "warnings.csv")
    assert found.kind == "lost state" and number > 3 * 40  # counted over the whole run
