"""One conformance test over every cell and kernel, and tests of how a kernel is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from holdfast.nn.cells import CELLS, Cell, Norm, Weights
from holdfast.nn.kernels import KERNELS, Plan, Problem, RecurrentNoise, ScanResult, Zoneout, choose, scan

REFERENCE = KERNELS["reference"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
SIZES = (1, 7, 63)


def build(
    cell: Cell,
    hidden: int,
    lengths: list[int] | None = None,
    reverse: bool = False,
    steps: int = 6,
    layer_norm: bool = False,
) -> Problem:
    """Build a float64 problem of four sequences whose values are exact in float32."""
    rows, inputs, batch = len(cell.gates) * hidden, hidden + 2, 4
    bound = hidden**-0.5

    def sample(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(shape) * scale).double().requires_grad_()

    norm = Norm(sample(rows), sample(rows)) if layer_norm else None
    weights = Weights(
        sample(rows, inputs, scale=bound),
        sample(rows, hidden, scale=bound),
        sample(rows),
        sample(rows),
        weight_ch=sample(cell.peepholes * hidden) if cell.peepholes else None,
        norm=norm,
    )
    state = tuple(sample(batch, hidden) for _ in cell.states)
    given = None if lengths is None else torch.tensor(lengths)
    return Problem(cell, sample(steps, batch, inputs), state, weights, given, reverse)


def leaves(problem: Problem) -> list[Tensor]:
    """Return every tensor that gets a gradient."""
    return [problem.x, *problem.state, *(t for t in vars(problem.weights).values() if isinstance(t, Tensor))]


def cast(problem: Problem, dtype: torch.dtype) -> Problem:
    """Copy a problem with new leaves of another dtype."""

    def new(tensor: Any) -> Any:
        return tensor.detach().to(dtype).requires_grad_() if isinstance(tensor, Tensor) else tensor

    weights = Weights(**{name: new(value) for name, value in vars(problem.weights).items()})
    return replace(problem, x=new(problem.x), state=tuple(new(s) for s in problem.state), weights=weights)


def tensors(result: ScanResult) -> list[Tensor]:
    return [result.outputs, *result.state]


def gradients(result: ScanResult, problem: Problem, create_graph: bool = False) -> list[Tensor]:
    """Return the gradients of a sum of outputs and final state with random weights."""
    generator = torch.Generator().manual_seed(7)
    loss = sum((t * torch.randn(t.shape, generator=generator).to(t.dtype)).sum() for t in tensors(result))
    assert isinstance(loss, Tensor)
    return list(torch.autograd.grad(loss, leaves(problem), create_graph=create_graph))


def assert_close(got: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for place, (g, e) in enumerate(zip(got, expected, strict=True)):
        scale = float(e.detach().abs().max().clamp(min=0.1))
        torch.testing.assert_close(
            g.detach().double(),
            e.detach(),
            rtol=0,
            atol=tolerance * scale,
            msg=lambda m, p=place: f"{p}: {m}",
        )


RAGGED = [6, 1, 0, 4]


def skip_refused(kernel: str, problem: Problem) -> None:
    """Skip a kernel that cannot run here, like the compiled core without a compiler."""
    if (reason := KERNELS[kernel].refuses(problem)) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_kernel_conforms_to_the_reference(
    cell: str, kernel: str, lengths: list[int] | None, reverse: bool, dtype: torch.dtype
) -> None:
    """Compare outputs, states and all gradients; a refusal gives its reason in error and plan."""
    for hidden in SIZES:
        exact = build(CELLS[cell], hidden, lengths, reverse)
        problem = cast(exact, dtype)
        if (reason := KERNELS[kernel].refuses(problem)) is not None:
            with pytest.raises(RuntimeError, match=f"kernel '{kernel}' cannot run this"):
                scan(problem, kernel)
            plan, order = choose(problem), list(KERNELS)
            passed_over = order.index(kernel) < order.index(plan.kernel)
            assert plan.refused.get(kernel) == (reason if passed_over else None)
            continue
        expected, got = REFERENCE.run(exact), scan(problem, kernel)
        assert got.outputs.dtype == dtype
        assert_close(tensors(got), tensors(expected), TOLERANCE[dtype])
        assert_close(gradients(got, problem), gradients(expected, exact), TOLERANCE[dtype])


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn_tanh", "rnn_relu"])
def test_a_kernel_conforms_at_a_large_odd_size(cell: str, reverse: bool) -> None:
    exact = build(CELLS[cell], 501, [3, 2, 1, 3], reverse, steps=3)
    problem = cast(exact, torch.float32)
    run = REFERENCE.run(exact)
    expected = tensors(run) + gradients(run, exact)
    for name, kernel in KERNELS.items():
        if kernel.refuses(problem) is None:
            result = scan(problem, name)
            assert_close(tensors(result) + gradients(result, problem), expected, 1e-5)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_trace_holds_the_gates_of_every_step(cell: str, kernel: str, reverse: bool) -> None:
    exact = replace(build(CELLS[cell], 5, RAGGED, reverse), trace=True)
    problem = cast(exact, torch.float32)
    with torch.no_grad():  # a kernel may refuse to trace if a gradient is needed
        if KERNELS[kernel].refuses(problem) is not None:
            return
        expected, got = REFERENCE.run(exact).activations, scan(problem, kernel).activations
    assert expected is not None and got is not None
    assert set(got) == set(expected) == {*CELLS[cell].states, *CELLS[cell].activations}
    assert_close(list(got.values()), [expected[name] for name in got], 1e-5)
    for values in got.values():
        assert all(not values[length:, row].any() for row, length in enumerate(RAGGED))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_ragged_batch_is_each_sequence_on_its_own(cell: str, reverse: bool) -> None:
    """Test the reference: run each sequence alone, without lengths."""
    ragged = build(CELLS[cell], 5, RAGGED, reverse)
    result = REFERENCE.run(ragged)
    for row, length in enumerate(RAGGED):
        state = tuple(s[row : row + 1] for s in ragged.state)
        assert not result.outputs[length:, row].any()
        if length == 0:
            assert_close([s[row : row + 1] for s in result.state], list(state), 0.0)
            continue
        alone = replace(ragged, x=ragged.x[:length, row : row + 1], state=state, lengths=None)
        one = REFERENCE.run(alone)
        assert_close([result.outputs[:length, row : row + 1]], [one.outputs], 1e-12)
        assert_close([s[row : row + 1] for s in result.state], list(one.state), 1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_sequences_may_all_be_empty(kernel: str) -> None:
    problem = cast(build(CELLS["gru"], 5, [0, 0, 0, 0]), torch.float32)
    skip_refused(kernel, problem)
    result = scan(problem, kernel)
    assert not result.outputs.any()
    assert torch.equal(result.state[0], problem.state[0])
    dx, dh, *dweights = gradients(result, problem)
    assert not dx.any() and dh.all() and not any(d.any() for d in dweights)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradients_flow_without_biases_and_to_some_inputs_only(cell: str, kernel: str) -> None:
    exact = build(CELLS[cell], 5)
    exact = replace(exact, weights=replace(exact.weights, bias_ih=None, bias_hh=None))
    problem = cast(exact, torch.float32)
    skip_refused(kernel, problem)
    expected = gradients(REFERENCE.run(exact), exact)
    assert_close(gradients(scan(problem, kernel), problem), expected, 1e-5)
    for place, leaf in enumerate(leaves(problem)):
        for other in leaves(problem):
            other.requires_grad_(other is leaf)
        result = scan(problem, kernel)
        generator = torch.Generator().manual_seed(7)
        loss = torch.stack([(t * torch.randn(t.shape, generator=generator)).sum() for t in tensors(result)])
        assert_close(list(torch.autograd.grad(loss.sum(), [leaf])), [expected[place]], 1e-5)


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm"])
def test_second_derivatives_agree(cell: str, kernel: str, lengths: list[int] | None) -> None:
    """Differentiate the sum of squared gradients, and compare with the reference in float64."""
    exact = build(CELLS[cell], 5, lengths)
    problem = cast(exact, torch.float32)
    skip_refused(kernel, problem)
    found = []
    for given, run in ((problem, scan(problem, kernel)), (exact, REFERENCE.run(exact))):
        first = gradients(run, given, create_graph=True)
        squares = torch.stack([(g**2).sum() for g in first]).sum()
        found.append(list(torch.autograd.grad(squares, leaves(given))))
    assert_close(found[0], found[1], 1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_auto_differentiates_twice_in_float64(cell: str) -> None:
    problem = build(CELLS[cell], 2, [2, 1, 2, 0], steps=2)
    weights = problem.weights

    def run(x: Tensor, weight_hh: Tensor, *state: Tensor) -> Tensor:
        given = replace(problem, x=x, state=state, weights=replace(weights, weight_hh=weight_hh))
        result = scan(given)
        return torch.cat([t.flatten() for t in tensors(result)])

    inputs = (problem.x, weights.weight_hh, *problem.state)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


# -- choice of the kernel --------------------------------------------------------------------------


def test_auto_takes_the_first_kernel_that_can_run_and_gives_reasons() -> None:
    problem = cast(build(CELLS["gru"], 5), torch.float32)
    plan = choose(problem)
    assert plan.kernel == next(name for name, k in KERNELS.items() if k.refuses(problem) is None)
    double = choose(build(CELLS["gru"], 5))
    assert double.kernel == "aten" and "native" in double.refused
    variant = choose(build(CELLS["gru_reset_before"], 5))
    assert variant.kernel == "reference" and "gru_reset_before" in variant.refused["aten"]


def test_a_plan_names_the_rounding() -> None:
    problem = cast(build(CELLS["gru"], 5), torch.bfloat16)
    skip_refused("native", problem)
    assert str(choose(problem)).endswith("; torch.bfloat16 is computed in float32 and rounded at the end")
    wanted = REFERENCE.run(cast(problem, torch.float32)).outputs
    assert torch.equal(scan(problem).outputs, scan(cast(problem, torch.float32)).outputs.bfloat16())
    assert_close([scan(problem).outputs], [wanted.double()], 4e-3)


def test_a_plan_reads_as_a_sentence() -> None:
    assert str(Plan("native")) == "native (the first choice here)"
    assert str(Plan("aten", {"native": "it is float64"})) == "aten (native cannot: it is float64)"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, noise=RecurrentNoise(dropout_mask=torch.ones(4, 5))),
        lambda p: replace(p, noise=RecurrentNoise(zoneout=Zoneout((0.5,)))),
        lambda p: cast(build(CELLS["gru"], 5, layer_norm=True), torch.float64),
        lambda p: build(CELLS["lstm_peephole"], 5),
    ],
    ids=["recurrent_dropout", "zoneout", "layer_norm", "peephole"],
)
def test_other_kernels_refuse_what_only_the_reference_runs(change: Any) -> None:
    problem = change(build(CELLS["gru"], 5))  # in float64
    assert choose(problem).kernel == "reference"
    for name in set(KERNELS) - {"reference"}:
        with pytest.raises(RuntimeError, match="cannot run this"):
            scan(problem, name)
