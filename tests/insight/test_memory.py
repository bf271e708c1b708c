"""Memory and gradients against known Jacobians, and against autograd step by step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import holdfast as hf
from holdfast.errors import UserError
from holdfast.insight.analysis import memory
from holdfast.insight.analysis.gradient_flow import gradient_flows, gradient_norms, judge_flow
from holdfast.insight.analysis.layer_capture import capture_calls, split_directions
from holdfast.insight.analysis.memory import lag_below, memory_curve


def leaky(keep: float, kind: Any = nn.RNN, **more: Any) -> Any:
    """``h' = keep h + x`` for positive inputs, so the derivative of h_t by x_{t-k} is keep^k."""
    module = kind(1, 1, nonlinearity="relu", bias=False, **more)
    nn.init.ones_(module.weight_ih_l0)
    nn.init.constant_(module.weight_hh_l0, keep)
    return module


@pytest.mark.parametrize("kind", [nn.RNN, hf.RNN])
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_leaky_unit_has_the_half_life_of_its_weight(kind: Any, keep: float) -> None:
    keep = float(np.float32(keep))
    module, x = leaky(keep, kind), torch.rand(60, 5, 1) + 0.5
    found = memory_curve(module, lambda: module(x))
    np.testing.assert_allclose(found.jacobian, keep ** np.arange(60.0), rtol=1e-4)
    assert found.half_life == pytest.approx(np.log(0.5) / np.log(keep), abs=1e-3)
    assert found.reach == pytest.approx(np.log(0.05) / np.log(keep), abs=1e-3)
    assert found.agreement < 1e-2
    measured = np.isfinite(found.finite)
    np.testing.assert_allclose(found.finite[measured], keep ** found.checked[measured], rtol=1e-2)
    assert measured.sum() >= 3 and not measured[keep**found.checked < 1e-3].any()
    (flow,) = gradient_flows(module, lambda: module(x))
    np.testing.assert_allclose(flow.hidden, keep ** np.arange(60.0), rtol=1e-6)
    assert flow.factor == pytest.approx(keep)


def test_a_unit_that_keeps_everything_has_no_half_life_within_the_sequence() -> None:
    module, x = leaky(1.0), torch.rand(30, 2, 1) + 0.5
    found = memory_curve(module, lambda: module(x))
    assert found.half_life == np.inf and found.longest == 29
    assert gradient_flows(module, lambda: module(x))[0].kind == "healthy"


def test_a_growing_unit_explodes_and_a_leaky_one_vanishes() -> None:
    for keep, kind in ((1.3, "exploding"), (0.5, "vanishing")):
        module = leaky(keep)
        (flow,) = gradient_flows(module, lambda m=module: m(torch.rand(90, 2, 1) + 0.5))
        assert flow.kind == kind and kind[:-3] in flow.sentence


def test_lags_count_from_each_sequences_own_end() -> None:
    module = leaky(0.5, hf.RNN)
    x, lengths = torch.rand(20, 4, 1) + 0.5, torch.tensor([20, 3, 9, 6])
    found = memory_curve(module, lambda: module(x, lengths=lengths))
    assert found.longest == 8  # half of the sequences have this length
    np.testing.assert_allclose(found.jacobian, 0.5 ** np.arange(9.0), rtol=1e-4)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, partial(hf.LSTM, peephole=True)], ids=str)
def test_the_jacobian_is_that_of_autograd(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "DRAWS", 300)
    torch.manual_seed(0)
    module, x = kind(3, 6), torch.randn(12, 1, 3)
    whole = torch.autograd.functional.jacobian(lambda x: module(x)[0][-1, 0], x)
    whole = whole[:, :, 0]  # [P, T, I]
    exact = whole.flip(1).square().sum((0, 2)).sqrt().numpy()
    found = memory_curve(module, lambda: module(x))
    np.testing.assert_allclose(found.jacobian, exact / exact.max(), rtol=0.1)
    assert found.agreement < 0.01


