"""Gates, feature units, attribution and ablation against cases by hand; any torch model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence

import holdfast as hf
from holdfast.errors import UserError
from holdfast.insight import InspectionRequest, Loss, Score, Steps, analyze, inspect, write
from holdfast.insight.analysis import summary
from holdfast.insight.analysis.ablation import ablate, hold_gate, silence
from holdfast.insight.analysis.attribution import agree, attribute, ranks_agree
from holdfast.insight.analysis.call_chains import capture_chains
from holdfast.insight.analysis.default_target import largest_last_output
from holdfast.insight.analysis.gates import gate_names, half_lives, slowness
from holdfast.insight.analysis.layer_capture import capture_calls
from holdfast.insight.analysis.rerun import Rerun
from holdfast.insight.analysis.results import Inspection, LayerTrace
from holdfast.insight.analysis.summary import sentences
from holdfast.insight.render import captions
from holdfast.nn.cells import CELLS, Recurrence, Weights

# -- gates -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(0.05, 0.999))
def test_the_half_life_of_a_constant_gate(keep: float) -> None:
    steps = int(12 / -np.log2(keep)) + 12
    (found,) = half_lives({"update": np.full((steps, 1), keep)})  # type: ignore[misc]
    assert found == pytest.approx(-1 / np.log2(keep), rel=1e-6)


def test_a_gate_that_closes_now_and_then_keeps_in_between() -> None:
    values = np.tile(np.r_[np.ones(19), 1e-6], 5)[:, None]
    assert half_lives({"forget": values})[0] == pytest.approx(10.5, abs=1)  # type: ignore[index]
    assert np.isinf(half_lives({"forget": np.ones((9, 1))})[0])  # type: ignore[index]
    assert half_lives({"hidden": values}) is None


def test_half_lives_follow_the_order_in_which_a_layer_runs() -> None:
    module = nn.GRU(1, 1, bidirectional=True)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for name in ("weight_ih_l0", "weight_ih_l0_reverse"):
            getattr(module, name)[1] = (
                1.0  # the update gate is sigmoid(x): closed in the first steps, then open
            )
    x = torch.full((40, 1, 1), 7.0)
    x[:10] = -9.0
    forward, reverse = inspect(module)(x).layers
    assert forward.half_lives is not None and reverse.half_lives is not None
    assert np.isinf(forward.half_lives[0]) and 5 < reverse.half_lives[0] < 15


def test_zoneout_keeps_as_well() -> None:
    gate = np.full((400, 1), 0.5)
    assert half_lives({"update": gate}, 0.8)[0] == pytest.approx(np.log(0.5) / np.log(0.9))  # type: ignore[index]


def test_saturation_counts_the_steps() -> None:
    gate = np.array([[0.05, 0.95], [0.5, 0.95], [0.05, 0.91], [0.2, 0.1]])
    layer = LayerTrace("layer 1", "lstm", {"input": gate}, ("input",), None, np.arange(2))
    left, right = layer.saturation("input")
    assert left.tolist() == [0.5, 0.0] and right.tolist() == [0.0, 0.75]


@pytest.mark.parametrize("cell", CELLS)
def test_gates_are_between_0_and_1_and_the_candidate_is_not_a_gate(cell: str) -> None:
    names = gate_names(cell)
    assert "candidate" not in names and set(names) <= set(CELLS[cell].activations)


def test_slow_units_come_last() -> None:
    t = np.arange(200.0)
    found = slowness(np.stack([np.sin(t), np.sin(t / 20), np.zeros(200)], 1))
    assert found[1] > found[0] and found[2] == 0


# -- attribution -----------------------------------------------------------------------------------


def test_a_linear_network_is_attributed_exactly() -> None:
    module = nn.RNN(2, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.tensor([[1.0, 2.0]]))
        module.weight_hh_l0.fill_(0.5)
    x = torch.rand(12, 1, 2) + 0.5
    request = InspectionRequest("a", module, lambda: module(x), Steps(["x"] * 12))
    found = attribute(request, Score("sum", lambda answer: answer[0][-1, 0, 0]))
    centered = (x - x.mean(0))[:, 0].numpy() @ np.array([1.0, 2.0])
    expected = centered * 0.5 ** np.arange(11, -1, -1)
    np.testing.assert_allclose(found.integrated, expected, atol=1e-5)
    np.testing.assert_allclose(found.occlusion, expected, atol=1e-5)
    assert found.agreement == pytest.approx(1.0) and found.incomplete < 1e-3


def test_a_sequence_shorter_than_its_batch_is_attributed_as_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = hf.LSTM(3, 8, batch_first=True), torch.randn(3, 20, 3)
    found = inspect(model)(x, lengths=torch.tensor([12, 20, 7]))
    alone = inspect(model)(x[:1, :12])
    assert found.attribution is not None and alone.attribution is not None
    np.testing.assert_allclose(found.attribution.integrated, alone.attribution.integrated, atol=1e-6)
    np.testing.assert_allclose(found.attribution.occlusion, alone.attribution.occlusion, atol=1e-6)
    assert write(found, tmp_path).stat().st_size > 1000


def test_components_keep_their_layer_if_another_is_left_out() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = weight_norm(nn.LSTM(2, 3), "weight_hh_l0"), nn.LSTM(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.b(self.a(x)[0])[0]
            return y

    found = inspect(Two())(torch.randn(20, 1, 2), loss=lambda: 1.0)
    assert found.ablation is not None and found.ablation.components
    assert {found.layers[cut.layer].name for cut in found.ablation.components} == {"b"}


def test_a_score_that_fails_is_a_note() -> None:
    found = inspect(nn.GRU(2, 3))(torch.randn(9, 1, 2), score=lambda answer: answer.nothing)
    assert found.attribution is None and any("score= must turn" in note for note in found.notes)


def test_features_and_rows_have_a_value_for_each_step() -> None:
    with pytest.raises(UserError, match="3 labels, and a has the shape"):
        Steps(list("abc"), features={"a": np.zeros(4)})
    with pytest.raises(UserError, match="rows has the shape"):
        Steps(list("abc"), rows=np.zeros((2, 4)))


def test_an_ambiguous_output_for_each_step_needs_a_score() -> None:
    class Scalar(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(2, 1, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.layer(x)[0].squeeze(-1)
            return y

    found = inspect(Scalar())(torch.randn(1, 40, 2))
    assert found.attribution is None and any("Give score=" in note for note in found.notes)


def test_a_head_with_dropout_is_attributed_as_in_evaluation() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.GRU(2, 8), "head": nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 1))})
    x = torch.randn(20, 1, 2)

    def attributed_when(training: bool) -> Any:
        model.train(training)
        request = InspectionRequest(
            "a",
            model,
            lambda: model["rnn"](x)[0],
            Steps([""] * 20),
            Score("s", lambda y: model["head"](y[-1, 0])[0]),
        )
        found = analyze(request)
        assert model["head"].training == training
        return found.attribution

    trained, evaluated = attributed_when(True), attributed_when(False)
    np.testing.assert_array_equal(trained.integrated, evaluated.integrated)
    assert evaluated.incomplete < 0.01


def test_computed_weights_are_left_out_of_the_ablation_with_a_note() -> None:
    model = weight_norm(nn.LSTM(2, 3), "weight_hh_l0")
    found = inspect(model)(torch.randn(20, 1, 2), loss=lambda: 1.0)
    assert found.ablation is not None and not found.ablation.components
    assert any("weight norm" in note for note in found.notes)


def decaying_sum() -> tuple[nn.RNN, InspectionRequest]:
    """A network that sums its input and halves the sum at each step, on 8 zeros and 4 ones."""
    module = nn.RNN(1, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        module.weight_ih_l0.fill_(1.0)
        module.weight_hh_l0.fill_(0.5)
    x = torch.cat([torch.zeros(8, 1, 1), torch.ones(4, 1, 1)])
    return module, InspectionRequest("sum", module, lambda: module(x), Steps(["x"] * 12))


def test_occlusion_of_a_saturated_output_is_not_compared() -> None:
    _, request = decaying_sum()  # 1.875; mean input 0.67; one step hidden at least 1.2
    sure = Score("log-probability", lambda answer: functional.logsigmoid(100 * (answer[0][-1, 0, 0] - 0.95)))
    found = attribute(request, sure)
    assert np.isnan(found.agreement) and found.incomplete < 0.05 and np.abs(found.occlusion).max() < 1e-6
    whole = Inspection("title", request.steps, [], attribution=found)
    (words,) = summary.sentences(whole)
    assert "No single time step influences the prediction" in words and "rank correlation" not in words
    assert "gradients): step x (0 back), step x (1 back)" in words and "nan" not in words
    (words,) = summary.sentences(replace(whole, attribution=replace(found, incomplete=0.2)))
    assert "Neither attribution method" in words and "most" not in words
    assert "not comparable" in captions.correlation(found.agreement)


def test_a_kink_takes_more_points_or_uses_occlusion() -> None:
    _, request = decaying_sum()
    found = [
        attribute(request, Score("s", lambda a, k=k: torch.sigmoid(k * (a[0][-1, 0, 0] - 1.7))))
        for k in (600, 2000)
    ]
    assert found[0].incomplete < 0.01  # with 128 points 0.18
    assert found[1].incomplete == pytest.approx(0.252, abs=0.02)
    (words,) = summary.sentences(Inspection("title", request.steps, [], attribution=found[1]))
    assert "(occlusion)" in words and "too much to rely on them" in words


def test_rank_agreement() -> None:
    a = np.array([3.0, 1.0, 2.0, 2.0])
    assert ranks_agree(a, 10 * a + 1) == 1.0 and ranks_agree(a, -a) == -1.0
    assert ranks_agree(a, np.ones(4)) == 0.0
    groups = np.array([0, 0, 1, 2])
    hidden = np.array([2.0, 2.0, 5.0, 0.001])
    assert agree(np.array([1.0, 1.0, 5.0, 0.0]), hidden, groups) == 1.0


# -- ablation --------------------------------------------------------------------------------------


def reference(module: Any, x: Tensor, fixed: dict[str, float]) -> Tensor:
    """An LSTM of torch.nn step by step, with some gates fixed."""
    weights = Weights(module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, module.bias_hh_l0)
    recur, h, c, outputs = Recurrence(CELLS["lstm"], weights), *torch.zeros(2, x.size(1), 4), []
    for at in weights.project(x):
        i, f, g, o = (at + recur(h)).chunk(4, -1)
        gates = {"input": torch.sigmoid(i), "forget": torch.sigmoid(f), "output": torch.sigmoid(o)}
        gates |= {name: torch.full_like(i, value) for name, value in fixed.items()}
        c = gates["forget"] * c + gates["input"] * torch.tanh(g)
        h = gates["output"] * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize("gate", ["input", "forget", "output"])
@pytest.mark.parametrize("kind", [nn.LSTM, hf.LSTM])
def test_a_gate_that_is_held_has_the_same_value_at_every_step(kind: Any, gate: str) -> None:
    torch.manual_seed(0)
    module, x = kind(3, 4), torch.randn(8, 2, 3)
    before = {n: p.clone() for n, p in module.named_parameters()}
    for value in (0.3, 1.0):
        pre = torch.full((4,), float(torch.logit(torch.tensor(min(value, 1 - 1e-12)), eps=1e-13)))
        with torch.no_grad(), hold_gate(module, 0, gate, pre):
            torch.testing.assert_close(module(x)[0], reference(module, x, {gate: value}))
    assert all(torch.equal(p, before[n]) for n, p in module.named_parameters())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, hf.GRU])
def test_a_silenced_unit_equals_one_without_outgoing_weights(kind: Any) -> None:
    torch.manual_seed(0)
    module, x = kind(3, 4, 2, bidirectional=True), torch.randn(8, 2, 3)
    twin = kind(3, 4, 2, bidirectional=True)
    twin.load_state_dict(module.state_dict())
    with torch.no_grad():
        twin.weight_hh_l0_reverse[:, 2] = 0.0
        twin.weight_ih_l1[:, 4 + 2] = 0.0
        twin.weight_ih_l1_reverse[:, 4 + 2] = 0.0
        with silence(module, 1, slice(2, 3)):
            torch.testing.assert_close(module(x)[0], twin(x)[0])
        with silence(module, 2, slice(None)):
            y, state = module(x)
        assert not y[..., :4].any() and y[..., 4:].any()
        h = state[0] if isinstance(state, tuple) else state
        assert not h[2].any() and h[3].any()


def test_silence_reaches_packed_outputs() -> None:
    module = nn.GRU(2, 3)
    packed = pack_padded_sequence(torch.randn(4, 2, 2), torch.tensor([4, 2]))
    with silence(module, 0, slice(None)):
        assert not module(packed)[0].data.any()


def test_the_ablation_covers_every_gate_layer_and_some_units() -> None:
    torch.manual_seed(0)
    module, x = nn.LSTM(3, 4, 2), torch.randn(9, 2, 3)
    found = ablate(
        module,
        capture_calls(module, lambda: module(x)),
        Loss("squares", lambda: float(module(x)[0].square().sum())),
    )
    kinds = [cut.kind for cut in found.components]
    assert kinds.count("gate") == 2 * (3 * 2 + 1) and kinds.count("layer") == 2 and kinds.count("unit") == 8
    with torch.no_grad():
        assert found.loss == pytest.approx(float(module(x)[0].square().sum()))
    assert next(cut.loss for cut in found.components if cut.kind == "layer" and cut.layer == 1) == 0.0
    without = ablate(nn.GRU(3, 4, bias=False), [], Loss("none", lambda: 1.0))
    assert without.components == [] and without.loss == 1.0


def test_a_sequence_of_one_step_can_be_ablated() -> None:
    module, x = nn.GRU(3, 4), torch.randn(1, 1, 3)
    found = ablate(
        module, capture_calls(module, lambda: module(x)), Loss("sum", lambda: float(module(x)[0].sum()))
    )
    units = [cut.name for cut in found.components if cut.kind == "unit"]
    assert sorted(units) == [f"unit {k}" for k in range(4)]


# -- any torch model -------------------------------------------------------------------------------


class Tagger(nn.Module):
    """A model without Holdfast's layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True, dropout=0.3)
        self.output = nn.Linear(16, 5)

    def forward(self, units: Tensor) -> Tensor:
        result: Tensor = self.output(self.rnn(self.embedding(units))[0])
        return result


