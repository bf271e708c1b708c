"""The compiled core against the equations in float64, in every instruction set that runs here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import holdfast
from holdfast.errors import UserError
from holdfast.nn.kernels import native

if native.available() is not None:
    pytest.skip(f"needs the native core: {native.available()}", allow_module_level=True)

from holdfast import _native

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
FUNCTIONS = {"rnn_tanh": torch.tanh, "rnn_relu": torch.relu}
TOLERANCE = 1e-5  # relative to the largest value


@pytest.fixture(params=native.isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    _native.select(request.param)
    yield request.param
    _native.select("auto")


@dataclass
class Inputs:
    """The arguments of ``recur``, in order."""

    x: Tensor
    h0: Tensor
    c0: Tensor | None
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    lengths: Tensor | None
    cell: str
    reverse: bool

    def tensors(self) -> dict[str, Tensor]:
        return {
            name: value
            for name, value in vars(self).items()
            if name != "lengths" and isinstance(value, Tensor)
        }

    def copy(self, dtype: torch.dtype = torch.float32, *, grad: bool = True) -> Inputs:
        """Copy the tensors to new leaves."""
        made = {n: t.detach().to(dtype, copy=True).requires_grad_(grad) for n, t in self.tensors().items()}
        return replace(self, **made)


def make(
    cell: str,
    steps: int,
    batch: int,
    hidden: int,
    *,
    width: int = 4,
    bias: bool = True,
    ragged: bool = False,
    reverse: bool = False,
) -> Inputs:
    rows = GATES[cell] * hidden
    lengths = torch.randint(0, steps + 1, (batch,)) if ragged else None
    if lengths is not None:
        lengths[0] = 0
    return Inputs(
        torch.randn(steps, batch, width),
        torch.randn(batch, hidden),
        torch.randn(batch, hidden) if cell == "lstm" else None,
        torch.randn(rows, width) / width**0.5,
        torch.randn(rows, hidden) / hidden**0.5,
        torch.randn(rows) if bias else None,
        torch.randn(rows) if bias else None,
        lengths,
        cell,
        reverse,
    )


def arguments(inputs: Inputs) -> tuple[Any, ...]:
    """Return the operator's arguments."""
    state = [s for s in (inputs.h0, inputs.c0) if s is not None]
    weights = [inputs.weight_ih, inputs.weight_hh, inputs.bias_ih, inputs.bias_hh]
    present = (
        [torch.empty(0) if w is None else w for w in weights] if inputs.bias_hh is not None else weights[:2]
    )
    extras = [] if inputs.lengths is None else [inputs.lengths]
    return inputs.x, state, present, extras, inputs.cell, inputs.reverse


def recur(inputs: Inputs, save: bool = True) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.ops.holdfast.recur(*arguments(inputs), save)
    return found


