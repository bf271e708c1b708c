"""The loop equals a plain torch loop, stops on time, keeps the best weights, reports failures."""

from __future__ import annotations

import math
import random
import signal
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast.checkpoint import WEIGHTS, load_weights
from holdfast.errors import UserError
from holdfast.training import loop
from holdfast.training.history import History
from holdfast.training.schedules import SCHEDULES, halvings
from sums import BASE, STEPS, Scripted, Sums, assert_same, interrupt_at, rows, run, weights


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(loop, "monotonic", lambda: now[0])
    return now


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    one, two, three = Sums(), Sums(), Sums()
    first, second = run(one), run(two)
    assert rows(first) == rows(second)
    assert_same(weights(one), weights(two))
    assert rows(run(three, replace(BASE, seed=6))) != rows(first)


def test_training_improves_the_network() -> None:
    trainable = Sums()
    history = run(trainable, replace(BASE, epochs=30, learning_rate=0.03, patience=30))
    assert history.best is not None and history.best < 0.5 * history.epochs[0]["mse"]


# -- stopping --------------------------------------------------------------------------------------


def test_patience_stops_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    kept: dict[int, dict[str, Tensor]] = {}

    class Watched(Scripted):
        def validate(self) -> dict[str, float]:
            kept[len(kept) + 1] = weights(self)
            return super().validate()

    trainable = Watched([5.0, 3.0, 4.0, 3.0, 2.9, 9.0, 9.0, 2.95, 1.0])
    history = run(trainable, replace(BASE, epochs=50, patience=3), folder=tmp_path)
    assert (history.stopped, len(history.epochs), history.best_epoch, history.best) == ("patience", 8, 5, 2.9)
    assert_same(weights(trainable), kept[5])
    assert not torch.equal(kept[5]["output.weight"], kept[8]["output.weight"])
    assert not trainable.module.training
    other = Sums()
    load_weights(tmp_path / WEIGHTS, other.module)
    assert_same(weights(other), kept[5])


def test_a_trainable_that_is_solved_stops_at_that_validation(tmp_path: Path) -> None:
    class Enough(Scripted):
        def solved(self, row: Mapping[str, float]) -> bool:
            return row["mse"] <= 2.0

    trainable = Enough([5.0, 3.0, 2.0, 1.0])
    history = run(trainable, replace(BASE, epochs=50), folder=tmp_path)
    assert (history.stopped, len(history.epochs), history.best) == ("solved", 3, 2.0)
    again = run(Enough([]), replace(BASE, epochs=50), folder=tmp_path, resume=True)
    assert (again.stopped, rows(again)) == ("solved", rows(history))


def test_the_budget_stops_within_an_epoch_with_a_last_validation(tmp_path: Path, clock: list[float]) -> None:
    def second(*now: int) -> None:
        clock[0] += 1

    trainable = Sums(second)
    history = run(trainable, replace(BASE, epochs=50, budget="8s"), folder=tmp_path)
    assert history.stopped == "budget" and len(trainable.seen) == 8
    assert [row["epoch"] for row in history.epochs] == [1, 2]
    assert [row["seconds"] for row in history.epochs] == [6, 2]
    assert history.seconds == 8
    with torch.no_grad():
        best = min(row["mse"] for row in history.epochs)
        assert history.best == best == trainable.validate()["mse"]
    clock[0] += 1000  # the time between them does not count
    more = Sums(second)
    history = run(more, replace(BASE, epochs=50, budget="15s"), folder=tmp_path, resume=True)
    assert len(more.seen) == 7 and more.seen[0] == (2, 2)
    assert history.seconds == 15
    assert [row["epoch"] for row in history.epochs] == [1, 2, 3]
    assert [row["seconds"] for row in history.epochs] == [6, 6, 3]
    unlimited = run(
        Sums(), replace(BASE, epochs=50, patience=50)
    )  # the budget's own validation changed nothing
    assert rows(history)[1]["train_loss"] == rows(unlimited)[1]["train_loss"]


def test_the_budgets_validation_does_not_count_for_the_schedule(tmp_path: Path, clock: list[float]) -> None:
    def second(*now: int) -> None:
        clock[0] += 1

    halve = replace(BASE, schedule="halve", learning_rate=0.8)
    run(Scripted([1.0, 2.0, 2.0], second), replace(halve, budget="14s"), folder=tmp_path)
    history = run(Scripted([2.0, 2.0], second), halve, folder=tmp_path, resume=True)
    assert [row["learning_rate"] for row in history.epochs] == [0.8, 0.8, 0.8, 0.4]


def test_even_the_smallest_budget_gives_a_model(clock: list[float]) -> None:
    def hour(*now: int) -> None:
        clock[0] += 3600

    history = run(Sums(hour), replace(BASE, budget="1s"))
    assert (history.stopped, history.best_epoch, len(history.epochs)) == ("budget", 1, 1)