def test_a_plain_torch_model_is_inspected_with_one_call() -> None:
    torch.manual_seed(0)
    model = Tagger()
    units = torch.randint(20, (3, 60))
    before = {n: p.clone() for n, p in model.named_parameters()}
    found = inspect(model)(
        units, steps=[str(int(u)) for u in units[0]], loss=lambda: model(units).square().mean()
    )
    assert [layer.name for layer in found.layers] == [
        f"rnn, layer {k}, {way}" for k in (1, 2) for way in ("forward", "reverse")
    ]
    assert all(layer.activations["forget"].shape == (60, 8) for layer in found.layers)
    assert found.memory and found.attribution and found.ablation and len(found.gradients) == 4
    assert model.training and all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert any("first sequence" in note for note in found.notes) and found.summary


def test_a_failed_measurement_is_a_note_and_the_rest_is_reported() -> None:
    model = nn.GRU(2, 3)

    @torch.no_grad()
    def run() -> Any:
        return model(torch.randn(30, 1, 2))

    found = analyze(InspectionRequest("without gradients", model, run, Steps([""] * 30)))
    assert found.memory is None and found.layers and found.gradients
    notes = " ".join(found.notes)
    assert "memory could not be measured" in notes and "needs score=" in notes


def test_mistakes_raise_user_errors() -> None:
    with pytest.raises(UserError, match=r"insight\.inspect must be given a torch\.nn\.Module"):
        inspect("model")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Give a label for each step"):
        inspect(nn.GRU(2, 3))(torch.randn(5, 1, 2), steps=["a", "b"])
    with pytest.raises(UserError, match="as a submodule"):
        inspect(nn.Linear(2, 3))(torch.randn(5, 2))