def oracle(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """Run PyTorch's documented equations, by sequence and step."""
    steps, batch, _ = inputs.x.shape
    projected = F.linear(inputs.x, inputs.weight_ih, inputs.bias_ih)
    lengths = [steps] * batch if inputs.lengths is None else inputs.lengths.tolist()
    rows, finals, cells = [], [], []
    for b, length in enumerate(lengths):
        h, c = inputs.h0[b], None if inputs.c0 is None else inputs.c0[b]
        outputs = [torch.zeros_like(h)] * steps
        for t in reversed(range(length)) if inputs.reverse else range(length):
            h, c = step(inputs.cell, projected[t, b], F.linear(h, inputs.weight_hh, inputs.bias_hh), h, c)
            outputs[t] = h
        rows.append(torch.stack(outputs))
        finals.append(h)
        cells.append(h if c is None else c)
    return torch.stack(rows, 1), torch.stack(finals), torch.stack(cells)


def step(cell: str, x: Tensor, a: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if cell in FUNCTIONS:
        return FUNCTIONS[cell](x + a), None
    if cell == "gru":
        (x_r, x_z, x_n), (a_r, a_z, a_n) = x.chunk(3), a.chunk(3)
        z = torch.sigmoid(x_z + a_z)
        return (1 - z) * torch.tanh(x_n + torch.sigmoid(x_r + a_r) * a_n) + z * h, None
    assert c is not None
    i, f, g, o = (x + a).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def objective(outputs: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([(o * w).sum() for o, w in zip(outputs, weights, strict=True)]).sum()


def close(name: str, got: Tensor | None, wanted: Tensor | None) -> None:
    assert got is not None and wanted is not None, name
    error, scale = (got - wanted).abs().max(), wanted.abs().max().clamp(min=1e-2)
    assert got.shape == wanted.shape and error <= TOLERANCE * scale, f"{name}: {error:.2e} of {scale:.2e}"


def check_against_oracle(inputs: Inputs) -> None:
    ours, exact = inputs.copy(), inputs.copy(torch.float64)
    y, h, c, *_ = recur(ours)
    got, wanted = (y, h, c if inputs.cell == "lstm" else h), oracle(exact)
    weights = tuple(torch.randn_like(o) for o in got)
    objective(got, weights).backward()
    objective(wanted, weights).backward()
    for name, a, b in zip("yhc", got, wanted, strict=True):
        close(name, a.detach(), b.detach())
    for name, tensor in exact.tensors().items():
        wanted_grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        close(f"gradient of {name}", ours.tensors()[name].grad, wanted_grad)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("hidden", [1, 7, 63, 500])
@pytest.mark.parametrize("cell", GATES)
def test_outputs_and_gradients(cell: str, hidden: int, ragged: bool, reverse: bool) -> None:
    check_against_oracle(make(cell, 5, 3, hidden, width=hidden, ragged=ragged, reverse=reverse))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("steps", "batch"), [(250, 1), (40, 5), (3, 120)])
@pytest.mark.parametrize("cell", GATES)
def test_inputs_are_projected_some_steps_at_a_time(cell: str, steps: int, batch: int, reverse: bool) -> None:
    """Several chunks, the last one not full, with sequences that end within one."""
    check_against_oracle(make(cell, steps, batch, 9, ragged=True, reverse=reverse))


@given(
    cell=st.sampled_from(sorted(GATES)),
    steps=st.integers(1, 5),
    batch=st.integers(1, 13),
    hidden=st.integers(1, 40),
    width=st.integers(1, 40),
    bias=st.booleans(),
    ragged=st.booleans(),
    reverse=st.booleans(),
)
def test_any_shape(
    cell: str, steps: int, batch: int, hidden: int, width: int, bias: bool, ragged: bool, reverse: bool
) -> None:
    options = {"bias": bias, "ragged": ragged, "reverse": reverse}
    for name in native.isas():
        _native.select(name)
        check_against_oracle(make(cell, steps, batch, hidden, width=width, **options))


@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("sizes", [(60, 13, 300), (18, 40, 116)], ids=str)  # 40 = 14 + 13 + 13
def test_threads_share_the_batch_without_changing_anything(
    cell: str, ragged: bool, sizes: tuple[int, int, int]
) -> None:
    inputs, results = make(cell, *sizes, ragged=ragged), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        leaves = inputs.copy()
        outputs = recur(leaves)
        outputs[0].sum().backward()
        results.append([*outputs, leaves.x.grad, leaves.h0.grad])
    for one, three in zip(*results, strict=True):
        assert one is not None and three is not None
        if one.numel():
            close("three threads", three.detach(), one.detach())


@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("sizes", [(9, 1, 40, 7), (30, 13, 130, 20), (11, 40, 300, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"proj_size": 9}, {"layer_norm": True}, {"zoneout": 0.2}], ids=str)
def test_deterministic_algorithms_make_thread_counts_alike(
    options: dict[str, Any], sizes: tuple[int, ...]
) -> None:
    steps, batch, hidden, inputs = sizes
    layer, results = holdfast.LSTM(inputs, hidden, **options), []
    x, lengths = torch.randn(steps, batch, inputs), torch.randint(1, steps + 1, (batch,))
    torch.use_deterministic_algorithms(True)
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            torch.manual_seed(1)
            leaf = x.clone().requires_grad_()
            layer.zero_grad()
            y, _ = layer(leaf, lengths=lengths)
            y.sum().backward()
            assert torch.get_num_threads() == threads
            results.append([y.detach(), leaf.grad, *(p.grad for p in layer.parameters())])
    finally:
        torch.use_deterministic_algorithms(False)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert one is not None and two is not None and torch.equal(one, two)


FORK = """
import os, torch, holdfast
torch.set_num_threads(2)
layer, x = holdfast.GRU(16, 128), torch.randn(24, 8, 16)  # so small that torch uses one thread
with torch.no_grad():
    before = layer(x)[0]
    torch.ones(2000, 2000) @ torch.ones(2000, 2000)
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(layer(x)[0], before) else 3)
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_works() -> None:
    """A fork has none of OpenMP's threads, and must not wait for them."""
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_several_python_threads_run_at_once() -> None:
    inputs = make("lstm", 60, 32, 64)
    alone = recur(inputs)[0]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: recur(inputs)[0], range(16)))
    assert all(torch.equal(y, alone) for y in together)


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("cell", GATES)
def test_nothing_to_do_returns_the_initial_state(cell: str, steps: int) -> None:
    inputs = make(cell, steps, 2, 5, ragged=True)
    assert inputs.lengths is not None
    inputs.lengths.zero_()
    leaves = inputs.copy()
    y, h, c, saved, _ = recur(leaves)
    assert torch.equal(h, inputs.h0) and not y.any() and not saved.any()
    assert inputs.c0 is None or torch.equal(c, inputs.c0)
    h.sum().backward()
    assert leaves.h0.grad is not None and torch.equal(leaves.h0.grad, torch.ones(2, 5))
    assert leaves.weight_hh.grad is not None and not leaves.weight_hh.grad.any()


