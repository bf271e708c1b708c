"""An interrupted, killed or finished run resumes bit for bit, or the error says why not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.checkpoint import STATE, WEIGHTS, load_state, load_weights
from holdfast.errors import UserError
from holdfast.training import loop
from sums import BASE, STEPS, Sums, assert_same, interrupt_at, rows, run, weights


@pytest.mark.parametrize(
    ("schedule", "average", "checkpoints"),
    [("constant", 0.0, 1), ("cosine", 0.0, 3), ("halve", 0.0, 1), ("constant", 0.7, 2)],
)
@pytest.mark.parametrize("at", [(1, 0), (1, 3), (2, STEPS - 1), (3, 4), (4, STEPS - 1)])
def test_an_interrupted_run_resumes_exactly(
    tmp_path: Path, at: tuple[int, int], schedule: Any, average: float, checkpoints: int
) -> None:
    rate = 0.2  # so large that not every epoch is the best
    training = replace(BASE, schedule=schedule, learning_rate=rate, average=average, checkpoints=checkpoints)
    whole = Sums()
    expected = run(whole, training)
    assert expected.best_epoch != 4 or schedule != "constant" or average
    begun = Sums(interrupt_at(*at))
    stopped = run(begun, training, folder=tmp_path)
    assert stopped.stopped == ("interrupted" if at != (4, STEPS - 1) else "epochs")
    assert begun.seen[-1] == at  # the step was finished, and no later one begun
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


def test_a_run_interrupted_repeatedly_resumes_exactly(tmp_path: Path) -> None:
    whole = Sums()
    expected = run(whole)
    for index, at in enumerate([(1, 2), (1, 4), (2, 0), (4, 1)]):
        assert run(Sums(interrupt_at(*at)), folder=tmp_path, resume=index > 0).stopped == "interrupted"
    resumed = Sums()
    assert rows(run(resumed, folder=tmp_path, resume=True)) == rows(expected)
    assert_same(weights(resumed), weights(whole))


def test_a_killed_run_resumes_from_the_last_saved_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_SAVE_EVERY", 0.0)
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


def test_carried_state_is_restored(tmp_path: Path) -> None:
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
    history = run(again, constant, folder=tmp_path, resume=True)  # no epoch is left
    assert history.stopped == "epochs" and again.seen == []
    assert_same(weights(again), weights(whole))


def test_the_state_holds_everything(tmp_path: Path) -> None:
    run(Sums(interrupt_at(2, 1)), folder=tmp_path)
    tensors, values = load_state(tmp_path)
    assert set(tensors) == {"module", "best", "optimizer", "random"}
    assert len(tensors["optimizer"]) == 3 * len(list(Sums().module.parameters()))
    assert values["position"]["epoch"] == 2 and values["position"]["step"] == 2


def test_a_state_survives_a_kill(tmp_path: Path) -> None:
    """A real kill -9: the state on the disk is complete, and the run resumes to the same result."""
    code = (
        "import os, pathlib, sys; sys.path[:0] = [sys.argv[2]]\n"
        "import sums as t, holdfast.training.loop\n"
        "holdfast.training.loop._SAVE_EVERY = 0.0\n"
        "def kill(*now):\n"
        "    if now == (3, 1): os.kill(os.getpid(), 9)\n"
        "t.run(t.Sums(kill), folder=pathlib.Path(sys.argv[1]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parents[1])],
        check=False,
        env=os.environ,
    )
    assert result.returncode == -signal.SIGKILL
    whole, resumed = Sums(), Sums()
    assert rows(run(resumed, folder=tmp_path, resume=True)) == rows(run(whole))
    assert resumed.seen[0] == (3, 0)
    assert_same(weights(resumed), weights(whole))


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


def test_a_used_folder_is_not_changed(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="steps per epoch was 6 and is 7"):
        run(longer, folder=tmp_path, resume=True)
    other = Sums()
    other.module = nn.GRU(2, 6)
    with pytest.raises(UserError, match=r"belong to this architecture.*the model lacks norm"):
        run(other, folder=tmp_path, resume=True)