def test_inputs_are_shown_and_may_be_tracked() -> None:
    torch.manual_seed(0)
    model = nn.GRU(2, 16)
    x = torch.randn(200, 1, 2).cumsum(0) / 10
    found = inspect(model)(x)
    assert found.steps.rows is not None and found.steps.rows.shape == (2, 200)
    assert {one.feature for one in found.feature_units} <= {"input 0", "input 1"} and found.feature_units


# -- unusual models --------------------------------------------------------------------------------


class Odd(nn.Module):
    """A model with the given forward."""

    def __init__(self, forward: Any, **modules: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *given: Any, **named: Any) -> Any:
        return self.run(self, *given, **named)


def stepped(model: Any, x: Tensor) -> Tensor:
    state, found = None, []
    for at in x.split(1):
        y, state = model.layer(at, state)
        found.append(y)
    return torch.cat(found)


def notes_of(found: Any) -> str:
    return " ".join(found.notes)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_model_without_gradients_is_shown_with_the_reasons(mode: Any) -> None:
    found = inspect(Odd(mode()(lambda m, x: m.layer(x)[0]), layer=nn.LSTM(2, 3)))(torch.randn(6, 1, 2))
    assert found.layers and found.memory is None and found.attribution is None
    assert "The run must give gradients" in notes_of(found)


