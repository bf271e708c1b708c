"""RNNCell, GRUCell and LSTMCell against torch.nn: outputs, gradients, parameters, errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import holdfast
from holdfast.nn.cells import CELLS

NAMES = ["RNNCell", "GRUCell", "LSTMCell"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("RNNCell", {}),
    ("RNNCell", {"nonlinearity": "relu"}),
    ("GRUCell", {}),
    ("LSTMCell", {}),
    *((name, {"bias": False}) for name in NAMES),
]


def pair(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Our cell and torch's, with the same weights: both are built from the same seed."""
    cells = []
    for library in (holdfast, nn):
        torch.manual_seed(0)
        cells.append(getattr(library, name)(*args, **kwargs))
    return cells[0], cells[1]


def states(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    count = 2 if name == "LSTMCell" else 1
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(count)]


def as_hx(tensors: list[Tensor]) -> Any:
    return tuple(tensors) if len(tensors) == 2 else tensors[0]


def outputs(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("given", [True, False], ids=["hx", "no hx"])
@pytest.mark.parametrize("batch", [(), (1,), (7,), (0,)], ids=["unbatched", "B=1", "B=7", "B=0"])
@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=str)
def test_outputs_and_all_gradients_are_torchs(
    name: str, arguments: dict[str, Any], batch: tuple[int, ...], given: bool, dtype: torch.dtype
) -> None:
    ours, theirs = pair(name, 5, 3, dtype=dtype, **arguments)
    x = torch.randn(*batch, 5, dtype=dtype, requires_grad=True)
    state = states(name, (*batch, 3), dtype)
    found = []
    for cell in (ours, theirs):
        y = outputs(cell(x, as_hx(state)) if given else cell(x))
        weights = [torch.linspace(-1, 2, t.numel(), dtype=dtype).view_as(t) for t in y]
        loss = sum((w * t.square() + t).sum() for w, t in zip(weights, y, strict=True))
        leaves = [x, *(state if given else []), *cell.parameters()]
        found.append([*y, *torch.autograd.grad(loss, leaves)])
    assert len(found[0]) == len(found[1])
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=str)
def test_parameters_start_as_in_torch_and_state_dicts_load_both_ways(
    name: str, arguments: dict[str, Any]
) -> None:
    ours, theirs = pair(name, 4, 3, **arguments)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert all(torch.equal(value, theirs.state_dict()[n]) for n, value in ours.state_dict().items())
    if "bias" in arguments:
        assert ours.bias_ih is None and ours.bias_hh is None
    x = torch.randn(2, 4)
    for source, target in ((ours, theirs), (theirs, ours)):
        with torch.no_grad():
            for parameter in source.parameters():
                parameter.uniform_(-1, 1)
        target.load_state_dict(source.state_dict())
        for got, expected in zip(outputs(target(x)), outputs(source(x)), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_loop_over_steps_is_the_layer(name: str) -> None:
    cell = getattr(holdfast, name)(4, 3, dtype=torch.float64)
    layer = getattr(holdfast, name.removesuffix("Cell"))(4, 3, dtype=torch.float64)
    layer.load_state_dict({f"{n}_l0": value for n, value in cell.state_dict().items()})
    x = torch.randn(6, 2, 4, dtype=torch.float64)
    hx, steps = None, []
    for x_t in x:
        hx = cell(x_t, hx)
        steps.append(outputs(hx)[0])
    torch.testing.assert_close(torch.stack(steps), layer(x)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_can_be_copied_moved_and_compiled(name: str) -> None:
    cell = getattr(holdfast, name)(4, 3)
    wide = copy.deepcopy(cell).to(torch.float64)
    assert {p.dtype for p in wide.parameters()} == {torch.float64}
    assert outputs(wide(torch.zeros(2, 4, dtype=torch.float64)))[0].dtype == torch.float64
    x = torch.randn(2, 4)
    exported = torch.export.export(cell, (x,)).module()
    torch.testing.assert_close(outputs(exported(x)), outputs(cell(x)), rtol=0, atol=0)
    assert getattr(holdfast, name)(4, 3, device="meta").weight_ih.device.type == "meta"


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        *((name, (3, 5), {}) for name in NAMES),
        *((name, (3, 5, False), {}) for name in NAMES),
        ("RNNCell", (3, 5), {"nonlinearity": "relu"}),
        ("RNNCell", (3, 5, False, "relu"), {}),
    ],
)
def test_the_repr_is_torchs(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ours, theirs = pair(name, *args, **kwargs)
    assert repr(ours) == repr(theirs)


zeros = torch.zeros
CALLS: list[Callable[[Any, Callable[..., Any]], Any]] = [
    lambda cell, hx: cell(zeros(2, 4)),
    lambda cell, hx: cell(zeros(2, 3, 4)),
    lambda cell, hx: cell(zeros(())),
    lambda cell, hx: cell(zeros(2, 3), hx(2, 4)),
    lambda cell, hx: cell(zeros(2, 3), hx(3, 5)),
    lambda cell, hx: cell(zeros(2, 3), hx(5)),
    lambda cell, hx: cell(zeros(2, 3), hx(1, 2, 5)),
    lambda cell, hx: cell(zeros(3), hx(2, 5)),
    lambda cell, hx: cell(zeros(2, 3, dtype=torch.float64)),
    lambda cell, hx: cell(zeros(2, 3), hx(2, 5, dtype=torch.float64)),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_errors_are_of_torchs_kinds(name: str, call: Callable[[Any, Callable[..., Any]], Any]) -> None:
    def hx(*shape: int, **kwargs: Any) -> Any:
        return as_hx([zeros(*shape, **kwargs)] * (2 if name == "LSTMCell" else 1))

    ours, theirs = pair(name, 3, 5)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        call(theirs, hx)
    with pytest.raises(type(expected.value)):
        call(ours, hx)


def test_other_errors() -> None:
    with pytest.raises(ValueError, match="Unknown nonlinearity 'sigmoid'"):
        holdfast.RNNCell(3, 5, nonlinearity="sigmoid")
    with pytest.raises(TypeError, match="input must be a Tensor, but got list"):
        holdfast.GRUCell(3, 5)([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="hx must hold Tensors, but got int"):
        holdfast.GRUCell(3, 5)(zeros(2, 3), 5)
    lstm = holdfast.LSTMCell(3, 5)
    with pytest.raises(TypeError, match="pair of Tensors"):
        lstm(zeros(2, 3), zeros(2, 5))
    with pytest.raises(RuntimeError, match=r"hx must hold 2 tensor\(s\) of state, but got 3"):
        lstm(zeros(2, 3), (zeros(2, 5),) * 3)
    with pytest.raises(RuntimeError, match=r"hx must have the weight's dtype torch\.float32"):
        lstm(zeros(2, 3), (zeros(2, 5), zeros(2, 5, dtype=torch.float64)))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_gives_torchs_dtype(name: str) -> None:
    ours, theirs = pair(name, 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        got, expected = outputs(ours(zeros(2, 3))), outputs(theirs(zeros(2, 3)))
    assert [t.dtype for t in got] == [t.dtype for t in expected]


def test_each_public_cell_runs_the_equations_of_its_layer() -> None:
    assert holdfast.GRUCell(3, 5).cell is CELLS["gru"]
    assert holdfast.LSTMCell(3, 5).cell is CELLS["lstm"]
