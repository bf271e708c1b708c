"""The compiled core (csrc) as torch operators: ``holdfast::recur`` and ``holdfast::recur_backward``.

float32 on the CPU, first derivatives; a second derivative runs the reference loop instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.errors import UserError
from holdfast.kernels.before import Before
from holdfast.kernels.problem import Problem, Result, transformed

_missing: str | None = None
try:
    import holdfast._native as _core
except ModuleNotFoundError:
    _missing = "the compiled core is not installed (no C++ compiler at install time)"
except ImportError as error:
    _missing = f"the compiled core cannot be loaded ({error})"
else:
    try:
        _core.isa()
    except ValueError as error:
        raise UserError(
            "HOLDFAST_ISA names an instruction set of this processor or 'auto'.",
            f"{str(error).capitalize()}.",
            "Set it to one of these or unset it.",
        ) from None


@dataclass(frozen=True)
class _Layout:
    """G, and what ``saved`` [T, B, S*H] holds, in order; only an LSTM has a cell state."""

    gates: int
    saved: tuple[str, ...] = ()
    cell_state: bool = False


_LAYOUTS = {
    "rnn_tanh": _Layout(1),
    "rnn_relu": _Layout(1),
    "lstm": _Layout(4, ("input", "forget", "candidate", "output", "cell"), cell_state=True),
    "gru": _Layout(3, ("reset", "update", "candidate", "recurrent candidate")),
}
CELLS = frozenset(_LAYOUTS)

torch.library.define(
    "holdfast::recur",
    "(Tensor x, Tensor[] state, Tensor[] weights, Tensor? lengths, str cell, bool reverse, bool save=True) "
    "-> (Tensor y, Tensor h, Tensor c, Tensor saved)",
)
torch.library.define(
    "holdfast::recur_backward",
    "(Tensor?[] grads, Tensor x, Tensor[] state, Tensor[] weights, Tensor? lengths, Tensor y, Tensor saved, "
    "str cell, bool reverse, bool[] wanted) "
    "-> (Tensor dx, Tensor dh0, Tensor dc0, Tensor dweight_ih, Tensor dweight_hh, Tensor dbias_ih, Tensor dbias_hh)",
)


def available() -> str | None:
    """None when the core can be used, else the reason why not."""
    return _missing


def isa() -> str:
    """The instruction set in use: the best that runs here, or the one that HOLDFAST_ISA names."""
    _check_available()
    return _core.isa()


def isas() -> list[str]:
    """The instruction sets that were built and run here, the best first."""
    _check_available()
    return _core.isas()


def peak() -> float:
    """The flop/s that one thread reaches with multiply-adds alone, in the instruction set in use."""
    _check_available()
    return _core.peak()


def _check_available() -> None:
    if _missing is not None:
        raise RuntimeError(f"{_missing}. Reinstall where a C++20 compiler is found, or use another kernel.")


def _layout(cell: str) -> _Layout:
    if cell not in _LAYOUTS:
        raise UserError(
            f"A cell of the compiled core is one of {sorted(CELLS)}.", f"It was {cell!r}.", "Name one."
        )
    return _LAYOUTS[cell]


def _ready(name: str, tensor: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The tensor, contiguous, once it is known to be what the core reads."""
    if tensor.dtype != dtype or tensor.device.type != "cpu" or tensor.shape != shape:
        raise UserError(
            f"The compiled core takes {name} as {dtype} on the CPU with shape {list(shape)}.",
            f"It was {tensor.dtype} on {tensor.device} with shape {list(tensor.shape)}.",
            "Convert it, or use kernel='auto'.",
        )
    return tensor.contiguous()


def _option(
    name: str, tensor: Tensor | None, *shape: int, dtype: torch.dtype = torch.float32
) -> Tensor | None:
    return None if tensor is None else _ready(name, tensor, *shape, dtype=dtype)


def _ready_state(state: list[Tensor], layout: _Layout, batch: int, hidden: int) -> list[Tensor]:
    """``h0`` and, of an LSTM and no other cell, ``c0``."""
    names = ("h0", "c0") if layout.cell_state else ("h0",)
    if len(state) != len(names):
        raise UserError(
            f"The state of this cell is {' and '.join(names)}.",
            f"There were {len(state)} tensors.",
            "Give c0 to an LSTM only.",
        )
    return [_ready(name, tensor, batch, hidden) for name, tensor in zip(names, state, strict=True)]


def _ready_weights(weights: list[Tensor], rows: int, width: int, hidden: int) -> list[Tensor]:
    """``weight_ih`` and ``weight_hh``, and both biases or none."""
    shapes = {"weight_ih": (rows, width), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)}
    if len(weights) not in (2, 4):
        raise UserError(
            "The weights of a cell are weight_ih and weight_hh, and both biases or none.",
            f"There were {len(weights)} tensors.",
            "Give 2 or 4.",
        )
    return [_ready(name, weight, *shapes[name]) for name, weight in zip(shapes, weights, strict=False)]


