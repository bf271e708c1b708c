"""The forecasting networks: shapes, residuals, gradients, quantiles, and training."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from holdfast.errors import UserError
from holdfast.models.forecast import (
    LAYERS,
    RESIDUALS,
    ForecastShape,
    RecurrentForecaster,
    SegmentForecaster,
    branch,
    monotone,
)
from holdfast.models.options import ForecastOptions
from holdfast.nn.cells import Recurrence
from holdfast.nn.losses import l1_loss

NETWORKS = [RecurrentForecaster, SegmentForecaster]
networks = pytest.mark.parametrize("network", NETWORKS)


def build(network: Any, shape: dict[str, int], **options: Any) -> Any:
    sizes = {"targets": 2, "features": 3, "lookback": 12, "horizon": 5, "known": 2, "season": 4} | shape
    torch.manual_seed(0)
    return network(
        ForecastShape(**sizes),
        ForecastOptions(**{"hidden_size": 8, "segment": 4, "residual": "last"} | options),
    )


def inputs(shape: ForecastShape, batch: int = 3) -> tuple[Tensor, Tensor]:
    past = torch.randn(batch, shape.lookback, shape.features)
    return past, torch.randn(batch, shape.horizon, shape.known)


@networks
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_output_shape_and_order_of_quantiles(network: Any, data: st.DataObject) -> None:
    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    targets, lookback = draw(1, 4), draw(1, 30)
    shape = ForecastShape(
        targets=targets,
        features=targets + draw(0, 3),
        lookback=lookback,
        horizon=draw(1, 20),
        known=draw(0, 3),
        quantiles=draw(1, 5),
        season=draw(1, 40),
    )
    names = [name for name in RESIDUALS if name not in ("season", "mean") or shape.season <= lookback]
    options = ForecastOptions(
        cell=data.draw(st.sampled_from(list(LAYERS))),
        hidden_size=draw(2, 9),
        num_layers=draw(1, 2),
        residual=data.draw(st.sampled_from(names)),
        segment=draw(1, lookback),
    )
    past, known = inputs(shape, batch=draw(1, 4))
    output = network(shape, options)(past, known)
    assert output.shape == (len(past), shape.horizon, targets, shape.quantiles)
    assert torch.isfinite(output).all()
    assert (output.diff(dim=-1) >= 0).all()


@networks
@pytest.mark.parametrize("horizon", [3, 4, 11])
@pytest.mark.parametrize("residual", list(RESIDUALS))
def test_a_zero_head_returns_the_residual_forecast(network: Any, residual: str, horizon: int) -> None:
    model = build(network, {"horizon": horizon}, residual=residual)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    past, known = inputs(model.shape)
    values = past[..., :2]
    rows = {
        "none": [torch.zeros_like(values[:, 0])] * horizon,
        "last": [values[:, 11]] * horizon,
        "mean": [values[:, 8:].mean(1)] * horizon,
        "season": [values[:, 8 + step % 4] for step in range(horizon)],
    }
    assert torch.equal(model(past, known)[..., 0], torch.stack(rows[residual], 1))


@networks
@pytest.mark.parametrize("residual", ["last", "mean", "season"])
def test_a_shift_of_the_targets_shifts_the_forecast(network: Any, residual: str) -> None:
    model = build(network, {"quantiles": 3}, residual=residual).eval()
    past, known = inputs(model.shape)
    shift = torch.tensor([2.0, -3.0, 0.0])
    expected = model(past, known) + shift[:2, None]
    assert torch.allclose(model(past + shift, known), expected, atol=1e-5)


@networks
@pytest.mark.parametrize("cell", list(LAYERS))
@pytest.mark.parametrize("num_layers", [1, 2])
def test_gradients_reach_every_parameter(network: Any, cell: str, num_layers: int) -> None:
    model = build(network, {"quantiles": 3}, cell=cell, num_layers=num_layers)
    model(*inputs(model.shape)).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("cell", list(LAYERS))
@pytest.mark.parametrize("layer", [{}, {"layer_norm": True}])
def test_branch_equals_running_the_layer_from_each_state(cell: str, layer: dict[str, Any]) -> None:
    encoder = LAYERS[cell](8, 8, 2, batch_first=True, **layer)
    queries = torch.randn(2, 3, 8)
    batch, (channels, segments, width) = 4, queries.shape
    parts = 2 if cell == "lstm" else 1
    state = tuple(torch.randn(2, batch * channels, width) for _ in range(parts))
    each = queries.expand(batch, -1, -1, -1).reshape(-1, 1, width)
    repeated = tuple(s.repeat_interleave(segments, 1) for s in state)
    expected, _ = encoder(each, repeated if cell == "lstm" else repeated[0])
    assert torch.allclose(branch(encoder, queries, state).flatten(0, 2), expected[:, 0], atol=1e-6)


def test_branch_projects_each_query_and_each_state_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    product = Recurrence.__call__

    def counted(self: Recurrence, hidden: Tensor, *gates: int) -> Tensor:
        rows.append(hidden.numel() // hidden.size(-1))
        return product(self, hidden, *gates)

    model = build(SegmentForecaster, {"horizon": 20})
    monkeypatch.setattr(Recurrence, "__call__", counted)
    branch(model.encoder, torch.randn(2, 5, 8), (torch.randn(1, 6, 8),))
    assert rows == [6]


def test_known_future_changes_the_forecast_of_its_own_step() -> None:
    model = build(RecurrentForecaster, {}).eval()
    past, known = inputs(model.shape)
    other = known.clone()
    other[:, 2] += 1.0
    changed = (model(past, known) != model(past, other)).any(-1).any(-1).any(0)
    assert changed.tolist() == [False, False, True, False, False]


def test_segments_read_targets_only_and_each_channel_alone() -> None:
    model = build(SegmentForecaster, {}).eval()
    past, known = inputs(model.shape)
    other = past.clone()
    other[..., 1:] += torch.randn(3, 12, 2)
    assert torch.equal(model(past, known)[:, :, 0], model(other, known + 1)[:, :, 0])


def test_the_oldest_steps_before_the_first_whole_segment_are_dropped() -> None:
    model = build(SegmentForecaster, {"lookback": 14}).eval()
    past, known = inputs(model.shape)
    older, newer = past.clone(), past.clone()
    older[:, :2] += 1.0
    newer[:, 2] += 1.0
    assert torch.equal(model(past, known), model(older, known))
    assert not torch.equal(model(past, known), model(newer, known))


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=7))
def test_monotone_keeps_the_middle(raw: list[float]) -> None:
    values = monotone(torch.tensor(raw))
    assert values[len(raw) // 2] == raw[len(raw) // 2]
    assert (values.diff() >= 0).all()


@networks
def test_a_noisy_sine_is_forecast_better_than_seasonal_naive(network: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    series = torch.sin(torch.arange(2000) * 2 * torch.pi / 12) + 0.3 * torch.randn(2000, generator=generator)
    windows = series.unfold(0, 24 + 12, 5).unsqueeze(-1)
    past, future = windows[:, :24], windows[:, 24:]
    test = slice(260, None)  # the first 250 windows are for training
    sizes = {"targets": 1, "features": 1, "lookback": 24, "horizon": 12, "known": 0, "season": 12}
    model = build(network, sizes, hidden_size=24, segment=12, residual="none", dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(12):
        for batch in torch.randperm(250, generator=generator).split(25):
            optimizer.zero_grad()
            l1_loss(model(past[batch]), future[batch]).backward()
            optimizer.step()
    naive = (past[test][:, -12:] - future[test]).abs().mean()
    with torch.no_grad():
        assert l1_loss(model.eval()(past[test]), future[test]) < 0.9 * naive


@networks
@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ({}, {"cell": "gruu"}, ["rnn, gru, lstm", "gruu"]),
        ({}, {"residual": "seasonal"}, ["last, mean, season, none", "seasonal"]),
        ({"season": 13}, {"residual": "mean"}, ["13", "12", "lookback"]),
        ({"features": 1}, {}, ["features", "at least 2"]),
        ({"horizon": 0}, {}, ["horizon", "at least 1"]),
    ],
)
def test_invalid_arguments_raise_user_errors(
    network: Any, shape: dict[str, int], options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        build(network, shape, **options)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("segment", [0, 13])
def test_a_segment_must_fit_into_the_lookback(segment: int) -> None:
    with pytest.raises(UserError, match="segment"):
        build(SegmentForecaster, {}, segment=segment)