def test_a_layer_called_again_with_another_input_is_reported() -> None:
    torch.manual_seed(0)
    model = Odd(lambda m, a, b: m.layer(a)[0][-1] * m.layer(b)[0][-1], layer=nn.LSTM(2, 3))
    a, b = torch.randn(2, 6, 1, 2)
    found, alone = inspect(model)(a, b), inspect(model.layer)(a)
    assert "layer was called 2 times; the first call, of" in notes_of(found)
    np.testing.assert_allclose(found.memory.jacobian, alone.memory.jacobian, rtol=1e-4)


def test_a_parallel_layer_is_not_part_of_the_first_stack() -> None:
    torch.manual_seed(0)
    layers = {"a": nn.GRU(2, 3), "b": nn.GRU(2, 3), "c": nn.GRU(3, 3)}
    x = torch.randn(6, 1, 2)
    found = inspect(Odd(lambda m, x: m.a(x)[0] + m.b(x)[0], **layers))(x)
    assert found.memory.agreement < 0.01
    model = Odd(lambda m, x: (m.c(m.a(x)[0])[0], m.b(x)[0]), **layers)
    rerun = Rerun(model, lambda: model(x))
    assert [rerun.calls[k].name for k in rerun.stack] == ["a", "c"]


def test_an_encoder_with_a_shorter_decoder_and_one_in_int8() -> None:
    model = Odd(lambda m, x: m.d(x[:4], m.e(x)[1])[0], e=nn.LSTM(2, 3), d=nn.LSTM(2, 3))
    assert inspect(model)(torch.randn(6, 1, 2)).attribution is not None
    found = inspect(hf.quantize(hf.LSTM(2, 3)))(torch.randn(6, 1, 2))
    assert found.layers and found.memory is None and "forward only" in notes_of(found)