def _padded(tensors: list[Tensor], count: int) -> list[Tensor | None]:
    """The tensors, and None for each that is left out."""
    return [*tensors, *(None for _ in range(count - len(tensors)))]


def _addresses(tensors: Iterable[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _recur(
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _check_available()
    layout = _layout(cell)
    steps, batch, width = x.shape
    hidden = weights[1].size(1)
    x = _ready("x", x, steps, batch, width)
    state = _ready_state(state, layout, batch, hidden)
    weights = _ready_weights(weights, layout.gates * hidden, width, hidden)
    lengths = _option("lengths", lengths, batch, dtype=torch.int64)
    outputs = _recur_fake(x, state, weights, lengths, cell, reverse, save)
    addresses = _addresses((x, *_padded(state, 2), *_padded(weights, 4), lengths, *outputs))
    _core.forward(cell, torch.get_num_threads(), steps, batch, width, hidden, reverse, *addresses)
    return outputs


def _recur_fake(
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """New tensors of the outputs' shapes; what a cell lacks is empty (and its address 0)."""
    steps, batch, _ = x.shape
    hidden, layout = weights[1].size(1), _layout(cell)
    return (
        x.new_empty(steps, batch, hidden),
        x.new_empty(batch, hidden),
        x.new_empty((batch, hidden) if layout.cell_state else 0),
        x.new_empty((steps, batch, len(layout.saved) * hidden) if save else 0),
    )


def _recur_backward(
    grads: list[Tensor | None],
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    saved: Tensor,
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    """``wanted``: the gradient of x, and those of the weights."""
    _check_available()
    layout = _layout(cell)
    steps, batch, hidden = y.shape
    rows = layout.gates * hidden
    x, y = _ready("x", x, steps, batch, x.size(2)), _ready("y", y, steps, batch, hidden)
    saved = _ready("saved", saved, steps, batch, len(layout.saved) * hidden)
    state = _ready_state(state, layout, batch, hidden)
    weights = _ready_weights(weights, rows, x.size(2), hidden)
    lengths = _option("lengths", lengths, batch, dtype=torch.int64)
    dy, dh, dc = grads
    grads = [_option("dy", dy, steps, batch, hidden), _option("dh", dh, batch, hidden)]
    grads += [_option("dc", dc, batch, hidden) if layout.cell_state else None]
    dstate = [torch.empty_like(s) for s in state]
    dprojected = x.new_empty(steps, batch, rows)
    dcandidate = torch.empty_like(y) if cell == "gru" else None
    known = (*_padded(state, 2), weights[1], lengths, y, saved, *grads)
    addresses = _addresses((*known, dprojected, dcandidate, *_padded(dstate, 2)))
    _core.backward(cell, torch.get_num_threads(), steps, batch, hidden, reverse, *addresses)
    dh0, dc0 = dstate[0], dstate[1] if layout.cell_state else x.new_empty(0)
    flat = dprojected.flatten(0, 1)
    dx = torch.mm(flat, weights[0]).view_as(x) if wanted[0] else x.new_empty(0)
    if not wanted[1]:
        return dx, dh0, dc0, *(x.new_empty(0) for _ in range(4))
    dweight_ih, dbias_ih = torch.mm(flat.t(), x.flatten(0, 1)), flat.sum(0)
    dweight_hh, dbias_hh = torch.empty_like(weights[1]), dbias_ih.clone()
    before = Before(y, state[0], lengths, reverse)
    before.gradient(dprojected if dcandidate is None else dprojected[..., : 2 * hidden], dweight_hh)
    if dcandidate is not None:
        before.gradient(dcandidate, dweight_hh[2 * hidden :])
        torch.sum(dcandidate, (0, 1), out=dbias_hh[2 * hidden :])
    return dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh


def _recur_backward_fake(
    grads: list[Tensor | None],
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    saved: Tensor,
    cell: str,
    reverse: bool,
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    rows = weights[0].size(0)

    def where(condition: bool, *shape: int) -> Tensor:
        return x.new_empty(shape if condition else 0)

    return (
        where(wanted[0], *x.shape),
        torch.empty_like(state[0]),
        where(len(state) == 2, *state[-1].shape),
        *(where(wanted[1], *weight.shape) for weight in weights[:2]),
        *(where(wanted[1], rows) for _ in range(2)),
    )


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, state, weights, lengths, ctx.cell, ctx.reverse, save = inputs
    y, _, c, saved = output
    if not save:
        raise UserError(
            "A gradient needs recur(..., save=True).", "save was False.", "Pass True or use no_grad()."
        )
    ctx.mark_non_differentiable(*([saved] if c.numel() else [c, saved]))
    ctx.set_materialize_grads(False)
    ctx.states = len(state)
    ctx.save_for_backward(lengths, y, saved, x, *state, *weights)


def _split(ctx: Any, tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """x, the state and the weights."""
    x, *rest = tensors
    return x, rest[: ctx.states], rest[ctx.states :]


def _backward(
    ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, _dsaved: None
) -> tuple[Any, ...]:
    lengths, y, saved, *tensors = ctx.saved_tensors
    x, state, weights = _split(ctx, tensors)
    others = [None] * (len(ctx.needs_input_grad) - 3)  # an argument at its default does not come here
    if torch.is_grad_enabled():
        return (*_split(ctx, _backward_again(ctx, (dy, dh, dc), tensors, lengths)), *others)
    wanted = [ctx.needs_input_grad[0], any(ctx.needs_input_grad[2])]
    dx, dh0, dc0, *dweights = torch.ops.holdfast.recur_backward.default(
        [dy, dh, dc], x, state, weights, lengths, y, saved, ctx.cell, ctx.reverse, wanted
    )
    dweights = [d if wanted[1] else None for d in dweights[: len(weights)]]
    return (dx if wanted[0] else None, [dh0, dc0][: ctx.states], dweights, *others)


def _backward_again(
    ctx: Any, grads: tuple[Tensor | None, ...], tensors: list[Tensor], lengths: Tensor | None
) -> list[Tensor | None]:
    """The same gradients through the reference loop, so that they can be differentiated in turn."""
    from holdfast.kernels import reference

    inputs = [t.view_as(t) for t in tensors]  # apart, should one depend on another
    outputs = reference.scan_plain(ctx.cell, *_split(ctx, inputs), lengths, ctx.reverse)
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=False) if o is not None and g is not None]
    wanted = [i for i, t in enumerate(inputs) if t.requires_grad]
    found = torch.autograd.grad(
        [o for o, _ in pairs],
        [inputs[i] for i in wanted],
        [g for _, g in pairs],
        create_graph=True,
        allow_unused=True,
    )
    by_input = dict(zip(wanted, found, strict=True))
    return [by_input.get(i) for i in range(len(inputs))]


torch.library.impl("holdfast::recur", "CPU", _recur)
torch.library.impl("holdfast::recur_backward", "CPU", _recur_backward)
torch.library.register_fake("holdfast::recur", _recur_fake)
torch.library.register_fake("holdfast::recur_backward", _recur_backward_fake)
torch.library.register_autograd("holdfast::recur", _backward, setup_context=_setup)


class Native:
    """The four cells of torch.nn in float32 on the CPU."""

    name = "native"

    def refuses(self, problem: Problem) -> str | None:
        """The first reason that applies."""
        x, weights = problem.x, problem.weights
        if _missing is not None:
            return _missing
        if x.device.type != "cpu":
            return f"the input is on {x.device.type}, it runs on the CPU"
        if x.dtype != torch.float32 or weights.weight_hh.dtype != torch.float32:
            return f"the input is {x.dtype} and the weight {weights.weight_hh.dtype}, it takes float32"
        if transformed():
            return "a torch.func transform surrounds it"
        if torch.is_autocast_enabled("cpu"):
            return "autocast is on, it computes in float32"
        if problem.cell.name not in CELLS:
            return f"it has no cell {problem.cell.name!r}, it has {', '.join(sorted(CELLS))}"
        if weights.weight_hr is not None:
            return "it has no projection of the hidden state"
        if weights.norm is not None:
            return "it has no layer normalisation"
        if problem.noise is not None:
            return "it has no recurrent dropout and no zoneout"
        if problem.trace and _trains(problem):
            return "no gradient flows through its activations (trace under torch.no_grad())"
        return None

    def run(self, problem: Problem) -> Result:
        """One call of the core."""
        weights = problem.weights
        parameters = (weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh)
        y, h, c, saved = torch.ops.holdfast.recur.default(
            problem.x,
            list(problem.state),
            [p for p in parameters if p is not None],
            problem.lengths,
            problem.cell.name,
            problem.reverse,
            problem.trace or _trains(problem),
        )
        activations = _activations(problem, y, saved) if problem.trace else None
        return Result(y, (h, c) if len(problem.state) == 2 else (h,), activations)


def _trains(problem: Problem) -> bool:
    weights = problem.weights
    parameters = (weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh)
    tensors = (problem.x, *problem.state, *parameters)
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _activations(problem: Problem, y: Tensor, saved: Tensor) -> dict[str, Tensor]:
    """The cell's activations by name, views of what the core saved; no gradient flows through them."""
    wanted = problem.cell.activations + problem.cell.states
    hidden, names = y.size(2), _LAYOUTS[problem.cell.name].saved
    by_name = {name: saved[..., i * hidden : (i + 1) * hidden] for i, name in enumerate(names)}
    return {name: y.detach() if name == "hidden" else by_name[name] for name in wanted}
