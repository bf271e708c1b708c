"""The native kernel in layers: compile, export, traces, refusals, instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import holdfast
from holdfast.nn.cells import CELLS, Weights
from holdfast.nn.kernels import Problem, native
from holdfast.nn.kernels.native import Native

needs_core = pytest.mark.skipif(
    native.available() is not None, reason=f"needs the native core: {native.available()}"
)
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


class Layer(torch.nn.Module):
    """A minimal module that calls the kernel like a layer."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        self.cell, rows = cell, GATES[cell] * 6
        self.weight_ih, self.weight_hh = (torch.nn.Parameter(torch.randn(rows, n) / 3) for n in (4, 6))

    def problem(self, x: Tensor) -> Problem:
        state = (x.new_zeros(x.size(1), 6),) * len(CELLS[self.cell].states)
        return Problem(CELLS[self.cell], x, state, Weights(self.weight_ih, self.weight_hh))

    def forward(self, x: Tensor) -> Tensor:
        return Native().run(self.problem(x)).outputs


@pytest.mark.slow
@needs_core
@pytest.mark.filterwarnings("default")  # torch's compiler warns of its own deprecations
@pytest.mark.parametrize("cell", GATES)
def test_torch_compile_makes_one_graph(cell: str) -> None:
    layer = Layer(cell)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for steps, batch in ((3, 2), (5, 4)):
        x = torch.randn(steps, batch, 4)
        wanted = torch.autograd.grad(layer(x).square().sum(), layer.weight_hh)[0]
        y = compiled(x)
        assert torch.equal(y, layer(x))
        found = torch.autograd.grad(y.square().sum(), layer.weight_hh)[0]
        assert torch.allclose(found, wanted, atol=1e-5)


@needs_core
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("cell", GATES)
def test_export_with_any_batch_and_any_number_of_steps(cell: str) -> None:
    layer = Layer(cell)
    shapes = {"x": {0: torch.export.Dim("steps", min=1), 1: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(layer, (torch.randn(3, 2, 4),), dynamic_shapes=shapes)
    x = torch.randn(7, 5, 4)
    assert torch.equal(program.module()(x), layer(x))


@needs_core
@pytest.mark.parametrize("cell", GATES)
def test_a_trace_has_the_names_of_the_cell(cell: str) -> None:
    layer, x = Layer(cell), torch.randn(5, 3, 4)
    with torch.no_grad():
        result = Native().run(replace(layer.problem(x), trace=True))
    assert result.activations is not None
    names = CELLS[cell].activations + CELLS[cell].states
    assert set(result.activations) == set(names)
    assert torch.equal(result.activations["hidden"], result.outputs)
    assert all(values.shape == (5, 3, 6) for values in result.activations.values())
    if cell == "lstm":
        gates = result.activations
        assert torch.allclose(gates["output"] * torch.tanh(gates["cell"]), result.outputs, atol=1e-6)
        assert torch.equal(gates["cell"][-1], result.state[1])


@needs_core
def test_each_refusal_has_its_own_reason() -> None:
    layer, x = Layer("gru"), torch.randn(5, 3, 4)
    refuses = Native().refuses
    changes: dict[str, dict[str, Any]] = {
        "float64": {"x": x.double()},
        "meta": {"x": x.to("meta")},
        "no cell": {"cell": SimpleNamespace(name="other")},
    }
    assert refuses(layer.problem(x)) is None
    for word, change in changes.items():
        reason = refuses(replace(layer.problem(x), **change))
        assert reason is not None and word in reason, (word, reason)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert refuses(layer.problem(x)) is None
        assert "rounded at the end" in str(Native().remark(layer.problem(x)))


def run_python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@needs_core
def test_the_environment_chooses_the_instruction_set() -> None:
    program = "from holdfast.nn.kernels import native; print(native.isa())"
    for name in native.isas():
        assert run_python(program, HOLDFAST_ISA=name).stdout.strip() == name


@needs_core
def test_an_unknown_instruction_set_is_an_error() -> None:
    done = run_python("import holdfast.nn.kernels", HOLDFAST_ISA="avx9000")
    assert done.returncode != 0 and "avx9000" in done.stderr and "baseline" in done.stderr


def test_without_the_core_the_kernel_gives_the_reason() -> None:
    program = (
        "import sys; sys.modules['holdfast._native'] = None\n"
        "from holdfast.nn.kernels import native\n"
        "print(native.available())\n"
        "native.isa()"
    )
    done = run_python(program)
    assert "not installed" in done.stdout and "RuntimeError" in done.stderr


@needs_core
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_the_defaults_of_torch_do_not_reach_the_core(default: torch.dtype) -> None:
    layer, x, plain = Layer("lstm"), torch.randn(5, 2, 4), holdfast.GRU(4, 6)
    wanted = torch.autograd.grad(layer(x).square().sum(), layer.weight_hh)[0]
    steps = plain.stream().step(x[0, :1])
    torch.set_default_dtype(default)
    try:
        found = torch.autograd.grad(layer(x).square().sum(), layer.weight_hh)[0]
        stream = plain.stream()
        assert torch.equal(stream.step(x[0, :1]), steps)
        assert stream.state.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, wanted)


@needs_core
@pytest.mark.parametrize("cell", GATES)
def test_a_backward_pass_within_autocast_stays_in_float32(cell: str) -> None:
    layer, x = Layer(cell), torch.randn(5, 2, 4, requires_grad=True)
    inputs = (x, layer.weight_ih, layer.weight_hh)
    loss = layer(x).square().sum()
    wanted = torch.autograd.grad(loss, inputs, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.autograd.grad(loss, inputs)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
