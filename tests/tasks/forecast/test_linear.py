"""The linear baseline compared with least squares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handmade import Array, split_of, table_of
from holdfast.tasks.forecast.linear import PENALTIES, Linear, spread
from holdfast.tasks.forecast.metrics import truth
from holdfast.tasks.forecast.preprocessing import WindowSplit


def test_linear_is_the_penalised_least_squares_solution() -> None:
    rng = np.random.default_rng(3)
    table = table_of(np.cumsum(rng.normal(size=(60, 2)), 0), rng.normal(size=(50, 2)), lookback=5)
    train, valid = split_of(table, 3, [(0, 45), (0, 40)]), split_of(table, 3, [(45, 60), (40, 50)])
    rows = table.filled.numpy().astype(np.float64)

    def pairs(split: WindowSplit) -> tuple[Array, Array]:
        x = np.array([rows[o - 5 : o, c] - rows[o - 1, c] for o in split.origins for c in range(2)])
        y = np.array([rows[o : o + 3, c] - rows[o - 1, c] for o in split.origins for c in range(2)])
        return x, y

    (x, y), (held_x, held_y) = pairs(train), pairs(valid)
    center = x - x.mean(0)
    errors, solutions = [], []
    for penalty in PENALTIES:
        alpha = penalty * np.trace(center.T @ center) / 5
        augmented = np.concatenate([center, np.sqrt(alpha) * np.eye(5)])
        answer = np.concatenate([y - y.mean(0), np.zeros((5, 3))])
        weight = np.linalg.lstsq(augmented, answer, rcond=None)[0]
        bias = y.mean(0) - x.mean(0) @ weight
        errors.append(((held_x @ weight + bias - held_y) ** 2).mean())
        solutions.append((weight.T, bias))
    best = int(np.argmin(errors))
    model = Linear(table.preprocessing, returns=False)
    model.fit(train, valid)
    np.testing.assert_allclose(model.weight, solutions[best][0], atol=1e-7)
    np.testing.assert_allclose(model.bias, solutions[best][1], atol=1e-7)
    w, c = 20, 1
    origin = valid.origins[0]
    expected = (
        model.bias + model.weight @ (rows[origin - 5 : origin, c] - rows[origin - 1, c]) + rows[origin - 1, c]
    )
    np.testing.assert_allclose(model.point(valid)[0, :, c], expected, atol=1e-5)
    assert model.point(train)[w].shape == (3, 2)


@pytest.mark.parametrize("returns", [False, True])
def test_linear_follows_a_wave_exactly(returns: bool) -> None:
    table = table_of(np.sin(0.3 * np.arange(400)), lookback=8)
    model = Linear(table.preprocessing, returns)
    model.fit(split_of(table, 10, [(0, 250)]), split_of(table, 10, [(250, 320)]))
    test = split_of(table, 10, [(320, 400)])
    np.testing.assert_allclose(model.point(test), truth(test), atol=2e-3)


def test_linear_shrinks_to_the_mean_on_noise() -> None:
    table = table_of(np.random.default_rng(5).normal(size=4000), lookback=30)
    model = Linear(table.preprocessing, returns=True)
    model.fit(split_of(table, 1, [(0, 3000)]), split_of(table, 1, [(3000, 4000)]))
    assert np.abs(model.point(split_of(table, 1))).max() < 0.2


@given(count=st.integers(1, 300), samples=st.integers(1, 400))
def test_windows_for_fitting_are_spread_over_all(count: int, samples: int) -> None:
    split = split_of(table_of(np.zeros((count + 1, 3))), 1)
    chosen = spread(split, samples)
    assert len(chosen) == len(set(chosen)) == min(count, max(1, samples // 3))
    assert chosen[0] == 0
    assert len(chosen) == 1 or chosen[-1] == count - 1
