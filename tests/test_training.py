"""training.py: the loop resumes exactly, stops when it should, keeps the best, and tells what went wrong."""

from __future__ import annotations

import csv
import math
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast import training as loop
from holdfast.checkpoint import STATE, WEIGHTS, load_state, load_weights
from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.history import History
from holdfast.reporting import history_csv
from holdfast.schedules import SCHEDULES, halvings
from holdfast.training import fit

BASE = Training(epochs=4, learning_rate=0.01, schedule="cosine", device="cpu", seed=5)
STEPS = 6


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(2, 5)
        self.norm = nn.BatchNorm1d(5)  # buffers, one of whole numbers
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.norm(self.rnn(x)[1][0])))


class Sums:
    """Predict the sum of a sequence; every source of random numbers takes part in the loss."""

    monitor = "mse"
    steps_per_epoch = STEPS

    def __init__(self, on_batch: Callable[[int, int], None] = lambda epoch, step: None) -> None:
        torch.manual_seed(1)
        self.module: nn.Module = Net()
        self.x = torch.randn(7, 4 * STEPS, 2, generator=torch.Generator().manual_seed(2))
        self.on_batch = on_batch
        self.seen: list[tuple[int, int]] = []

    def batches(self, epoch: int) -> Iterator[Tensor]:
        order = torch.randperm(4 * STEPS, generator=torch.Generator().manual_seed(epoch))
        for step, part in enumerate(order.split(4)):
            self.now = (epoch, step)
            yield self.x[:, part]

    def loss(self, batch: Tensor) -> Tensor:
        self.seen.append(self.now)
        self.on_batch(*self.now)
        noise = 0.1 * (np.random.randn() + random.gauss(0, 1))  # noqa: NPY002
        return nn.functional.mse_loss(self.module(batch)[:, 0], batch.sum((0, 2)) + noise)

    def validate(self) -> dict[str, float]:
        assert not self.module.training and not torch.is_grad_enabled()
        torch.rand(3)  # must not reach the training's random numbers
        error = self.module(self.x)[:, 0] - self.x.sum((0, 2))
        return {"mse": error.square().mean().item(), "mae": error.abs().mean().item()}


class Scripted(Sums):
    """Validation values from a list."""

    def __init__(
        self, values: list[float], on_batch: Callable[[int, int], None] = lambda epoch, step: None
    ) -> None:
        super().__init__(on_batch)
        self.values = iter(values)

    def validate(self) -> dict[str, float]:
        return {"mse": next(self.values)}


def interrupt_at(epoch: int, step: int) -> Callable[[int, int], None]:
    def on_batch(*now: int) -> None:
        if now == (epoch, step):
            signal.raise_signal(signal.SIGINT)

    return on_batch


def rows(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.epochs]


def weights(trainable: Sums) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainable.module.state_dict().items()}


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def run(trainable: Sums, training: Training = BASE, **options: Any) -> History:
    return fit(trainable, training, progress=False, **options)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(loop, "monotonic", lambda: now[0])
    return now


# -- the same result again ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("schedule", ["constant", "cosine", "halve"])
@pytest.mark.parametrize("at", [(1, 0), (1, 3), (2, STEPS - 1), (3, 4), (4, STEPS - 1)])
def test_an_interrupted_run_goes_on_exactly(tmp_path: Path, at: tuple[int, int], schedule: Any) -> None:
    training = replace(
        BASE, schedule=schedule, learning_rate=0.2
    )  # so large that not every epoch is the best
    whole = Sums()
    expected = run(whole, training)
    assert expected.best_epoch != 4 or schedule != "constant"
    begun = Sums(interrupt_at(*at))
    stopped = run(begun, training, folder=tmp_path)
    assert stopped.stopped == ("interrupted" if at != (4, STEPS - 1) else "epochs")
    assert begun.seen[-1] == at  # the step was finished, and none begun after it
    resumed = Sums()
    random.random(), torch.rand(1)
    history = run(resumed, training, folder=tmp_path, resume=True)
    assert begun.seen + resumed.seen == whole.seen
    assert rows(history) == rows(expected)
    assert (history.best, history.best_epoch, history.stopped) == (
        expected.best,
        expected.best_epoch,
        "epochs",
    )
    assert_same(weights(resumed), weights(whole))
    load_weights(tmp_path / WEIGHTS, begun.module)
    assert_same(weights(begun), weights(whole))


def test_a_run_interrupted_again_and_again_goes_on_exactly(tmp_path: Path) -> None:
    whole = Sums()
    expected = run(whole)
    for index, at in enumerate([(1, 2), (1, 4), (2, 0), (4, 1)]):
        assert run(Sums(interrupt_at(*at)), folder=tmp_path, resume=index > 0).stopped == "interrupted"
    resumed = Sums()
    assert rows(run(resumed, folder=tmp_path, resume=True)) == rows(expected)
    assert_same(weights(resumed), weights(whole))


def test_a_killed_run_goes_on_from_the_last_saved_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)
    whole = Sums()
    expected = run(whole)

    def crash(*now: int) -> None:
        if now == (3, 2):
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(Sums(crash), folder=tmp_path)
    resumed = Sums()
    assert rows(run(resumed, folder=tmp_path, resume=True)) == rows(expected)
    assert resumed.seen[0] == (3, 0)
    assert_same(weights(resumed), weights(whole))