@pytest.mark.parametrize("steps_given", [stepped, lambda m, x: m.layer(x)[0]], ids=["loop", "whole"])
def test_a_layer_that_is_called_step_by_step_is_one_sequence(steps_given: Any) -> None:
    torch.manual_seed(0)
    layer, x = nn.LSTM(2, 5), torch.randn(12, 2, 2)
    found, whole = inspect(Odd(steps_given, layer=layer))(x), inspect(layer)(x)
    for name, values in whole.layers[0].activations.items():
        np.testing.assert_allclose(found.layers[0].activations[name], values, atol=1e-6)
    np.testing.assert_allclose(found.memory.jacobian, whole.memory.jacobian, rtol=1e-3)
    np.testing.assert_allclose(found.attribution.integrated, whole.attribution.integrated, atol=1e-4)
    np.testing.assert_allclose(found.gradients[0].state, whole.gradients[0].state, rtol=1e-4)
    assert ("12 times" in notes_of(found)) == (steps_given is stepped)


def test_the_last_step_is_found_in_any_form() -> None:
    def after(module: Any, x: Any) -> float:
        first = capture_chains(module, lambda: module(x))[0]
        return largest_last_output(first)(module(x)).item()

    torch.manual_seed(0)
    layer, x = nn.GRU(2, 3), torch.randn(5, 5, 2)
    assert after(layer, x[:, 0]) == pytest.approx(layer(x[:, 0])[0][-1].max().item())
    assert after(layer, x) == pytest.approx(layer(x)[0][-1, 0].max().item())
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 1, 3, 4]), enforce_sorted=False)
    assert after(layer, packed) == pytest.approx(layer(x[:2, :1])[0][-1, 0].max().item())


def test_half_precision_is_measured_in_float32() -> None:
    torch.manual_seed(0)
    found = inspect(nn.LSTM(2, 5).bfloat16())(torch.randn(12, 2, 2).bfloat16())
    assert found.memory.agreement < 0.01 and "copy in float32" in notes_of(found)


def test_kinks_are_not_reported_as_agreement() -> None:
    torch.manual_seed(0)
    found = inspect(nn.GRU(2, 3))(torch.randn(9, 1, 2))
    worse = replace(found, memory=replace(found.memory, agreement=0.187))
    assert "agree within" in " ".join(sentences(found))
    assert "differ by up to 18.7%: read these numbers with caution" in " ".join(sentences(worse))


def test_keyword_arguments_are_passed_to_the_model() -> None:
    found = inspect(hf.LSTM(2, 3))(torch.randn(9, 2, 2), lengths=torch.tensor([4, 9]))
    assert len(found.steps) == 4


def test_the_memory_of_the_reverse_direction_is_reported() -> None:
    notes = notes_of(inspect(nn.GRU(2, 3, bidirectional=True))(torch.randn(9, 1, 2)))
    assert "has read that step only" in notes


def test_empty_and_infinite_inputs_are_refused() -> None:
    layer, x = nn.LSTM(2, 3), torch.randn(9, 2, 2)
    with pytest.raises(UserError, match="0 sequences"):
        inspect(layer)(x[:, :0])
    x[4, 1, 0] = torch.nan
    with pytest.raises(UserError, match="input is not at step 4 of sequence 1"):
        inspect(layer)(x)
    rising = nn.RNN(1, 1, nonlinearity="relu", bias=False)
    nn.init.constant_(rising.weight_hh_l0, 1e30)
    nn.init.ones_(rising.weight_ih_l0)
    with pytest.raises(UserError, match="hidden is not at step 2"):
        inspect(rising)(torch.ones(6, 1, 1))
