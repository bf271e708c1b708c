"""The layers as drop-in for torch.nn, and their lengths, traces, plans and transforms."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from holdfast.nn import layers
from holdfast.nn.kernels.native import available
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.recurrent import Recurrent
from layer_outputs import assert_same, tensors

# torch itself warns once
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

INPUT, H, T, B = 3, 5, 6, 4
RAGGED = [6, 1, 0, 4]
LAYERS: list[Any] = [RNN, GRU, LSTM]


# -- drop-in ---------------------------------------------------------------------------------------


def packed(features: int = INPUT, dtype: torch.dtype = torch.float32) -> PackedSequence:
    return pack_padded_sequence(torch.zeros(T, B, features, dtype=dtype), [6, 4, 3, 1])


X, H0 = torch.zeros(T, B, INPUT), torch.zeros(1, B, H)
WRONG: dict[str, Callable[[Any], Any]] = {
    "features": lambda home: home.GRU(INPUT, H)(torch.zeros(T, B, 9)),
    "one dimension": lambda home: home.GRU(INPUT, H)(torch.zeros(INPUT)),
    "four dimensions": lambda home: home.LSTM(INPUT, H)(torch.zeros(1, T, B, INPUT)),
    "no steps": lambda home: home.GRU(INPUT, H)(torch.zeros(0, B, INPUT)),
    "float64": lambda home: home.GRU(INPUT, H)(X.double()),
    "integers": lambda home: home.LSTM(INPUT, H)(X.long()),
    "another device": lambda home: home.GRU(INPUT, H)(X.to("meta")),
    "no input": lambda home: home.GRU(INPUT, H)(),
    "unknown argument": lambda home: home.GRU(INPUT, H)(X, h0=H0),
    "batch of state": lambda home: home.GRU(INPUT, H)(X, torch.zeros(1, B + 1, H)),
    "width of state": lambda home: home.GRU(INPUT, H)(X, torch.zeros(1, B, H + 1)),
    "layers of state": lambda home: home.RNN(INPUT, H)(X, torch.zeros(2, B, H)),
    "dimensions of state": lambda home: home.GRU(INPUT, H)(X, torch.zeros(B, H)),
    "state of an unbatched input": lambda home: home.GRU(INPUT, H)(X[:, 0], H0[:, :1]),
    "rows of an unbatched state": lambda home: home.GRU(INPUT, H)(X[:, 0], torch.zeros(2, H)),
    "dtype of state": lambda home: home.GRU(INPUT, H)(X, H0.double()),
    "a tuple for a GRU": lambda home: home.GRU(INPUT, H)(X, (H0,)),
    "three states": lambda home: home.LSTM(INPUT, H)(X, (H0, H0, H0)),
    "cell of a projected LSTM": lambda home: home.LSTM(INPUT, H, proj_size=2)(X, (H0[..., :2], H0[..., :2])),
    "packed features": lambda home: home.GRU(INPUT, H)(packed(9)),
    "packed dtype": lambda home: home.GRU(INPUT, H)(packed(dtype=torch.float64)),
    "state of a packed input": lambda home: home.GRU(INPUT, H)(packed(), torch.zeros(1, B + 1, H)),
    "hidden_size 0": lambda home: home.GRU(INPUT, 0),
    "hidden_size float": lambda home: home.LSTM(INPUT, 5.0),
    "input_size 0": lambda home: home.RNN(0, H),
    "input_size float": lambda home: home.GRU(3.0, H),
    "num_layers 0": lambda home: home.GRU(INPUT, H, 0),
    "num_layers float": lambda home: home.GRU(INPUT, H, 1.5),
    "dropout 1.5": lambda home: home.GRU(INPUT, H, 2, dropout=1.5),
    "dropout True": lambda home: home.GRU(INPUT, H, 2, dropout=True),
    "dropout text": lambda home: home.GRU(INPUT, H, 2, dropout="a"),
    "batch_first text": lambda home: home.GRU(INPUT, H, batch_first="yes"),
    "bias number": lambda home: home.GRU(INPUT, H, bias=1),
    "proj_size of a GRU": lambda home: home.GRU(INPUT, H, proj_size=2),
    "proj_size of an RNN": lambda home: home.RNN(INPUT, H, proj_size=2),
    "proj_size too large": lambda home: home.LSTM(INPUT, H, proj_size=H),
    "proj_size negative": lambda home: home.LSTM(INPUT, H, proj_size=-1),
    "unknown nonlinearity": lambda home: home.RNN(INPUT, H, nonlinearity="sigmoid"),
    "nonlinearity of a GRU": lambda home: home.GRU(INPUT, H, nonlinearity="tanh"),
    "unknown option": lambda home: home.GRU(INPUT, H, foo=1),
    "missing size": lambda home: home.GRU(INPUT),
    "integer weights": lambda home: home.GRU(INPUT, H, dtype=torch.int64),
    "missing weights": lambda home: home.GRU(INPUT, H).load_state_dict({}),
    "weights of another size": lambda home: home.GRU(INPUT, H).load_state_dict(
        home.GRU(INPUT, 9).state_dict()
    ),
}


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_raises_what_torch_raises(call: str) -> None:
    with pytest.raises(Exception) as theirs:
        WRONG[call](nn)
    with pytest.raises(theirs.type):
        WRONG[call](layers)


@pytest.mark.parametrize("kernel", ["auto", "aten", "reference"])
def test_an_lstm_names_the_states_it_needs(kernel: str) -> None:
    with pytest.raises(RuntimeError, match=r"hx must hold 2 tensor\(s\) of state, but got 1"):
        LSTM(INPUT, H, kernel=kernel)(X, H0)


ARGUMENTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("RNN", (INPUT, H, 2, "relu", True, True, 0.1, True), {}),
    ("RNN", (INPUT, H), {}),
    ("GRU", (INPUT, H, 2, False, True, 0.1, True), {}),
    ("LSTM", (INPUT, H, 2, True, True, 0.1, True, 2), {}),
    ("LSTM", (), {"input_size": INPUT, "hidden_size": H, "dtype": torch.float64, "device": "cpu"}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), ARGUMENTS)
def test_arguments_attributes_and_state_dict_are_those_of_torch(name: str, args: Any, kwargs: Any) -> None:
    theirs, ours = getattr(nn, name)(*args, **kwargs), getattr(layers, name)(*args, **kwargs)
    shapes = {key: (value.shape, value.dtype) for key, value in theirs.state_dict().items()}
    assert {key: (value.shape, value.dtype) for key, value in ours.state_dict().items()} == shapes
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    names = "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size mode"
    for attribute in names.split():
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert [[w.shape for w in ws] for ws in ours.all_weights] == [
        [w.shape for w in ws] for ws in theirs.all_weights
    ]
    theirs.eval(), ours.eval()
    x = torch.randn(B, T, INPUT, dtype=ours.weight_ih_l0.dtype)
    assert_same(ours(x), theirs(x))


def test_the_repr_of_a_layer() -> None:
    """torch's text for torch's arguments, then our options."""
    for args, kwargs in [((3, 5), {}), ((3, 5, 2), {"bias": False, "dropout": 0.1, "bidirectional": True})]:
        assert str(GRU(*args, **kwargs)) == str(nn.GRU(*args, **kwargs))
    assert str(LSTM(3, 5, proj_size=2, layer_norm=True)) == "LSTM(3, 5, proj_size=2, layer_norm=True)"
    assert str(GRU(3, 5, reset_after=False)) == "GRU(3, 5, cell=gru_reset_before)"

    class Own(LSTM):
        pass

    assert Own(3, 5, peephole=True).mode == "LSTM"


def test_dropout_of_a_single_layer_warns() -> None:
    with pytest.warns(UserWarning, match="dropout"):
        nn.GRU(INPUT, H, dropout=0.5)
    with pytest.warns(UserWarning, match="dropout acts between layers") as warned:
        GRU(INPUT, H, dropout=0.5)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("layer", LAYERS)
def test_dropout_acts_between_layers_in_training_only(layer: Any) -> None:
    made, x = layer(INPUT, H, 2, dropout=1.0), torch.randn(T, B, INPUT)
    assert_same(made.eval()(x), made(x), tolerance=0.0)
    first, second = made.train()(x)[0], made(2 * x)[0]
    torch.testing.assert_close(first, second, rtol=0, atol=0)  # nothing of the first layer passes
    assert not torch.equal(made.eval()(x)[0], first)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_copied_pickled_and_saved(layer: Any) -> None:
    made = layer(INPUT, H, 2, bidirectional=True, dropout=0.1, layer_norm=True, zoneout=0.1).eval()
    x, file = torch.randn(T, B, INPUT), io.BytesIO()
    torch.save(made, file)
    file.seek(0)
    for other in (
        copy.deepcopy(made),
        pickle.loads(pickle.dumps(made)),
        torch.load(file, weights_only=False),
    ):
        assert_same(other(x), made(x), tolerance=0.0)
        assert str(other) == str(made) and other.weight_hh_l0 is not made.weight_hh_l0
    assert made.flatten_parameters() is None
    made.share_memory()


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_work_in_evaluation_mode_and_not_under_no_grad(layer: Any) -> None:
    made, x = layer(INPUT, H).eval(), torch.randn(T, B, INPUT, requires_grad=True)
    made(x)[0].sum().backward()
    assert x.grad is not None and x.grad.any()
    with torch.no_grad():
        assert not made(x)[0].requires_grad
    with torch.inference_mode():
        assert made(x)[0].shape == (T, B, H)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layer", LAYERS)
def test_small_floats_run(layer: Any, dtype: torch.dtype) -> None:
    made, x = layer(INPUT, H), torch.randn(T, B, INPUT)
    expected = made(x)[0]
    got = made.to(dtype)(x.to(dtype))[0]
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("layer", LAYERS)
def test_autocast_computes_about_the_same(layer: Any) -> None:
    made, x = layer(INPUT, H, 2, bidirectional=True), torch.randn(T, B, INPUT)
    expected = made(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = made(x, lengths=[T] * B)[0]
        got.float().sum().backward()
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("layer", LAYERS)
def test_an_empty_batch_is_a_batch(layer: Any) -> None:
    outputs, *states = tensors(layer(INPUT, H, 2, bidirectional=True)(torch.zeros(T, 0, INPUT)))
    assert outputs.shape == (T, 0, 2 * H) and all(s.shape == (4, 0, H) for s in states)


# -- lengths ---------------------------------------------------------------------------------------


@given(
    lengths=st.lists(st.integers(0, T), min_size=1, max_size=5),
    layer=st.sampled_from(LAYERS),
    num_layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    with_state=st.booleans(),
)
def test_a_ragged_batch_equals_torchs_packed_sequence(
    lengths: list[int], layer: Any, num_layers: int, bidirectional: bool, batch_first: bool, with_state: bool
) -> None:
    """Compare each sequence with torch.nn; an empty one gives zeros and its initial state."""
    torch.manual_seed(len(lengths))
    arguments: dict[str, Any] = {
        "num_layers": num_layers,
        "bidirectional": bidirectional,
        "batch_first": batch_first,
    }
    theirs, ours = getattr(nn, layer.__name__)(INPUT, H, **arguments), layer(INPUT, H, **arguments)
    ours.load_state_dict(theirs.state_dict())
    rows, batch = num_layers * (1 + bidirectional), len(lengths)
    x = torch.randn(batch, T, INPUT)
    pair = (
        (torch.randn(rows, batch, H), torch.randn(rows, batch, H))
        if with_state
        else (torch.zeros(rows, batch, H),) * 2
    )
    hx = pair if layer is LSTM else pair[0]
    got = tensors(ours(x if batch_first else x.transpose(0, 1), hx, lengths=lengths))
    outputs = got[0] if batch_first else got[0].transpose(0, 1)
    for b, length in enumerate(lengths):
        assert not outputs[b, length:].any()
        own = tuple(s[:, b] for s in pair)
        expected = [x.new_zeros(0, H * (1 + bidirectional)), *own[: len(got) - 1]]
        if length:
            expected = tensors(theirs(x[b, :length], own if layer is LSTM else own[0]))
        for g, e in zip([outputs[b, :length], *(s[:, b] for s in got[1:])], expected, strict=True):
            torch.testing.assert_close(g, e, rtol=0, atol=1e-6)


LENGTHS: list[Any] = [
    RAGGED,
    tuple(RAGGED),
    np.array(RAGGED),
    np.array(RAGGED, dtype=np.uint16),
    torch.tensor(RAGGED, dtype=torch.int32),
    torch.tensor(RAGGED, dtype=torch.uint8),
    torch.tensor(RAGGED * 2)[:4],
    [torch.tensor(n) for n in RAGGED],
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=lambda lengths: f"{type(lengths).__name__}")
def test_lengths_can_be_integers_of_any_kind(lengths: Any) -> None:
    layer, x = GRU(INPUT, H, bidirectional=True), torch.randn(T, B, INPUT)
    assert_same(layer(x, lengths=lengths), layer(x, None, torch.tensor(RAGGED)), tolerance=0.0)


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([7, 1, 1, 1], ValueError, r"0\.\.6 \(the number of steps\), but got 1\.\.7"),
        ([-1, 2, 2, 2], ValueError, "got -1"),
        ([1, 2], ValueError, r"each of 4 sequences, but got \[2\]"),
        (3, ValueError, "each of 4 sequences"),
        ([[1, 2, 3, 4]], ValueError, "each of 4 sequences"),
        ([1.0, 2.0, 3.0, 4.0], TypeError, "must be integers"),
        ([True, True, False, True], TypeError, "must be integers"),
    ],
)
def test_wrong_lengths_are_refused(lengths: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GRU(INPUT, H)(X, lengths=lengths)


def test_a_packed_sequence_takes_no_lengths() -> None:
    with pytest.raises(ValueError, match="has its own lengths"):
        GRU(INPUT, H)(packed(), lengths=RAGGED)


@pytest.mark.parametrize("kernel", ["auto", "aten", "reference"])
def test_padding_does_not_matter(kernel: str) -> None:
    layer = LSTM(INPUT, H, 2, bidirectional=True, kernel=kernel)
    x = torch.randn(T, B, INPUT)
    spoilt = x.clone()
    for b, length in enumerate(RAGGED):
        spoilt[length:, b] = float("nan")
    assert_same(layer(spoilt, lengths=RAGGED), layer(x, lengths=RAGGED), tolerance=0.0)
    layer(spoilt, lengths=RAGGED)[0].sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


# -- insight ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_trace_holds_what_the_layer_computes(layer: Any, batch_first: bool) -> None:
    made = layer(INPUT, H, 2, bidirectional=True, batch_first=batch_first)
    x, batch = torch.randn(B, T, INPUT), (B, T) if batch_first else (T, B)
    x = x if batch_first else x.transpose(0, 1)
    traced, result = made.trace(x, lengths=RAGGED), tensors(made(x, lengths=RAGGED))
    names = {
        RNN: "hidden",
        GRU: "reset update candidate hidden",
        LSTM: "input forget candidate output cell hidden",
    }
    assert set(traced) == set(names[layer].split())
    assert all(values.shape == (2, 2, *batch, H) for values in traced.values())
    torch.testing.assert_close(torch.cat(list(traced["hidden"][-1]), -1), result[0], rtol=0, atol=1e-6)
    for number, state in enumerate(result[1:]):
        values = traced[("hidden", "cell")[number]]
        steps = values.transpose(2, 3) if batch_first else values  # [L, D, T, B, H]
        for b, length in enumerate(RAGGED):
            if length:
                ends = torch.stack([steps[:, 0, length - 1, b], steps[:, 1, 0, b]], 1).flatten(0, 1)
                torch.testing.assert_close(state[:, b], ends, rtol=0, atol=1e-6)


def test_a_trace_of_one_sequence_has_no_batch_and_takes_a_state() -> None:
    layer, x = GRU(INPUT, H), torch.randn(T, INPUT)
    h = torch.randn(1, H)
    assert layer.trace(x)["update"].shape == (1, 1, T, H)
    torch.testing.assert_close(layer.trace(x, h)["hidden"][0, 0], layer(x, h)[0], rtol=0, atol=1e-6)
    with pytest.raises(TypeError, match="PackedSequence"):
        layer.trace(packed())  # type: ignore[arg-type]


def test_gates_follow_their_equation_in_the_trace() -> None:
    traced = LSTM(INPUT, H).trace(torch.randn(T, B, INPUT))
    i, f, g, c = (traced[name][0, 0] for name in ("input", "forget", "candidate", "cell"))
    torch.testing.assert_close(c[1:], f[1:] * c[:-1] + i[1:] * g[1:], rtol=0, atol=1e-6)
    torch.testing.assert_close(traced["hidden"][0, 0], traced["output"][0, 0] * c.tanh(), rtol=0, atol=1e-6)


def test_a_plan_names_the_kernel_and_the_reasons() -> None:
    plan = GRU(INPUT, H, dtype=torch.float64).plan(X.double())
    assert plan.kernel == "aten" and str(plan) == f"aten (native cannot: {plan.refused['native']})"
    if available() is None:
        assert "float64" in str(plan)
    plan = GRU(INPUT, H, reset_after=False, dtype=torch.float64).plan(X.double(), H0.double(), RAGGED)
    assert plan.kernel == "reference" and set(plan.refused) == {"native", "aten"}
    assert LSTM(INPUT, H, kernel="reference").plan(packed(), [H0, H0]).kernel == "reference"
    with pytest.raises(RuntimeError, match=r"kernel 'aten' cannot run this: .* no layer normalization"):
        GRU(INPUT, H, layer_norm=True, kernel="aten").plan(X)


def test_a_plan_does_not_change_the_random_state() -> None:
    layer, before = GRU(INPUT, H, zoneout=0.1, weight_drop=0.1, recurrent_dropout=0.1), torch.get_rng_state()
    layer.plan(X)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_named_kernel_is_never_replaced(layer: Any) -> None:
    made = layer(INPUT, H, kernel="native", dtype=torch.float64)
    with pytest.raises(RuntimeError, match="kernel 'native' cannot run this"):
        made(X.double())


# -- transforms, compilers -------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
def test_vmap_and_per_sample_gradients(layer: Any) -> None:
    made = layer(INPUT, H, 2, bidirectional=True)
    x, lengths = torch.randn(3, T, 2, INPUT), torch.tensor([[6, 2], [0, 1], [3, 3]])
    got = vmap(lambda x, n: made(x, lengths=n)[0])(x, lengths)
    for k in range(3):
        torch.testing.assert_close(got[k], made(x[k], lengths=lengths[k])[0], rtol=0, atol=1e-6)
    parameters = dict(made.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(made, parameters, (x,))[0].square().sum()

    per_sample = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for k in range(3):
        made.zero_grad()
        loss(parameters, x[k]).backward()
        for name, parameter in parameters.items():
            torch.testing.assert_close(per_sample[name][k], parameter.grad, rtol=0, atol=1e-4, msg=name)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own use of it
@pytest.mark.parametrize("layer", LAYERS)
def test_forward_mode_derivatives(layer: Any) -> None:
    made, x, direction = layer(INPUT, H), torch.randn(T, B, INPUT).double(), torch.randn(T, B, INPUT).double()
    made.double()
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(made(forward_ad.make_dual(x, direction))[0]).tangent
    step = 1e-6
    expected = (made(x + step * direction)[0] - made(x - step * direction)[0]) / (2 * step)
    assert tangent is not None
    torch.testing.assert_close(tangent, expected, rtol=0, atol=1e-7)
    made.float()
    with forward_ad.dual_level():
        single = forward_ad.unpack_dual(made(forward_ad.make_dual(x.float(), direction.float()))[0]).tangent
    torch.testing.assert_close(single.double(), tangent, rtol=0, atol=1e-4)


class Tagger(nn.Module):
    """A model with a layer, to compile and to export."""

    def __init__(self, layer: Any, **arguments: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, INPUT)
        self.layer: Recurrent = layer(INPUT, H, 2, bidirectional=True, batch_first=True, **arguments)
        self.out = nn.Linear(2 * H, 2)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.out(self.layer(self.embed(tokens), lengths=lengths)[0])


@pytest.fixture
def _fresh_compiler() -> None:
    torch.compiler.reset()


COMPILED = [
    pytest.param(GRU, None, {}, id="gru"),
    pytest.param(GRU, [2, 1, 0], {}, id="gru-ragged"),
    pytest.param(LSTM, None, {}, id="lstm"),
    pytest.param(LSTM, [2, 1, 0], {}, id="lstm-ragged"),
    pytest.param(LSTM, [2, 1, 0], {"zoneout": 0.1, "layer_norm": True}, id="lstm-options"),
    pytest.param(LSTM, [2, 1, 0], {"dtype": torch.float64}, id="lstm-float64"),
]


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize(("layer", "lengths", "arguments"), COMPILED)
def test_a_model_compiles_without_a_graph_break(layer: Any, lengths: Any, arguments: dict[str, Any]) -> None:
    model, tokens = Tagger(layer, **arguments).eval(), torch.randint(0, 11, (3, 2))
    model.to(arguments.get("dtype", torch.float32))
    given = None if lengths is None else torch.tensor(lengths)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    got = compiled(tokens, given)
    got.sum().backward()
    first = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    expected = model(tokens, given)
    expected.sum().backward()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    for g, p in zip(first, model.parameters(), strict=True):
        torch.testing.assert_close(g, p.grad, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("layer", [GRU, LSTM])
def test_a_model_is_exported_for_any_batch_and_time(layer: Any, ragged: bool) -> None:
    """Export with the compiled core; torch's kernels and the reference fix T."""
    model, tokens = Tagger(layer).eval(), torch.randint(0, 11, (3, 5))
    if (missing := available()) is not None:
        pytest.skip(missing)
    lengths = (torch.tensor([5, 1, 0]),) if ragged else ()
    batch, time = torch.export.Dim("batch", max=64), torch.export.Dim("time", max=64)
    shapes = ({0: batch, 1: time}, {0: batch})[: 1 + ragged]
    exported = torch.export.export(model, (tokens, *lengths), dynamic_shapes=shapes).module()
    for sizes in ((4, 9), (2, 3)):
        tokens = torch.randint(0, 11, sizes)
        lengths = (torch.randint(0, sizes[1] + 1, sizes[:1]),) if ragged else ()
        torch.testing.assert_close(exported(tokens, *lengths), model(tokens, *lengths), rtol=0, atol=1e-6)
