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
    "(Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, "
    "Tensor? lengths, str cell, bool reverse, bool save=True) -> (Tensor y, Tensor h, Tensor c, Tensor saved)",
)
torch.library.define(
    "holdfast::recur_backward",
    "(Tensor?[] grads, Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, Tensor weight_hh, Tensor? lengths, "
    "Tensor y, Tensor saved, str cell, bool reverse, bool input, bool weights) "
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


def _cell_option(name: str, tensor: Tensor | None, layout: _Layout, *shape: int) -> Tensor | None:
    """``c0`` is there if and only if the cell has a cell state."""
    if (tensor is not None) != layout.cell_state:
        raise UserError(
            f"{name} is given to an LSTM and to no other cell.",
            "It was missing." if tensor is None else "It was given to a cell without a cell state.",
            "Pass it to cell='lstm' only.",
        )
    return _option(name, tensor, *shape)


def _addresses(tensors: Iterable[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _recur(
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    _check_available()
    layout = _layout(cell)
    steps, batch, width = x.shape
    hidden = weight_hh.size(1)
    rows = layout.gates * hidden
    x, h0 = _ready("x", x, steps, batch, width), _ready("h0", h0, batch, hidden)
    c0 = _cell_option("c0", c0, layout, batch, hidden)
    weight_ih = _ready("weight_ih", weight_ih, rows, width)
    weight_hh = _ready("weight_hh", weight_hh, rows, hidden)
    bias_ih, bias_hh = _option("bias_ih", bias_ih, rows), _option("bias_hh", bias_hh, rows)
    lengths = _option("lengths", lengths, batch, dtype=torch.int64)
    inputs = (x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths)
    outputs = _recur_fake(*inputs, cell, reverse, save)
    sizes = (torch.get_num_threads(), steps, batch, width, hidden)
    _core.forward(cell, *sizes, reverse, *_addresses((*inputs, *outputs)))
    return outputs


def _recur_fake(
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """New tensors of the outputs' shapes; what a cell lacks is empty (and its address 0)."""
    steps, batch, _ = x.shape
    hidden, layout = weight_hh.size(1), _layout(cell)
    return (
        x.new_empty(steps, batch, hidden),
        x.new_empty(batch, hidden),
        x.new_empty((batch, hidden) if layout.cell_state else 0),
        x.new_empty((steps, batch, len(layout.saved) * hidden) if save else 0),
    )


def _recur_backward(
    grads: list[Tensor | None],
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Tensor | None,
    y: Tensor,
    saved: Tensor,
    cell: str,
    reverse: bool,
    input: bool,
    weights: bool,
) -> tuple[Tensor, ...]:
    _check_available()
    layout = _layout(cell)
    steps, batch, hidden = y.shape
    state, rows = (batch, hidden), layout.gates * hidden
    x, weight_ih = _ready("x", x, steps, batch, x.size(2)), _ready("weight_ih", weight_ih, rows, x.size(2))
    y, h0 = _ready("y", y, steps, *state), _ready("h0", h0, *state)
    saved = _ready("saved", saved, steps, batch, len(layout.saved) * hidden)
    c0 = _cell_option("c0", c0, layout, *state)
    weight_hh = _ready("weight_hh", weight_hh, rows, hidden)
    lengths = _option("lengths", lengths, batch, dtype=torch.int64)
    dy, dh, dc = grads
    grads = [_option("dy", dy, steps, *state), _option("dh", dh, *state)]
    grads += [_option("dc", dc, *state) if layout.cell_state else None]
    dh0, dc0 = torch.empty_like(h0), x.new_empty(0) if c0 is None else torch.empty_like(c0)
    dprojected = x.new_empty(steps, batch, rows)
    dcandidate = torch.empty_like(y) if cell == "gru" else None
    known, found = (h0, c0, weight_hh, lengths, y, saved, *grads), (dprojected, dcandidate, dh0, dc0)
    sizes = (torch.get_num_threads(), steps, batch, hidden)
    _core.backward(cell, *sizes, reverse, *_addresses((*known, *found)))
    flat = dprojected.flatten(0, 1)
    dx = torch.mm(flat, weight_ih).view_as(x) if input else x.new_empty(0)
    if not weights:
        return dx, dh0, dc0, *(x.new_empty(0) for _ in range(4))
    dweight_ih, dbias_ih = torch.mm(flat.t(), x.flatten(0, 1)), flat.sum(0)
    dweight_hh, dbias_hh = torch.empty_like(weight_hh), dbias_ih.clone()
    before = _Before(y, h0, lengths, reverse)
    before.gradient(dprojected if dcandidate is None else dprojected[..., : 2 * hidden], dweight_hh)
    if dcandidate is not None:
        before.gradient(dcandidate, dweight_hh[2 * hidden :])
        torch.sum(dcandidate, (0, 1), out=dbias_hh[2 * hidden :])
    return dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh


def _recur_backward_fake(
    grads: list[Tensor | None],
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Tensor | None,
    y: Tensor,
    saved: Tensor,
    cell: str,
    reverse: bool,
    input: bool,
    weights: bool,
) -> tuple[Tensor, ...]:
    rows = weight_hh.size(0)
    return (
        torch.empty_like(x) if input else x.new_empty(0),
        torch.empty_like(h0),
        x.new_empty(0) if c0 is None else torch.empty_like(c0),
        x.new_empty(weight_ih.shape if weights else 0),
        x.new_empty(weight_hh.shape if weights else 0),
        x.new_empty(rows if weights else 0),
        x.new_empty(rows if weights else 0),
    )


@dataclass(frozen=True)
class _Before:
    """The hidden state before each step: the output of the step run before it, and h0 at each sequence's start."""

    y: Tensor
    h0: Tensor
    lengths: Tensor | None
    reverse: bool

    def gradient(self, da: Tensor, dweight: Tensor) -> None:
        """``sum over t, b of da h_before^T`` into the first rows of dweight.

        ``da`` [T, B, K] is zero past each sequence's end.
        """
        dweight = dweight[: da.size(2)]
        if da.size(0) == 0:
            dweight.zero_()
            return
        later, earlier = (da[:-1], self.y[1:]) if self.reverse else (da[1:], self.y[:-1])
        torch.mm(later.flatten(0, 1).t(), earlier.flatten(0, 1), out=dweight)
        dweight.addmm_(self._first(da).t(), self.h0)

    def _first(self, da: Tensor) -> Tensor:
        """``da`` where each sequence starts: [T, B, K] -> [B, K]."""
        if not self.reverse:
            return da[0]
        if self.lengths is None:
            return da[-1]
        return da[(self.lengths - 1).clamp(0, da.size(0) - 1), torch.arange(da.size(1))]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.cell, ctx.reverse, save = inputs
    y, _, c, saved = output
    if not save:
        raise UserError(
            "A gradient needs recur(..., save=True).", "save was False.", "Pass True or use no_grad()."
        )
    ctx.mark_non_differentiable(*([saved] if c.numel() else [c, saved]))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, y, saved)


def _backward(
    ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, _dsaved: None
) -> tuple[Tensor | None, ...]:
    if torch.is_grad_enabled():
        return (*_backward_again(ctx, dy, dh, dc), None, None, None, None)
    *tensors, bias_ih, bias_hh, lengths, y, saved = ctx.saved_tensors
    input, weights = ctx.needs_input_grad[0], any(ctx.needs_input_grad[3:7])
    dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh = torch.ops.holdfast.recur_backward.default(
        [dy, dh, dc], *tensors, lengths, y, saved, ctx.cell, ctx.reverse, input, weights
    )
    return (
        dx if input else None,
        dh0,
        None if tensors[2] is None else dc0,
        dweight_ih if weights else None,
        dweight_hh if weights else None,
        dbias_ih if weights and bias_ih is not None else None,
        dbias_hh if weights and bias_hh is not None else None,
        *(None, None, None, None),
    )


def _backward_again(ctx: Any, *grads: Tensor | None) -> list[Tensor | None]:
    """The same gradients through the reference loop, so that they can be differentiated in turn."""
    from holdfast.kernels import reference

    *tensors, lengths, _, _ = ctx.saved_tensors
    inputs: list[Any] = [
        None if t is None else t.view_as(t) for t in tensors
    ]  # apart, should one depend on another
    outputs = reference.scan_plain(ctx.cell, *inputs, lengths, ctx.reverse)
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=False) if o is not None and g is not None]
    wanted = [i for i, t in enumerate(inputs) if t is not None and t.requires_grad]
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
        h0, c0 = problem.state if len(problem.state) == 2 else (problem.state[0], None)
        parameters = (weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh)
        y, h, c, saved = torch.ops.holdfast.recur.default(
            *(problem.x, h0, c0, *parameters, problem.lengths, problem.cell.name, problem.reverse),
            save=problem.trace or _trains(problem),
        )
        activations = _activations(problem, y, saved) if problem.trace else None
        return Result(y, (h,) if c0 is None else (h, c), activations)


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
