"""Progress on stderr, in history.csv and for TensorBoard."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from holdfast.training import fit
from holdfast.training.progress import history_csv
from sums import BASE, STEPS, Sums, run


def test_history_csv(tmp_path: Path) -> None:
    history = run(Sums(), folder=tmp_path)
    with (tmp_path / "history.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["epoch", "train_loss", "mse", "mae", "learning_rate", "seconds"]
    assert [{name: float(value) for name, value in row.items()} for row in read] == history.epochs
    assert [row["epoch"] for row in history.epochs] == [1, 2, 3, 4]
    assert history_csv([{"a": 1}, {"a": 2, "b": 0.5}]) == "a,b\n1,\n2,0.5\n"


def test_the_train_loss_is_the_mean_over_the_epoch() -> None:
    losses: list[float] = []

    class Recording(Sums):
        def loss(self, batch: Tensor) -> Tensor:
            loss = super().loss(batch)
            losses.append(loss.item())
            return loss

    history = run(Recording(), replace(BASE, epochs=2))
    means = [sum(losses[:STEPS]) / STEPS, sum(losses[STEPS:]) / STEPS]
    assert [row["train_loss"] for row in history.epochs] == pytest.approx(means)


def test_tensorboard_events(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    history = run(Sums(), folder=tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("epoch/mse")] == [
        (row["epoch"], pytest.approx(row["mse"], rel=1e-6)) for row in history.epochs
    ]
    assert events.Scalars("loss")[-1].step == 4 * STEPS


def test_without_tensorboard_a_notice_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for name in ("one", "two"):
        run(Sums(), folder=tmp_path / name)
    assert capsys.readouterr().err.count("TensorBoard is not installed") == 1
    assert not (tmp_path / "one" / "logs").exists()
    assert (tmp_path / "one" / "history.csv").exists()


def test_progress_without_a_terminal_is_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    fit(Sums(), BASE)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 4 and lines[2].startswith("epoch 3/4: train_loss ") and "mse" in lines[2]
    run(Sums())
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(Sums(), BASE)
    err = capsys.readouterr().err
    assert f"{4 * STEPS}/{4 * STEPS}" in err and "epoch 4/4, loss" in err and "mse" in err and "best" in err