def test_what_a_trainable_carries_is_restored(tmp_path: Path) -> None:
    class Carrying(Sums):
        def batches(self, epoch: int) -> Iterator[Tensor]:
            self.state = torch.zeros(1)
            yield from super().batches(epoch)

        def loss(self, batch: Tensor) -> Tensor:
            loss = super().loss(batch) + self.state.sum()
            self.state = loss.detach()[None]
            return loss

        def carried(self) -> dict[str, Tensor]:
            return {"state": self.state}

        def restore(self, carried: dict[str, Tensor]) -> None:
            self.state = carried["state"]

    expected = run(Carrying())
    run(Carrying(interrupt_at(2, 3)), folder=tmp_path)
    assert rows(run(Carrying(), folder=tmp_path, resume=True)) == rows(expected)


def test_a_finished_run_takes_more_epochs(tmp_path: Path) -> None:
    constant = replace(BASE, schedule="constant")
    whole = Sums()
    expected = run(whole, constant)
    run(Sums(), replace(constant, epochs=2), folder=tmp_path)
    resumed = Sums()
    assert rows(run(resumed, constant, folder=tmp_path, resume=True)) == rows(expected)
    assert_same(weights(resumed), weights(whole))
    again = Sums()
    history = run(again, constant, folder=tmp_path, resume=True)  # nothing is left to do
    assert history.stopped == "epochs" and again.seen == []
    assert_same(weights(again), weights(whole))


# -- stopping ----------------------------------------------------------------------------------------------------


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
    clock[0] += 1000  # the time between does not count
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


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    run(Sums(interrupt_at(2, 3)), folder=tmp_path)
    err = capsys.readouterr().err
    assert "epoch 2, after 4 of its 6 steps" in err and str(tmp_path) in err and "--resume" in err
    assert run(Sums(interrupt_at(1, 0))).best_epoch is None
    assert "Nothing is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


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


# -- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverging_loss_is_told_and_the_best_kept(tmp_path: Path, value: float) -> None:
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


def test_a_metric_that_is_no_number_is_told() -> None:
    with pytest.raises(UserError, match=r"mse was nan in epoch 2.*diverged"):
        run(Scripted([1.0, math.nan]))


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    run(Sums(), folder=tmp_path)
    whole = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        run(Sums(), folder=tmp_path, resume=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is none"):
        run(Sums(), folder=tmp_path, resume=True)
    with pytest.raises(UserError, match="No folder"):
        run(Sums(), resume=True)


def test_a_used_folder_is_left_alone(tmp_path: Path) -> None:
    run(Sums(), folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    trainable = Sums()
    with pytest.raises(UserError, match=r"--resume.*--overwrite"):
        run(trainable, folder=tmp_path)
    assert trainable.seen == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_other_settings_data_or_networks_do_not_resume(tmp_path: Path) -> None:
    run(Sums(interrupt_at(2, 0)), folder=tmp_path)
    with pytest.raises(UserError, match=r"learning_rate was 0\.01 and is 0\.5"):
        run(Sums(), replace(BASE, learning_rate=0.5), folder=tmp_path, resume=True)
    longer = Sums()
    longer.steps_per_epoch = 7
    with pytest.raises(UserError, match="steps in an epoch was 6 and is 7"):
        run(longer, folder=tmp_path, resume=True)
    other = Sums()
    other.module = nn.GRU(2, 6)
    with pytest.raises(UserError, match="another"):
        run(other, folder=tmp_path, resume=True)


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=rf"'{device}' was asked for, and there is cpu"):
        run(Sums(), replace(BASE, device=device))


def test_no_data_is_refused() -> None:
    trainable = Sums()
    trainable.steps_per_epoch = 0
    with pytest.raises(UserError, match="at least one batch"):
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


# -- the step ----------------------------------------------------------------------------------------------------


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
    """One epoch against a loop written out here, with torch's own optimizer and cosine."""
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


# -- what it tells -----------------------------------------------------------------------------------------------


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
    assert capsys.readouterr().err.count("TensorBoard") == 1
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


def test_the_state_holds_everything(tmp_path: Path) -> None:
    run(Sums(interrupt_at(2, 1)), folder=tmp_path)
    tensors, values = load_state(tmp_path)
    assert set(tensors) == {"module", "best", "optimizer", "random"}
    assert len(tensors["optimizer"]) == 3 * len(list(Sums().module.parameters()))
    assert values["position"]["epoch"] == 2 and values["position"]["step"] == 2


def test_a_state_survives_a_kill(tmp_path: Path) -> None:
    """A real kill -9: the state on the disk is whole, and the run goes on from it to the same end."""
    code = (
        "import os, sys; sys.path[:0] = [sys.argv[2]]\n"
        "import test_training as t\n"
        "t.loop.SAVE_EVERY = 0.0\n"
        "def kill(*now):\n"
        "    if now == (3, 1): os.kill(os.getpid(), 9)\n"
        "t.run(t.Sums(kill), folder=t.Path(sys.argv[1]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)], check=False, env=os.environ
    )
    assert result.returncode == -signal.SIGKILL
    whole, resumed = Sums(), Sums()
    assert rows(run(resumed, folder=tmp_path, resume=True)) == rows(run(whole))
    assert resumed.seen[0] == (3, 0)
    assert_same(weights(resumed), weights(whole))