@pytest.mark.parametrize("cell", GATES)
def test_past_the_end_everything_saved_and_every_gradient_is_zero(cell: str) -> None:
    inputs = make(cell, 4, 3, 9).copy()
    inputs.lengths = torch.tensor([2, 4, 0])
    y, _, _, saved, _ = recur(inputs)
    y.square().sum().backward()
    assert inputs.x.grad is not None
    for b, length in enumerate(inputs.lengths.tolist()):
        for tensor in (y, saved, inputs.x.grad):
            assert not tensor[length:, b].any()


def gate_values(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the core's tanh and sigmoid, by cells with zero recurrent weights."""
    x = x.view(1, -1, 1)
    h0 = torch.zeros(x.size(1), 1)

    def run(cell: str, gates: int) -> tuple[Tensor, ...]:
        weights = [torch.ones(gates, 1), torch.zeros(gates, 1)]
        found: tuple[Tensor, ...] = torch.ops.holdfast.recur(x, [h0], weights, [], cell, False)
        return found

    return run("rnn_tanh", 1)[0].flatten(), run("gru", 3)[3][..., 0].flatten()


def test_gate_functions_are_accurate() -> None:
    x = torch.cat(
        [torch.linspace(-100, 100, 400_000), torch.linspace(-1, 1, 80_000), torch.logspace(-37, 0, 8000)]
    )
    tanh, sigmoid = gate_values(x)
    exact = x.double()
    assert (tanh - torch.tanh(exact)).abs().max() < 2e-7
    assert (sigmoid - torch.sigmoid(exact)).abs().max() < 2e-7
    small = (exact != 0) & (exact.abs() < 1)
    relative = (tanh - torch.tanh(exact))[small] / torch.tanh(exact)[small]
    assert relative.abs().max() < 4e-7


def test_gate_functions_saturate_and_let_nan_through() -> None:
    infinity = float("inf")
    tanh, sigmoid = gate_values(torch.tensor([infinity, -infinity, 1e30, -1e30, 0, 100, -100, float("nan")]))
    assert tanh[:7].tolist() == [1, -1, 1, -1, 0, 1, -1] and tanh[7].isnan()
    assert sigmoid[:5].tolist() == [1, 0, 1, 0, 0.5] and sigmoid[7].isnan()


@pytest.mark.parametrize("cell", GATES)
def test_nan_stays_in_its_own_sequence(cell: str) -> None:
    clean = make(cell, 3, 5, 9)
    dirty = replace(clean, x=clean.x.clone())
    dirty.x[1, 2] = float("nan")
    y, other = recur(dirty)[0], [0, 1, 3, 4]
    assert torch.equal(y[:, other], recur(clean)[0][:, other])
    assert y[1:, 2].isnan().all() and not y[0, 2].isnan().any()


@pytest.mark.parametrize("cell", GATES)
def test_backward_twice_gives_the_same_gradient(cell: str) -> None:
    inputs = make(cell, 4, 3, 9, ragged=True).copy()
    loss = recur(inputs)[0].square().sum()
    tensors = tuple(inputs.tensors().values())
    first = torch.autograd.grad(loss, tensors, retain_graph=True)
    again = torch.autograd.grad(loss, tensors)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("wanted", ["x", "h0", "weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_a_gradient_of_one_input_alone(wanted: str) -> None:
    inputs = make("gru", 4, 3, 9)
    everything, alone = inputs.copy(), inputs.copy(grad=False)
    recur(everything)[1].sum().backward()
    alone.tensors()[wanted].requires_grad_()
    recur(alone)[1].sum().backward()
    grads = {name: tensor.grad for name, tensor in alone.tensors().items()}
    close(wanted, grads.pop(wanted), everything.tensors()[wanted].grad)
    assert not any(grad is not None for grad in grads.values())


@pytest.mark.parametrize("output", [0, 1, 2])
def test_a_gradient_from_one_output_alone(output: int) -> None:
    inputs = make("lstm", 4, 3, 9, ragged=True, reverse=True)
    ours, exact = inputs.copy(), inputs.copy(torch.float64)
    recur(ours)[output].square().sum().backward()
    oracle(exact)[output].square().sum().backward()
    close("gradient", ours.weight_hh.grad, exact.weight_hh.grad)


@pytest.mark.parametrize("cell", GATES)
def test_second_derivatives(cell: str) -> None:
    inputs = make(cell, 3, 2, 4, ragged=True)
    found = []
    for run, leaves in ((recur, inputs.copy()), (oracle, inputs.copy(torch.float64))):
        tensors = tuple(leaves.tensors().values())
        first = torch.autograd.grad(run(leaves)[0].square().sum(), tensors, create_graph=True)
        penalty = torch.stack([g.square().sum() for g in first]).sum()
        found.append(torch.autograd.grad(penalty, tensors, allow_unused=True))
    for name, a, b in zip(inputs.tensors(), *found, strict=True):
        close(name, a, b)


def test_inputs_need_not_be_contiguous_and_are_not_changed() -> None:
    inputs = make("lstm", 4, 3, 9)
    strided = replace(inputs, x=inputs.x.transpose(0, 1).contiguous().transpose(0, 1))
    strided.weight_hh = inputs.weight_hh.t().contiguous().t()
    before = [t.clone() for t in inputs.tensors().values()]
    assert all(torch.equal(a, b) for a, b in zip(recur(strided), recur(inputs), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, inputs.tensors().values(), strict=True))


@pytest.mark.parametrize("save", [True, False])
def test_saving_activations_changes_no_output(save: bool) -> None:
    inputs = make("gru", 4, 3, 9)
    y, h, _, saved, _ = recur(inputs, save)
    assert torch.equal(y, recur(inputs)[0]) and torch.equal(h, recur(inputs)[1])
    assert saved.numel() == (4 * 3 * 36 if save else 0)


def test_a_gradient_without_saved_activations_is_an_error() -> None:
    with pytest.raises(UserError, match="save=True"):
        recur(make("gru", 4, 3, 9).copy(), save=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 3, 4, dtype=torch.float64)}, "x must be torch.float32"),
        ({"x": torch.zeros(4, 3, 5)}, "weight_ih"),
        ({"h0": torch.zeros(3, 6)}, "h0"),
        ({"c0": None}, "Pass c0 to an LSTM only"),
        ({"weight_hh": torch.zeros(27, 7)}, "weight_hh"),
        ({"bias_hh": torch.zeros(1)}, "bias_hh"),
        ({"lengths": torch.zeros(3)}, "lengths must be torch.int64"),
        ({"cell": "peephole"}, "peephole"),
    ],
)
def test_invalid_arguments_of_the_core_are_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recur(replace(make("lstm", 4, 3, 7), **change))


@pytest.mark.slow
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", GATES)
def test_the_operators_keep_the_rules_of_torch_library(cell: str, ragged: bool) -> None:
    inputs = make(cell, 3, 4, 7, ragged=ragged, reverse=True)
    torch.library.opcheck(torch.ops.holdfast.recur.default, arguments(inputs.copy()))
    y, h, _, saved, normed = recur(inputs)
    grads = [torch.randn_like(y), torch.randn_like(h), None, None]
    known = (*arguments(inputs)[:4], [y, saved, normed])
    for wanted in ([True, True], [False, False]):
        torch.library.opcheck(torch.ops.holdfast.recur_backward.default, (grads, *known, cell, True, wanted))


def test_one_bias_alone_is_an_error() -> None:
    with pytest.raises(UserError, match="both biases or none"):
        recur(replace(make("gru", 4, 3, 7), bias_ih=None))


def test_an_unknown_instruction_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="avx9000"):
        _native.select("avx9000")
