"""The losses against plain loops, with gaps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from holdfast.errors import UserError
from holdfast.nn.losses import l1_loss, mse_loss, pinball_loss

LEVELS = [0.1, 0.5, 0.9]
numbers = st.floats(-10, 10, width=32)


def pinball(error: float, level: float) -> float:
    return level * error if error >= 0 else (level - 1) * error


@given(
    st.lists(st.tuples(numbers, numbers, st.sampled_from(["seen", "nan", "masked"])), min_size=1, max_size=8)
)
def test_losses_equal_plain_loops_over_observed_targets(rows: list[tuple[float, float, str]]) -> None:
    target = torch.tensor([math.nan if kind == "nan" else y for y, _, kind in rows]).reshape(1, -1, 1)
    mask = torch.tensor([float(kind != "masked") for *_, kind in rows]).reshape(1, -1, 1)
    output = torch.tensor([[x, x + 1, x + 2] for _, x, _ in rows]).reshape(1, -1, 1, 3)
    errors = [[y - x - k for k in range(3)] for y, x, kind in rows if kind == "seen"]
    count = max(1, 3 * len(errors))
    quantile = sum(pinball(e, level) for row in errors for e, level in zip(row, LEVELS, strict=True))
    assert pinball_loss(output, target, LEVELS, mask).item() == pytest.approx(quantile / count, abs=1e-4)
    assert l1_loss(output, target, mask).item() == pytest.approx(
        sum(abs(e) for row in errors for e in row) / count, abs=1e-4
    )
    assert mse_loss(output, target, mask).item() == pytest.approx(
        sum(e * e for row in errors for e in row) / count, abs=1e-3
    )


def test_without_a_mask_nan_alone_is_left_out() -> None:
    target = torch.tensor([1.0, math.nan, 4.0]).reshape(1, 3, 1)
    assert l1_loss(torch.zeros(1, 3, 1, 1), target).item() == 2.5


def test_a_gap_gives_no_gradient() -> None:
    output = torch.zeros(1, 2, 1, 1, requires_grad=True)
    mse_loss(output, torch.tensor([math.nan, 3.0]).reshape(1, 2, 1)).backward()
    assert output.grad is not None
    assert output.grad.flatten().tolist() == [0.0, -6.0]


def test_minimum_of_the_pinball_loss_is_the_quantile() -> None:
    target = torch.arange(101.0).reshape(1, -1, 1)

    def loss(value: float) -> Tensor:
        return pinball_loss(torch.full((1, 101, 1, 1), value), target, [0.9])

    assert min(range(101), key=lambda value: loss(float(value)).item()) == 90


@pytest.mark.parametrize("levels", [[0.5, 0.9], [0.0], [1.5]])
def test_levels_must_fit_the_outputs(levels: list[float]) -> None:
    with pytest.raises(UserError, match="level"):
        pinball_loss(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1), levels)
