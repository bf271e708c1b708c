"""Weight averages and best checkpoints, compared with plain sums."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from holdfast.checkpoint import WEIGHTS, load_weights
from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.training import fit
from holdfast.training.checkpoints import _WARM, BestCheckpoints, WeightAverage
from sums import BASE, Sums, assert_same, run, weights


def test_the_average_is_the_sum_written_out() -> None:
    module = nn.Linear(3, 2)
    average = WeightAverage(module, 0.9)
    expected = {name: p.detach().clone() for name, p in module.named_parameters()}
    for step in range(100):
        with torch.no_grad():
            for p in module.parameters():
                p.add_(torch.randn_like(p))
        average.update(step)
        decay = min(0.9, (1 + step) / (_WARM + step))
        expected = {n: decay * expected[n] + (1 - decay) * p.detach() for n, p in module.named_parameters()}
    own = {name: p.detach().clone() for name, p in module.named_parameters()}
    with average.in_place():
        for name, p in module.named_parameters():
            torch.testing.assert_close(p.detach(), expected[name])
    assert_same(dict(module.named_parameters()), own)


def test_a_run_keeps_the_average_that_was_validated() -> None:
    training = replace(BASE, learning_rate=0.1, average=0.9, epochs=3)
    averaged, plain = Sums(), Sums()
    run(averaged, training)
    run(plain, replace(training, average=0.0))
    assert averaged.seen == plain.seen
    with pytest.raises(AssertionError):
        assert_same(weights(averaged), weights(plain))


def test_no_average_is_kept_without_a_decay() -> None:
    module = nn.Linear(2, 2)
    before = module.weight.detach().clone()
    average = WeightAverage(module, 0.0)
    average.update(3)
    with average.in_place():
        assert torch.equal(module.weight, before)
    assert average.state() == {}


def test_the_mean_is_of_the_best_epochs() -> None:
    module, best, seen = nn.BatchNorm1d(2), BestCheckpoints(3), []
    for value in (5.0, 2.0, 4.0, 3.0, 2.0, 6.0):  # an equal value ranks after the earlier one
        with torch.no_grad():
            module.weight.copy_(torch.randn(2))
            module.num_batches_tracked += 1
        seen.append(module.weight.detach().clone())
        assert best.offer(value, len(seen), module) == (value == 5.0 or len(seen) == 2)
    assert best.values == [2.0, 2.0, 3.0]
    mean = best.mean()
    torch.testing.assert_close(mean["weight"], (seen[1] + seen[4] + seen[3]) / 3)
    assert mean["num_batches_tracked"] == 2
    assert torch.equal(best.weights["weight"], seen[1])
    assert not best.offer(2.5, 2, module) and best.epochs == [
        (2.0, 2),
        (2.0, 5),
        (3.0, 4),
    ]  # epoch 2 was better before
    assert best.offer(1.0, 4, module) and best.epochs == [(1.0, 4), (2.0, 2), (2.0, 5)]


@pytest.mark.parametrize("rate", [0.002, 0.2])
def test_a_run_keeps_the_mean_only_where_it_validates_better(tmp_path: Path, rate: float) -> None:
    training = replace(BASE, learning_rate=rate, schedule="constant", epochs=6)
    single, several = Sums(), Sums()
    alone = run(single, training)
    history = run(several, replace(training, checkpoints=3), folder=tmp_path)
    assert several.seen == single.seen
    assert (alone.checkpoints, history.best_epoch) == (1, alone.best_epoch)
    assert alone.best is not None and history.best is not None
    assert (history.checkpoints == 3) == (history.best < alone.best) == (rate == 0.2)
    with torch.no_grad():
        assert history.best == several.validate()["mse"]
    saved = Sums()
    load_weights(tmp_path / WEIGHTS, saved.module)
    assert_same(weights(saved), weights(several))


@pytest.mark.parametrize("value", [1.0, -0.1, True])
def test_an_invalid_decay_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="average"):
        Training(average=value)


def test_bf16_rounds_products_and_keeps_weights_in_float32() -> None:
    seen = []

    class Watched(Sums):
        def loss(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
            return super().loss(batch)

    found = Watched()
    fit(found, replace(BASE, precision="bf16", epochs=1), progress=False)
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in found.module.parameters()} == {torch.float32}