def test_ctrl_c_prints_how_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(Sums(interrupt_at(2, 3)), folder=tmp_path)
    err = capsys.readouterr().err
    assert "epoch 2, after 4 of its 6 steps" in err and str(tmp_path) in err and "--resume" in err
    assert run(Sums(interrupt_at(1, 0))).best_epoch is None
    assert capsys.readouterr().err == "Interrupted in epoch 1, after 1 of its 6 steps.\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_terminated_run_is_saved_too(tmp_path: Path) -> None:
    def ended(*now: int) -> None:
        if now == (2, 3):
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    assert run(Sums(ended), folder=tmp_path).stopped == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is before
    whole = Sums()
    run(whole)
    resumed = Sums()
    run(resumed, folder=tmp_path, resume=True)
    assert_same(weights(resumed), weights(whole))


def test_a_second_ctrl_c_stops_at_once() -> None:
    def twice(*now: int) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainable = Sums(twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(trainable)
    assert len(trainable.seen) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_outside_the_main_thread() -> None:
    results: list[History] = []
    thread = threading.Thread(target=lambda: results.append(run(Sums())))
    thread.start()
    thread.join()
    assert results[0].stopped == "epochs"


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverging_loss_is_reported_and_the_best_weights_kept(tmp_path: Path, value: float) -> None:
    kept: list[dict[str, Tensor]] = []

    class Exploding(Sums):
        def loss(self, batch: Tensor) -> Tensor:
            return super().loss(batch) * (value if self.now == (2, 3) else 1)

        def validate(self) -> dict[str, float]:
            kept.append(weights(self))
            return super().validate()

    trainable = Exploding()
    message = rf"It was {value} at step 4 of epoch 2.*diverged.*epoch 1.*--learning-rate 0\.001"
    with pytest.raises(UserError, match=message):
        run(trainable, folder=tmp_path)
    assert len(kept) == 1
    assert_same(weights(trainable), kept[0])
    load_weights(tmp_path / WEIGHTS, Sums().module)


def test_a_metric_that_is_not_finite_is_reported() -> None:
    with pytest.raises(UserError, match=r"mse was nan in epoch 2.*diverged"):
        run(Scripted([1.0, math.nan]))


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_missing_device_is_refused(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=rf"There is no '{device}', only cpu"):
        run(Sums(), replace(BASE, device=device))


def test_no_data_is_refused() -> None:
    trainable = Sums()
    trainable.steps_per_epoch = 0
    with pytest.raises(UserError, match="at least 1 batch"):
        run(trainable)


def test_a_trainable_that_breaks_its_contract() -> None:
    trainable = Sums()
    trainable.steps_per_epoch = STEPS + 1
    with pytest.raises(ValueError, match=r"steps_per_epoch is 7, but batches\(1\) gave 6"):
        run(trainable)
    trainable = Sums()
    trainable.monitor = "loss"
    with pytest.raises(ValueError, match=r"monitor is 'loss', but validate.. gave mse, mae"):
        run(trainable)


# -- the step --------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_gradients_are_clipped_after_the_backward_pass(clip: float, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(Sums(), replace(BASE, clip=clip, epochs=1))
    assert len(norms) == STEPS
    if clip:
        assert norms == pytest.approx([clip] * STEPS, rel=1e-3)
    else:
        assert min(norms) > 0.1


def test_a_step_is_adamw_by_hand() -> None:
    """Compare one epoch with a plain loop, with torch's optimizer and cosine schedule."""
    training = replace(BASE, epochs=1, weight_decay=0.1)
    trainable, other = Sums(), Sums()
    run(trainable, training)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
    optimizer = torch.optim.AdamW(other.module.parameters(), 0.01, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for batch in other.batches(1):
        optimizer.zero_grad()
        other.loss(batch).backward()
        nn.utils.clip_grad_norm_(other.module.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    for name, tensor in weights(other).items():
        torch.testing.assert_close(weights(trainable)[name], tensor)


def test_schedules() -> None:
    assert [SCHEDULES["constant"](x, 3) for x in (0.0, 0.5, 1.0)] == [1, 1, 1]
    assert [SCHEDULES["cosine"](x, 3) for x in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0])
    assert [SCHEDULES["halve"](0.5, n) for n in (0, 1, 3)] == [1, 0.5, 0.125]
    assert [halvings([3.0, 2.0, *rest]) for rest in ([], [2.0], [2.0, 2.0], [3, 3, 1, 3, 3, 3, 3])] == [
        0,
        0,
        1,
        3,
    ]
    history = run(
        Scripted([3.0, 4, 4, 4, 4, 4]), replace(BASE, epochs=6, schedule="halve", learning_rate=0.8)
    )
    assert [row["learning_rate"] for row in history.epochs] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.2]