def test_each_layer_starts_from_its_first_state_again() -> None:
    class StateCarry(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.state = nn.GRU(2, 4), torch.ones(1, 3, 4)

        def forward(self, x: Tensor) -> Tensor:
            y, self.state = self.layer(x, self.state)
            return y

    torch.manual_seed(0)
    model, x = StateCarry(), torch.randn(15, 3, 2)
    found = memory_curve(model, lambda: model(x))
    begun = memory_curve(model.layer, lambda: model.layer(x, torch.ones(1, 3, 4)))
    np.testing.assert_array_equal(found.jacobian, begun.jacobian)


def test_padding_has_no_part_in_the_comparison() -> None:
    module, x = leaky(0.5, hf.RNN), torch.rand(20, 2, 1) + 0.5
    padded = torch.cat([x, torch.full((3, 2, 1), torch.nan)])
    found = memory_curve(module, lambda: module(padded, lengths=torch.tensor([20, 20])))
    assert found.agreement < 0.01 and np.isfinite(found.finite[0])


@pytest.mark.parametrize(
    "kind",
    [
        nn.LSTM,
        nn.GRU,
        nn.RNN,
        partial(hf.LSTM, zoneout=(0.3, 0.6)),
        partial(hf.GRU, zoneout=0.5, layer_norm=True),
    ],
    ids=str,
)
def test_gradients_are_those_of_stepping_through_the_layer(kind: Any) -> None:
    torch.manual_seed(0)
    module = kind(3, 5).double().eval()
    x = torch.randn(9, 2, 3, dtype=torch.float64)
    single = kind(3, 5)
    single.load_state_dict(module.state_dict())
    (one,) = split_directions(capture_calls(single, lambda: single(x.float()))[0])
    hidden, state = gradient_norms(one, seed=4)
    w = torch.randn(2, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    expected = _stepped(module, one.x.double(), w)
    np.testing.assert_allclose(hidden, expected[0] / expected[0][0], rtol=1e-5)
    np.testing.assert_allclose(state, expected[1] / expected[1][0], rtol=1e-5)


def _stepped(module: Any, x: Tensor, w: Tensor) -> tuple[Any, Any]:
    """Return norms by distance: of h, and of all states."""
    hx, kept = None, []
    for at in x:
        _, hx = module(at[None], hx)
        states = hx if isinstance(hx, tuple) else (hx,)
        kept.append([s.retain_grad() or s for s in states])
    (kept[-1][0][0] * w).sum().backward()
    squares = [
        [0.0 if s.grad is None else float(s.grad.square().sum()) for s in states] for states in kept[::-1]
    ]
    return np.sqrt([s[0] for s in squares]), np.sqrt([sum(s) for s in squares])


def test_the_fall_of_a_curve_is_where_it_stays_below() -> None:
    assert lag_below(np.array([1.0, 0.25, 0.6, 0.3, 0.1]), 0.5) == pytest.approx(
        2 + np.log(0.6 / 0.5) / np.log(2)
    )
    assert lag_below(np.array([0.2, 1.0]), 0.5) == np.inf


def test_sentences_report_what_is_left() -> None:
    assert "nothing of it is left" in judge_flow("a", np.zeros(50), np.r_[1.0, np.zeros(49)]).sentence
    fading = judge_flow("a", np.ones(101), 0.9 ** np.arange(101.0))
    assert (
        fading.kind == "healthy" and "fades but does not vanish: it halves every 6.6 steps" in fading.sentence
    )
    assert judge_flow("a", np.ones(5), 0.1 ** np.arange(5.0)).kind == "short"
    assert judge_flow("a", np.ones(1), np.ones(1)).kind == "short"
    assert judge_flow("a", np.ones(50), np.r_[np.ones(49), np.inf]).kind == "exploding"


def test_invalid_measurements_are_refused() -> None:
    module = nn.GRU(2, 3)
    with pytest.raises(UserError, match="at least 2 steps"):
        memory_curve(module, lambda: module(torch.randn(1, 2, 2)))

    @torch.no_grad()
    def run() -> Any:
        return module(torch.randn(5, 2, 2))

    with pytest.raises(UserError, match="must give gradients"):
        memory_curve(module, run)
    nn.init.zeros_(module.weight_ih_l0)
    with pytest.raises(UserError, match="must influence"):
        memory_curve(module, lambda: module(torch.randn(5, 2, 2)))
