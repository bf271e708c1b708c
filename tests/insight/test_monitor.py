"""The training monitor reports each fault, is silent on healthy runs, and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import holdfast as hf
from holdfast.errors import DivergenceError, UserError
from holdfast.insight import TrainingMonitor
from holdfast.insight.analysis.gradient_flow import gradient_flows
from holdfast.insight.analysis.layer_capture import LayerCall
from holdfast.insight.monitor.measurements import LayerMeasurement, measure_layers
from holdfast.insight.monitor.rules import Finding, layer_findings
from holdfast.insight.monitor.trackers import LayerHooks
from holdfast.insight.monitor.warning_log import WarningLog, read_warnings
from holdfast.nn.init import chrono
from holdfast.training import fit
from holdfast.training.devices import get_random_state
from sums import BASE, Sums, assert_same, rows, weights


class Last(nn.Module):
    """A linear layer on the last output of a recurrent layer."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][-1])[:, 0]


def monitored(
    model: nn.Module,
    steps: int,
    *,
    rate: float = 1e-3,
    shape: tuple[int, ...] = (12, 8, 3),
    scale: float = 1.0,
    trained: list[nn.Parameter] | None = None,
) -> list[str]:
    """Return the warnings, as kind and place, while a model learns the mean of its input."""
    reported: list[str] = []
    optimizer = torch.optim.Adam(trained or [p for p in model.parameters() if p.requires_grad], rate)
    with TrainingMonitor(model, report=reported.append) as monitor:
        for _ in range(steps):
            x = torch.randn(shape)
            loss = (model(scale * x) - x.mean((0, 2))).square().mean()
            optimizer.zero_grad()
            loss.backward()
            monitor.step(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert len(reported) == len(monitor.warnings)
    return [f"{finding.kind}: {finding.where}" for _, finding in monitor.warnings]


# -- each fault is reported ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [hf.GRU, hf.LSTM, nn.LSTM])
def test_a_learning_rate_a_hundred_times_too_high(make: Any) -> None:
    reported = monitored(Last(make(3, 16), 16), 60, rate=0.1)
    assert "too large steps: layer" in reported
    assert reported.index("too large steps: layer") == 0  # in the first check


def test_a_loss_that_rises_far_above_its_beginning() -> None:
    assert "exploding loss: network" in monitored(Last(hf.GRU(3, 16), 16), 60, rate=3.0)


def test_a_nan_loss_is_reported_when_training_ends(capsys: pytest.CaptureFixture[str]) -> None:
    trainable = Sums(lambda *now: trainable.x.fill_(math.nan) if now == (2, 1) else None)  # type: ignore[func-returns-value]
    with pytest.raises(DivergenceError), TrainingMonitor(trainable.module) as monitor:
        fit(trainable, BASE, progress=False, callback=monitor)
    number, found = monitor.warnings[0]
    assert (number, found.kind) == (10, "exploding loss")
    assert "at step 9, the loss was nan" in capsys.readouterr().err


@pytest.mark.parametrize("make", [hf.RNN, nn.RNN])
def test_the_gradient_of_a_plain_rnn_vanishes_over_500_steps(make: Any) -> None:
    reported = monitored(Last(make(2, 8), 8), 95, shape=(500, 1, 2))
    assert reported == ["vanishing gradient: layer"]


def test_a_gradient_that_grows_along_the_steps() -> None:
    layer = hf.RNN(3, 8, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_ih_l0.abs_()
        layer.weight_hh_l0.copy_(1.3 * torch.eye(8))
    assert "exploding gradient: layer" in monitored(Last(layer, 8), 15, shape=(60, 4, 3), rate=1e-5)


def test_a_jump_of_the_gradients_norm() -> None:
    reported: list[str] = []
    model = Last(nn.GRU(3, 8), 8)
    with TrainingMonitor(model, report=reported.append) as monitor:
        for k in range(30):
            model.zero_grad()
            loss = model(torch.randn(5, 4, 3)).square().mean() * (1e6 if k == 24 else 1.0)
            loss.backward()
            monitor.step(loss)
    assert any("exploding gradient (network): at step 25" in text for text in reported)


@pytest.mark.parametrize("make", [hf.RNN, nn.RNN])
def test_dead_units(make: Any) -> None:
    layer = make(3, 10, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0[:4] = -50.0
    reported: list[str] = []
    model = Last(layer, 10)
    assert monitored(model, 15) == ["dead units: layer"]
    with TrainingMonitor(model, report=reported.append) as monitor:
        for _ in range(11):
            loss = model(torch.randn(6, 8, 3)).sum()
            loss.backward()
            monitor.step(loss)
    assert any("4 of 10 units" in text for text in reported)


def test_an_lstm_whose_units_do_not_change() -> None:
    layer = nn.LSTM(3, 10)
    with torch.no_grad():
        layer.bias_ih_l0[30:32] = -200.0  # the output gate of two units is closed
    assert monitored(Last(layer, 10), 15) == ["dead units: layer"]


@pytest.mark.parametrize(("make", "gate"), [(hf.LSTM, slice(8, 16)), (nn.GRU, slice(8, 16))])
def test_saturated_gates(make: Any, gate: slice) -> None:
    layer = make(3, 8)
    with torch.no_grad():
        layer.bias_ih_l0[gate] = 20.0  # the forget gate of an LSTM, the update gate of a GRU
    reported = monitored(Last(layer, 8), 15)
    assert "saturated gates: layer" in reported


def test_inputs_that_are_far_too_large_saturate() -> None:
    assert "saturated gates: layer" in monitored(Last(hf.LSTM(3, 8), 8), 15, scale=1e4)


def test_a_reverse_direction_whose_first_step_alone_is_used() -> None:
    reported: list[str] = []
    model = Last(nn.GRU(3, 8, bidirectional=True), 16)
    with TrainingMonitor(model, report=reported.append) as monitor:
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(12):
            loss = model(torch.randn(6, 8, 3)).sum()
            loss.backward()
            monitor.step(loss)
            optimizer.step()
    (text,) = reported
    assert "frozen weights (layer): weight_hh_l0_reverse never changed: no gradient reaches them" in text


def freeze(model: Last) -> dict[str, Any]:
    for parameter in model.layer.parameters():
        parameter.requires_grad_(False)
    return {}


def forget(model: Last) -> dict[str, Any]:
    return {"trained": list(model.head.parameters())}


def detach(model: Last) -> dict[str, Any]:
    model.layer.register_forward_hook(lambda module, given, out: (out[0].detach(), out[1]))
    return {}


@pytest.mark.parametrize(
    ("how", "why"),
    [(freeze, "requires_grad is False"), (forget, "no step changes them"), (detach, "no gradient reaches")],
)
def test_a_frozen_layer(
    how: Callable[[Last], dict[str, Any]], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reported: list[str] = []
    model = Last(hf.GRU(3, 8), 8)
    options = how(model)
    assert monitored(model, 15, **options) == ["frozen weights: layer"]
    trained = options.get("trained") or [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.01)
    with TrainingMonitor(model, report=reported.append) as monitor:
        for _ in range(12):
            loss = model(torch.randn(6, 8, 3)).sum()
            loss.backward()
            monitor.step(loss)
            optimizer.step()
    assert why in reported[0] and "weight_hh_l0" in reported[0] and "head" not in reported[0]


# -- state -----------------------------------------------------------------------------------------

State = Any
CARRIED: dict[str, Callable[[Any, int], Any]] = {
    "as it was": lambda h, k: h,
    "some begin anew": lambda h, k: h * (torch.arange(4) != k % 4)[:, None],
    "anew at an epoch's border": lambda h, k: None if k % 4 == 0 else h,
}
LOST: dict[str, tuple[Callable[[Any, int], Any], str]] = {
    "none": (lambda h, k: None, "no state at 3"),
    "zeros": (lambda h, k: torch.zeros_like(h), "zeros at 3 batch boundaries"),
    "in another order": (lambda h, k: h.flip(1), "a different state at 3"),
}


def streamed(carry: Callable[[Any, int], Any], carries: bool = True) -> list[str]:
    """Return the warnings while a layer reads batches and a function carries its state."""
    layer, head = nn.GRU(3, 8), nn.Linear(8, 1)
    model, reported = nn.ModuleList([layer, head]), list[str]()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    state: Any = None
    with TrainingMonitor(model, carries=carries, report=reported.append) as monitor:
        for k in range(30):
            state = None if state is None else carry(state, k)
            y, state = layer(torch.randn(5, 4, 3), state)
            state = state.detach()
            loss = head(y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            monitor.step(loss)
            optimizer.step()
    return reported


@pytest.mark.parametrize("how", CARRIED)
def test_a_carried_state_is_not_a_finding(how: str) -> None:
    assert streamed(CARRIED[how]) == []


@pytest.mark.parametrize("how", LOST)
def test_a_state_that_is_lost(how: str) -> None:
    carry, words = LOST[how]
    (text,) = streamed(carry)
    assert "lost state (module 0)" in text and words in text
    assert streamed(carry, carries=False) == []


# -- healthy runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Last(nn.LSTM(3, 16, num_layers=2, dropout=0.2), 16),
        lambda: Last(hf.LSTM(3, 16, init=chrono(500)), 16),
        lambda: Last(hf.GRU(3, 16, layer_norm=True, zoneout=0.1, weight_drop=0.2), 16),
        lambda: Last(hf.RNN(3, 16), 16),
    ],
)
def test_a_healthy_run_is_silent(make: Callable[[], Last]) -> None:
    assert monitored(make(), 120, rate=3e-3) == []


def test_packed_sequences_and_lengths_are_silent() -> None:
    layer, other = nn.LSTM(3, 8, bidirectional=True), hf.GRU(16, 8)
    model, reported = nn.ModuleList([layer, other]), list[str]()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with TrainingMonitor(model, report=reported.append) as monitor:
        for _ in range(40):
            lengths = torch.tensor([3, 9, 6, 1])
            packed = nn.utils.rnn.pack_padded_sequence(torch.randn(9, 4, 3), lengths, enforce_sorted=False)
            y, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0])
            loss = (other(y, lengths=lengths)[1] - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            monitor.step(loss)
            optimizer.step()
    assert reported == [] and monitor.checks == 5


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (hf.LSTM(3, 8, proj_size=4, batch_first=True), (4, 9, 3)),
        (hf.LSTM(3, 8, peephole=True, coupled=True, learn_initial_state=True), (9, 4, 3)),
        (hf.GRU(3, 8, num_layers=2, bidirectional=True, reset_after=False), (9, 4, 3)),
        (nn.GRU(3, 8, dtype=torch.float64), (9, 4, 3)),
        (nn.RNN(3, 8), (40, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_layer_and_form_is_seen(layer: Any, shape: tuple[int, ...]) -> None:
    reported: list[str] = []
    words = nn.Embedding(50, 3, sparse=True, dtype=layer.weight_ih_l0.dtype)
    model = nn.ModuleList([words, layer])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with TrainingMonitor(model, report=reported.append) as monitor:
        for _ in range(22):
            loss = layer(words(torch.randint(50, shape[:-1])))[0].square().mean()
            optimizer.zero_grad()
            loss.backward()
            monitor.step(loss)
            optimizer.step()
    assert reported == [] and monitor.checks == 4


# -- it changes nothing ----------------------------------------------------------------------------


def test_a_monitored_run_is_the_same_bit_for_bit() -> None:
    plain, seen = Sums(), Sums()
    training = replace(BASE, epochs=5)
    expected = fit(plain, training, progress=False)
    drawn = get_random_state()[0]["cpu"]
    with TrainingMonitor(seen.module, every=1, share=1.0) as monitor:
        history = fit(seen, training, progress=False, callback=monitor)
    assert monitor.checks >= 4 and rows(history) == rows(expected)
    assert_same(weights(seen), weights(plain))
    assert torch.equal(drawn, get_random_state()[0]["cpu"])


def test_hooks_exist_in_checked_steps_only_and_skip_validation() -> None:
    layer = nn.GRU(3, 8)
    monitor, open_after = TrainingMonitor(layer, report=lambda text: None), []
    for _ in range(12):
        loss = layer(torch.randn(5, 4, 3))[0].sum()
        loss.backward()
        monitor.step(loss)
        with torch.no_grad():
            layer(torch.full((9, 4, 3), math.nan))
        open_after.append(bool(layer._forward_hooks))
    # checks begin with the steps 1, 5 and 10 and take two steps
    assert [k for k, there in enumerate(open_after, 1) if there] == [1, 4, 5, 9, 10]
    monitor.close()
    assert not layer._forward_hooks
    assert {finding.kind for _, finding in monitor.warnings} == {"frozen weights"}  # no optimizer


def test_checks_keep_to_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("holdfast.insight.monitor.monitor.perf_counter", lambda: now[0])
    look = TrainingMonitor._check

    def slow(self: TrainingMonitor, seen: Any) -> None:
        now[0] += 1.0
        look(self, seen)

    monkeypatch.setattr(TrainingMonitor, "_check", slow)
    model = Last(nn.GRU(3, 4), 4)
    with TrainingMonitor(model, share=0.02) as monitor:
        for _ in range(1200):
            now[0] += 1.0
            model.zero_grad()
            loss = model(torch.zeros(1, 1, 3)).sum()
            loss.backward()
            monitor.step(loss)
    assert 16 <= monitor.spent <= 0.02 * now[0] + 2


def test_the_hook_keeps_the_longest_call_and_the_first_and_last_state() -> None:
    layer = hf.LSTM(3, 4)
    hooks = LayerHooks({"lstm": layer})
    hooks.open()
    _, first = layer(torch.randn(2, 5, 3))
    layer(torch.randn(7, 5, 3), first)
    _, last = layer(torch.randn(1, 5, 3), first)
    seen = hooks.take()["lstm"]
    assert len(seen.call.x) == 7 and seen.given is None
    assert torch.equal(seen.final[1], last[1].detach())
    assert hooks.take() == {}


# -- when a finding is reported --------------------------------------------------------------------


def finding(kind: str = "dead units", at_once: bool = False) -> Finding:
    return Finding(kind, "layer 1", 'found, "quoted"', "advice", at_once)


def test_a_finding_that_stays_is_reported_once_and_again_when_it_returns() -> None:
    reported: list[str] = []
    log, checks = WarningLog(reported.append, None), "ff.fffff..ff...ff.fff"
    #                                              ^ third in a row    ^ gone    ^ returns here
    when = []
    for number, letter in enumerate(checks):
        before = len(reported)
        log.add(number, [finding()] if letter == "f" else [])
        log.end_check()
        when += [number] * (len(reported) - before)
    assert when == [5, 20]


def test_a_certain_finding_is_reported_at_once() -> None:
    reported: list[str] = []
    WarningLog(reported.append, None).add(7, [finding(at_once=True), finding("lost state")])
    assert reported == ['warning: step 7, dead units (layer 1): found, "quoted" Try: advice']


def test_warnings_are_kept_except_those_of_repeated_steps(tmp_path: Path) -> None:
    path = tmp_path / "warnings.csv"
    first = WarningLog(lambda text: None, path)
    for number in (3, 9):
        first.add(number, [finding(f"kind {number}", at_once=True)])
    assert read_warnings(path) == first.rows
    rerun = WarningLog(lambda text: None, path)
    rerun.begin(9)
    rerun.add(9, [finding("another", at_once=True)])
    assert [(number, s.kind) for number, s in read_warnings(path)] == [(3, "kind 3"), (9, "another")]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step,kind,where,found,advice\nx,a,b,c,d\n"])
def test_a_file_that_holds_something_else_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "warnings.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="must contain warnings"):
        read_warnings(path)


# -- measurements ----------------------------------------------------------------------------------


def test_the_measurements_of_a_layer_equal_its_trace() -> None:
    layer = hf.LSTM(3, 6)
    x, lengths = 3 * torch.randn(9, 5, 3), torch.tensor([9, 4, 1, 7, 0])
    (one,) = measure_layers(LayerCall("", layer, x, None, lengths))
    traced = {name: v[0, 0].detach() for name, v in layer.trace(x, lengths=lengths).items()}
    there = [(t, b) for b, n in enumerate(lengths.tolist()) for t in range(n)]
    for name in ("input", "forget", "output"):
        s = torch.stack([traced[name][at] for at in there])
        assert one.gates[name].slope == pytest.approx(float((4 * s * (1 - s)).mean()), rel=1e-4)
        assert one.gates[name].saturated == pytest.approx(float(((s < 0.1) | (s > 0.9)).float().mean()))
    n = torch.stack([traced["candidate"][at] for at in there])
    assert one.gates["candidate"].slope == pytest.approx(float((1 - n**2).mean()), rel=1e-4)
    h = torch.stack([traced["hidden"][at] for at in there])
    assert one.ranges == pytest.approx((h.max(0).values - h.min(0).values).numpy(), rel=1e-4)
    assert (one.steps, one.values, one.gated) == (9, len(there), True)


@pytest.mark.parametrize(("factor", "steps"), [(0.5, 200), (0.9, 90), (0.5, 400)])
def test_a_gradients_reach_is_the_logarithm_of_a_thousandth(factor: float, steps: int) -> None:
    layer = hf.RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(factor * torch.eye(4))
        layer.weight_ih_l0.abs_()
        layer.bias_ih_l0.fill_(1.0), layer.bias_hh_l0.fill_(1.0)
    lengths = torch.tensor([steps, steps - 30, 40])
    (one,) = measure_layers(LayerCall("", layer, torch.rand(steps, 3, 2), None, lengths))
    followed = max(20, math.ceil(0.05 * steps))
    exact = math.ceil(math.log(1e-3) / math.log(factor))
    assert one.followed == followed and one.reach == min(exact, followed)
    assert one.left == pytest.approx(factor**followed)


def test_the_end_of_a_sequence_begins_with_the_state_it_has_there() -> None:
    layer = hf.LSTM(3, 6, learn_initial_state=True)
    with torch.no_grad():
        layer.initial_cell.fill_(2.0)
    for steps in (15, 60):  # the whole sequence is followed, or its last steps
        x = torch.randn(steps, 3, 3)
        (one,) = measure_layers(LayerCall("", layer, x, None, torch.full((3,), steps)))
        (flow,) = gradient_flows(layer, lambda x=x: layer(x))
        assert one.left == pytest.approx(flow.state[one.followed], rel=1e-3)


@pytest.mark.parametrize(
    ("gated", "steps", "reach", "first", "number", "reported"),
    [
        (False, 500, 24, 13, 40, True),
        (False, 500, 24, 13, 39, False),  # too early
        (False, 500, 25, 13, 400, False),  # 5% of the sequence
        (False, 49, 1, 1, 400, False),  # too short a sequence
        (True, 500, 14, 13, 199, False),  # gated layers take longer
        (True, 500, 14, 13, 200, True),
        (True, 500, 15, 13, 200, False),  # it reaches further than at the start
    ],
)
def test_when_a_gradient_vanishes(
    gated: bool, steps: int, reach: int, first: int, number: int, reported: bool
) -> None:
    one = LayerMeasurement("layer 1", gated, steps, {}, np.ones(4), 99, 25, 1e-5, reach)
    found = list(layer_findings(one, first, number))
    assert [finding.kind for finding in found] == ["vanishing gradient"] * reported
    assert all(f"left {reach} time steps back, in sequences of {steps}" in finding.found for finding in found)
